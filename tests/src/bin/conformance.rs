//! `make conformance`: plays all cases of CONFORMANCE_DIR and prints each that does not hold.

use pg_workflow_tests::conformance::{self, Case, Verdict, engine::Engine, memory::Memory};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let folder = std::env::var_os("CONFORMANCE_DIR").map_or_else(|| "../shared/conformance".into(), PathBuf::from);
    let Some(cases) = conformance::read(&folder)? else {
        println!("conformance: skipped, there is no folder {} (set CONFORMANCE_DIR)", folder.display());
        return Ok(ExitCode::SUCCESS);
    };
    let held = run("conductor", &cases, || Box::new(Memory::default()));
    Ok(if held && !cases.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(name: &str, cases: &[Case], engine: impl Fn() -> Box<dyn Engine>) -> bool {
    let (mut hold, mut depart) = (0, 0);
    for case in cases {
        match conformance::play(case, engine().as_mut()) {
            Verdict::Holds => hold += 1,
            Verdict::Departs(reason) => {
                depart += 1;
                println!("{name}: {} departs: {reason}", case.id);
            }
            Verdict::Fails(difference) => println!("{name}: {} FAILS: {difference}", case.id),
        }
    }
    let departing = if depart > 0 { format!(", {depart} depart") } else { String::new() };
    println!("conformance ({name}): {hold} of {} cases hold{departing}", cases.len());
    hold + depart == cases.len()
}
