//! Arguments, telemetry, dispatch, exit code.

fn main() {}
