//! `pg-workflow graph`: draws a definition, a workflow or an execution.

use super::drawing::{Drawing, Kind};
use crate::check::load;
use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::files;
use crate::output::{Style, styled, visible};
use crate::picture::{self, Paint};
use crate::table;
use conductor::view::diagram;
use pg_workflow_client::{Engine, GraphFormat};
use std::path::Path;

/// Draw an execution with the status of each task, a workflow, or a definition's file
#[derive(clap::Args)]
pub struct Graph {
    /// The id of an execution, the ref of a workflow, or a file
    #[arg(value_name = "ID|REF|FILE")]
    what: String,
    /// How to draw it
    #[arg(long, value_name = "FORMAT", default_value = "text", conflicts_with_all = ["svg", "png"])]
    format: Format,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line for each step, for the terminal
    Text,
    /// Mermaid, which GitHub and many editors show
    Mermaid,
    /// DOT, for Graphviz
    Dot,
    /// A picture that can be scaled
    Svg,
    /// A picture in pixels
    Png,
}

/// Draws a definition, a workflow or an execution.
pub fn draw(arguments: Graph) -> crate::Ended {
    let Graph { drawing, format, .. } = &arguments;
    let kind = drawing.kind().or(format.picture());
    drawing.admit(kind)?;
    let path = Path::new(&arguments.what);
    let text = match arguments.what.parse::<i64>() {
        Err(_) if path.is_file() => of_file(path, *format)?,
        Err(_) if names_a_file(&arguments.what) => {
            let what = if path.exists() { "is not a file" } else { "does not exist" };
            return Err(Failure::unusable(format!("the file {} {what}", arguments.what)));
        }
        execution => {
            let language = if *format == Format::Mermaid { GraphFormat::Mermaid } else { GraphFormat::Dot };
            wait_for(async {
                let mut session = arguments.connection.open().await?;
                Ok::<_, Failure>(match execution {
                    Ok(execution) => Engine::execution_graph(&mut session, execution, language).await?,
                    Err(_) => Engine::graph(&mut session, &arguments.what, language).await?,
                })
            })??
        }
    };
    match (kind, format) {
        (Some(kind), _) => drawing.draw(kind, picture::svg(&picture::of_dot(&text)))?,
        (None, Format::Text) => drawing.put(lines(&picture::of_dot(&text)).as_bytes())?,
        (None, _) => drawing.put(text.as_bytes())?,
    }
    Ok(Ending::Good)
}

/// Whether a text can only be meant as a file, rather than as the ref of a workflow.
fn names_a_file(what: &str) -> bool {
    what.contains('/') || [".yaml", ".yml", ".json", ".md"].iter().any(|end| what.ends_with(end))
}

impl Format {
    fn picture(self) -> Option<Kind> {
        match self {
            Format::Svg => Some(Kind::Svg),
            Format::Png => Some(Kind::Png),
            _ => None,
        }
    }
}

fn of_file(path: &Path, format: Format) -> Result<String, Failure> {
    let name = files::shown(path);
    let loaded = load::definition(path).map_err(|why| Failure::unusable(why.show(&name)).about(&name))?;
    let definition = loaded.parsed.valid().ok_or_else(|| Failure::unusable("it is empty").about(&name))?;
    Ok(match format {
        Format::Mermaid => diagram::mermaid(definition, None),
        _ => diagram::dot(definition, None),
    })
}

/// A layer of a graph: lines with its tasks side by side.
pub struct Layer {
    pub text: String,
    /// Whether any of its tasks is running.
    pub runs: bool,
}

impl Layer {
    /// Returns how many lines it has.
    pub fn height(&self) -> usize {
        self.text.lines().count()
    }
}

/// Returns the layers of a graph, as wide as the terminal.
pub fn layers(graph: &picture::Graph) -> Vec<Layer> {
    let columns = table::columns().unwrap_or(usize::MAX);
    let of = picture::layers(graph);
    let layer = |number: usize| {
        let here = || graph.nodes.iter().zip(&of).filter(|(_, of)| **of == number).map(|(node, _)| node);
        let names: Vec<String> = here()
            .map(|node| {
                let (sign, style) = sign(node.paint);
                styled(style, &format!("{sign} {}", visible(&node.name)))
            })
            .collect();
        let text = table::folded(names.iter().map(String::as_str), "   ", columns.saturating_sub(2), 2);
        let lines: Vec<String> =
            text.lines().map(|line| format!("  {}\n", table::cut(line, columns.saturating_sub(2)))).collect();
        Layer { text: lines.concat(), runs: here().any(|node| node.paint == Paint::Running) }
    };
    (0..of.iter().max().map_or(0, |last| last + 1)).map(layer).collect()
}

/// Returns a graph as lines: one for each layer, or more if the terminal is too narrow.
pub fn lines(graph: &picture::Graph) -> String {
    layers(graph).into_iter().map(|layer| layer.text).collect()
}

fn sign(paint: Paint) -> (char, Style) {
    match paint {
        Paint::Plain | Paint::Pending => ('○', Style::Dim),
        Paint::Running => ('●', Style::Blue),
        Paint::Completed => ('✓', Style::Green),
        Paint::Failed => ('✗', Style::Red),
        Paint::Skipped => ('–', Style::Dim),
        Paint::Cancelled => ('⊘', Style::Yellow),
    }
}
