//! Pictures as the output of a command: SVG or PNG, printed or written to a file.

use crate::exit_status::Failure;
use crate::output;
use crate::picture;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Whether to draw a picture, and where to put what the command prints.
#[derive(clap::Args)]
pub struct Drawing {
    /// Draw it as SVG
    #[arg(long)]
    svg: bool,
    /// Draw it as PNG
    #[arg(long, conflicts_with = "svg")]
    png: bool,
    /// Write it to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A kind of picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Svg,
    Png,
}

impl Drawing {
    /// Returns the kind of picture that the options ask for, if any.
    pub fn kind(&self) -> Option<Kind> {
        match (self.svg, self.png) {
            (true, _) => Some(Kind::Svg),
            (_, true) => Some(Kind::Png),
            _ => None,
        }
    }

    /// Refuses to print what a terminal can't show. Called before anything is asked of a database.
    pub fn admit(&self, kind: Option<Kind>) -> Result<(), Failure> {
        match kind {
            Some(Kind::Png) if self.output.is_none() && std::io::stdout().is_terminal() => {
                Err(Failure::unusable("a terminal can't show PNG").hint("Name a file with --output."))
            }
            _ => Ok(()),
        }
    }

    /// Prints a picture, or writes it to the file.
    pub fn draw(&self, kind: Kind, svg: String) -> Result<(), Failure> {
        self.put(&match kind {
            Kind::Svg => svg.into_bytes(),
            Kind::Png => pixels(&svg)?,
        })
    }

    /// Prints text or a picture, or writes it to the file.
    pub fn put(&self, drawn: &[u8]) -> Result<(), Failure> {
        match &self.output {
            None => {
                output::write(drawn);
                Ok(())
            }
            Some(path) => std::fs::write(path, drawn).map_err(|error| Failure::unusable(error).about(path.display())),
        }
    }
}

fn pixels(svg: &str) -> Result<Vec<u8>, Failure> {
    let picture::Png { bytes, shrunk } = picture::png(svg)?;
    if shrunk < 0.5 {
        output::warning(&format!("the picture is drawn at {:.0} % of its size: --svg keeps all of it", shrunk * 100.0));
    }
    Ok(bytes)
}
