//! Coverage of definitions by tests, as figures and as pictures.

use crate::check::load::Loaded;
use crate::exit_status::Failure;
use crate::output;
use crate::picture::{self, Paint};
use crate::test::{Arguments, Format, Tested};
use conductor::finding::shorten;
use conductor::rehearsal::coverage::Coverage;
use std::collections::BTreeSet;
use std::path::Path;

/// Prints how much of a definition was reached, if requested. Returns whether it is enough.
pub fn covers(tested: &Tested, arguments: &Arguments) -> bool {
    if !arguments.coverage && arguments.coverage_threshold.is_none() {
        return true;
    }
    let print = |text: String| {
        if arguments.format == Format::Human {
            output::line(&text);
        } else {
            output::note("coverage", output::Style::Bold, &text);
        }
    };
    let report = tested.coverage.report(&tested.loaded.graph, &tested.loaded.parsed);
    // Rounded down: 99.9 % is not all.
    let (name, percent) = (&tested.loaded.name, report.percent().floor());
    let (covered, total) = (report.covered, report.total);
    print(format!("{name}: {percent} % covered ({covered} of {total} tasks and transitions)"));
    for missed in report.missed.iter().filter(|_| arguments.coverage) {
        print(format!("  {name}:{}: {}", missed.line, missed.what));
    }
    let enough = arguments.coverage_threshold.is_none_or(|threshold| report.percent() >= threshold);
    if !enough {
        let threshold = arguments.coverage_threshold.unwrap_or_default();
        print(format!("{name}: less than the required {threshold} %"));
    }
    enough
}

/// Writes a picture of each definition to a directory: parts that tests have reached in green, the others in red.
pub fn draw<'t>(folder: &Path, tested: impl Iterator<Item = &'t Tested>) -> Result<(), Failure> {
    let failed = |error| Failure::unusable(error).about(folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    for Tested { loaded, coverage } in tested {
        let (Some(definition), Some(graph)) = (loaded.parsed.valid(), graph(loaded, coverage)) else { continue };
        std::fs::write(folder.join(format!("{}.svg", definition.reference)), picture::svg(&graph)).map_err(failed)?;
    }
    Ok(())
}

/// Returns the graph of a definition in which the parts that tests have reached are marked.
pub fn graph(loaded: &Loaded, coverage: &Coverage) -> Option<picture::Graph> {
    let definition = loaded.parsed.valid()?;
    let missed: BTreeSet<String> =
        coverage.report(&loaded.graph, &loaded.parsed).missed.into_iter().map(|missed| missed.what).collect();
    let mut graph = picture::of_definition(definition);
    for node in &mut graph.nodes {
        let reached = !missed.contains(&format!("task {}", node.name));
        node.paint = if reached { Paint::Completed } else { Paint::Failed };
    }
    // A transition is identified in the same way as in the report.
    for edge in &mut graph.edges {
        let task = definition.tasks.iter().find(|task| task.name == edge.from_name);
        let next = task.and_then(|task| task.next.get(edge.number));
        let Some(next) = next else { continue };
        let to = if next.targets.is_empty() { "its end".to_owned() } else { next.targets.join(", ") };
        let when = next.when.as_ref().map(|when| format!(" when {}", shorten(when, 80))).unwrap_or_default();
        edge.missed = missed.contains(&format!("transition from {} to {to}{when}", edge.from_name));
    }
    Some(graph)
}
