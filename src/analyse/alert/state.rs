//! Holds what was observed against what was: pending, firing, resolved.
