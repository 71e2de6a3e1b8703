//! `make conformance`: plays all cases of CONFORMANCE_DIR, on the conductor and on a server, and prints those that
//! fail.

use pg_workflow_tests::conformance;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    Ok(match conformance::run_all()? {
        Some(false) => ExitCode::FAILURE,
        Some(true) | None => ExitCode::SUCCESS,
    })
}
