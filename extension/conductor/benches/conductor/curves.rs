//! Measurements as ratios: a table for people, and a plot in the folder of criterion's own reports.

use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A group of measurements, the name of its line, and whether its cost is that of one of many.
const CURVES: [(&str, &str, bool); 8] = [
    ("completion", "a completion, by tasks in the graph", false),
    ("arrival", "the last arrival at a join, by tasks it waits for", false),
    ("item", "an item, by items done before it", false),
    ("items", "each item, by items of the task", true),
    ("start", "a start, by tasks in the graph", false),
    ("define", "each task of a definition, by tasks in it", true),
    ("remember", "reading and writing the state at a join, by tasks that have arrived", false),
    ("remember_values", "the same, if each has published a value", false),
];
const COLOURS: [&str; 8] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#ff7f0e", "#17becf", "#7f7f7f"];
/// Maximum multiple in the plot. Curves that grow more are only in the table, because all other lines would look like
/// one beside them.
const MAX_PLOTTED: f64 = 12.0;

/// Sizes, and the cost of an event at each, as multiples of the first.
type Points = Vec<(f64, f64)>;

/// Writes `conductor.svg` and prints the table. Whatever was not measured is left out.
pub fn write() -> std::io::Result<()> {
    let folder = folder();
    let mut curves = Vec::new();
    for (group, name, each) in CURVES {
        let points = points(&folder.join(group), each);
        if points.len() > 1 {
            curves.push((name, points));
        }
    }
    if curves.is_empty() {
        return Ok(());
    }
    println!("| cost of | at | relative to the first |\n| --- | --- | --- |");
    for (name, points) in &curves {
        let list = |value: &dyn Fn(&(f64, f64)) -> String| points.iter().map(value).collect::<Vec<_>>().join(", ");
        println!(
            "| {name} | {} | {} |",
            list(&|point| format!("{}", point.0)),
            list(&|point| format!("{:.2}", point.1))
        );
    }
    curves.retain(|(_, points)| points.iter().all(|point| point.1 <= MAX_PLOTTED));
    std::fs::write(folder.join("conductor.svg"), plot(&curves))
}

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")).join("criterion")
}

fn points(group: &Path, each: bool) -> Points {
    let mut found: Points = Vec::new();
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        let size = entry.file_name().to_str().and_then(|name| name.parse::<f64>().ok());
        let estimates = std::fs::read_to_string(entry.path().join("new/estimates.json")).ok();
        let estimates = estimates.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let median = estimates.and_then(|estimates| estimates["median"]["point_estimate"].as_f64());
        found.extend(size.zip(median).map(|(size, time)| (size, if each { time / size } else { time })));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let first = found.first().map_or(1.0, |point| point.1);
    found.into_iter().map(|(size, time)| (size, time / first)).collect()
}

/// Draws sizes on a logarithmic horizontal axis, and multiples on the vertical axis.
fn plot(curves: &[(&str, Points)]) -> String {
    let most = curves.iter().flat_map(|(_, points)| points).map(|point| point.1).fold(2.0, f64::max).ceil();
    let x = |size: f64| 50.0 + size.log10() * 130.0;
    let y = |ratio: f64| 270.0 - ratio / most * 240.0;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 460\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"640\" height=\"460\" fill=\"white\"/>\n",
    );
    let mut line = |text: std::fmt::Arguments| {
        // Writing to a string never fails.
        let _ = svg.write_fmt(text);
    };
    for power in 0..=4 {
        let (at, size) = (x(10f64.powi(power)), 10u32.pow(power as u32));
        line(format_args!(
            "<path d=\"M{at} 30V270\" stroke=\"#ddd\"/><text x=\"{at}\" y=\"286\" text-anchor=\"middle\">{size}</text>\n"
        ));
    }
    for ratio in 0..=most as u32 {
        let at = y(f64::from(ratio));
        line(format_args!(
            "<path d=\"M50 {at}H570\" stroke=\"#ddd\"/><text x=\"42\" y=\"{}\" text-anchor=\"end\">{ratio}</text>\n",
            at + 4.0
        ));
    }
    line(format_args!("<text x=\"50\" y=\"20\">cost relative to the smallest size</text>\n"));
    for (((name, points), colour), place) in curves.iter().zip(COLOURS).zip(0..) {
        let path: Vec<String> = points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        line(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            path.join(" ")
        ));
        for point in points {
            line(format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>\n",
                x(point.0),
                y(point.1)
            ));
        }
        let at = 312 + place * 18;
        line(format_args!(
            "<path d=\"M50 {}h24\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"82\" y=\"{at}\">{name}</text>\n",
            at - 4
        ));
    }
    svg + "</svg>\n"
}
