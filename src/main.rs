//! Arguments, telemetry, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    costband::cli::main()
}
