//! Draws bars along an axis of time as SVG: when each of several tasks waited and ran.

use super::Paint;
use super::svg::{escaped, plain};
use std::fmt::Write;

/// A bar. Its times are milliseconds from the beginning of the axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub name: String,
    /// What is written beside it.
    pub notes: String,
    pub paint: Paint,
    pub created: i64,
    /// When it began to run, if it did.
    pub begun: Option<i64>,
    pub ended: i64,
}

const ROW: f64 = 22.0;
const HEIGHT: f64 = ROW - 6.0;
/// Space for names, for the bars, and for what is written beside them.
const LEFT: f64 = 250.0;
const WIDTH: f64 = 720.0;
const RIGHT: f64 = 170.0;
/// Space for the title and for the times.
const TOP: f64 = 54.0;

/// Readable distances between the lines of the axis, in milliseconds.
const STEPS: [i64; 31] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    28_800_000,
    86_400_000,
    172_800_000,
    604_800_000,
    2_592_000_000,
    7_776_000_000,
    31_536_000_000,
];
/// Maximum number of these lines.
const LINES: i64 = 8;

/// Returns a picture of bars on an axis of this many milliseconds.
pub fn bars(title: &str, whole: i64, bars: &[Bar]) -> String {
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + bars.len() as f64 * ROW + 8.0);
    let at = |time: i64| LEFT + (time as f64 / whole.max(1) as f64).clamp(0.0, 1.0) * WIDTH;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"20\" font-weight=\"bold\">{}</text>\n",
        plain(title)
    );
    if !bars.is_empty() {
        axis(&mut text, whole, height, at);
    }
    for (row, bar) in bars.iter().enumerate() {
        draw(&mut text, bar, TOP + row as f64 * ROW + 3.0, at);
    }
    text + "</svg>\n"
}

fn axis(text: &mut String, whole: i64, height: f64, at: impl Fn(i64) -> f64) {
    let step = STEPS.into_iter().find(|step| whole / step < LINES).unwrap_or(whole / LINES);
    for time in (0..=whole).step_by(usize::try_from(step).unwrap_or(1)) {
        let x = at(time);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"#ddd\"/>\n\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#555\">{}</text>",
            TOP - 6.0,
            on_axis(time)
        );
    }
}

fn draw(text: &mut String, bar: &Bar, y: f64, at: impl Fn(i64) -> f64) {
    let (created, ended) = (at(bar.created), at(bar.ended));
    let begun = bar.begun.map_or(ended, &at).min(ended);
    let status = bar.paint.status();
    let line = y + HEIGHT / 2.0;
    let _ = writeln!(
        text,
        "<g><title>{}: {status}</title>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
         <line x1=\"{created:.1}\" y1=\"{line}\" x2=\"{begun:.1}\" y2=\"{line}\" stroke=\"#777\" stroke-dasharray=\"2 3\"/>",
        escaped(&bar.name),
        LEFT - 10.0,
        y + 12.0,
        escaped(&conductor::finding::shorten(&bar.name, 34)),
    );
    // A bar remains visible even if it took no time at all.
    let width = if bar.begun.is_some() { (ended - begun).max(2.0) } else { 0.0 };
    if width > 0.0 {
        let color = bar.paint.color();
        let _ = writeln!(
            text,
            "<rect x=\"{begun:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"3\" fill=\"{color}\" stroke=\"#333\"/>"
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{:.1}\" y=\"{}\" font-size=\"10\" fill=\"#555\">{}</text></g>",
        begun + width + 6.0,
        y + 11.5,
        escaped(&bar.notes)
    );
}

/// Returns a duration in readable form.
pub fn took(milliseconds: i64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0..1000 => format!("{milliseconds}ms"),
        1000..60_000 => format!("{:.1}s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Returns a time on the axis: a duration without the units that are always zero at this step.
fn on_axis(milliseconds: i64) -> String {
    let text = took(milliseconds);
    let short = [(".0s", "s"), ("m00s", "m"), ("h00m", "h"), ("d00h", "d")];
    let short = short.iter().find_map(|(long, short)| Some(text.strip_suffix(long)?.to_owned() + short));
    match milliseconds {
        0 => "0".to_owned(),
        _ => short.unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let shown: Vec<String> = [0, 999, 1500, 61_000, 3_720_000, 90_000_000].map(took).into();
        assert_eq!(shown, ["0ms", "999ms", "1.5s", "1m01s", "1h02m", "1d01h"]);
        let shown: Vec<String> = [0, 500, 1000, 1500, 120_000, 7_200_000, 172_800_000].map(on_axis).into();
        assert_eq!(shown, ["0", "500ms", "1s", "1.5s", "2m", "2h", "2d"]);
    }

    #[test]
    fn bars_lie_where_their_times_are() {
        let bar = |name: &str, paint, created, begun, ended| Bar {
            name: name.to_owned(),
            notes: String::new(),
            paint,
            created,
            begun,
            ended,
        };
        let drawn = bars(
            "It",
            1000,
            &[
                bar("a<b", Paint::Completed, 0, Some(500), 1000),
                bar("never", Paint::Pending, 1000, None, 1000),
                bar("at once", Paint::Failed, 1000, Some(1000), 1000),
            ],
        );
        assert!(drawn.contains("x1=\"250.0\" y1=\"65\" x2=\"610.0\""), "it waited until the middle: {drawn}");
        assert!(drawn.contains("x=\"610.0\" y=\"57\" width=\"360.0\""), "then it ran: {drawn}");
        assert!(drawn.contains("<title>a&lt;b: completed</title>") && !drawn.contains("a<b"), "{drawn}");
        assert_eq!(drawn.matches("rx=\"3\"").count(), 2, "what never ran has no bar: {drawn}");
        assert!(drawn.contains("width=\"2.0\""), "{drawn}");
        for whole in [0, 1, 7, 999, 86_400_000, i64::MAX] {
            let lines = bars("It", whole, &[bar("a", Paint::Plain, 0, None, 0)]).matches("stroke=\"#ddd\"").count();
            assert!((1..=9).contains(&lines), "{whole}: {lines}");
        }
    }
}
