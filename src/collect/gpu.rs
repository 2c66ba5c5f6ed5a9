//! GPU telemetry in.
