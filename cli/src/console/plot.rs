//! Plots over time, as SVG colored by style sheets.

use super::page;
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use pg_workflow_client::ExecutionRate;

const MINUTES: i64 = 60;
const WIDTH: f64 = 12.0;
const HEIGHT: f64 = 120.0;

/// Shows the outcomes of executions, minute by minute: ended ones as bars, started ones as a line.
pub fn rates(rates: &[ExecutionRate], now: DateTime<Utc>) -> Markup {
    let minute = now.timestamp() / 60;
    let at = |rate: &ExecutionRate| MINUTES - 1 - (minute - rate.minute.timestamp() / 60);
    let shown: Vec<(i64, &ExecutionRate)> =
        rates.iter().map(|rate| (at(rate), rate)).filter(|(at, _)| (0..MINUTES).contains(at)).collect();
    let ended = |rate: &ExecutionRate| rate.completed + rate.failed + rate.cancelled;
    let most = shown.iter().map(|(_, rate)| ended(rate).max(rate.started)).max().unwrap_or(0).max(1);
    let scale = |number: i64| number as f64 / most as f64 * HEIGHT;
    let sum = |of: fn(&ExecutionRate) -> i64| page::number(shown.iter().map(|(_, rate)| of(rate)).sum());
    let (started, completed) = (sum(|rate| rate.started), sum(|rate| rate.completed));
    let (failed, cancelled) = (sum(|rate| rate.failed), sum(|rate| rate.cancelled));
    let words =
        format!("{started} started, {completed} completed, {failed} failed, {cancelled} cancelled in the last hour");
    let mut points = vec![HEIGHT; MINUTES as usize];
    shown.iter().for_each(|(at, rate)| points[*at as usize] = HEIGHT - scale(rate.started));
    let line: Vec<String> =
        points.iter().enumerate().map(|(at, y)| format!("{:.0},{y:.1}", at as f64 * WIDTH + WIDTH / 2.0)).collect();
    let width = MINUTES as f64 * WIDTH;
    html! {
        p.legend {
            span.key.k-started { "started " (started) } span.key.k-completed { "completed " (completed) }
            span.key.k-failed { "failed " (failed) } span.key.k-cancelled { "cancelled " (cancelled) }
            span.dim { "at most " (page::number(most)) " a minute" }
        }
        svg.plot viewBox=(format!("0 0 {width:.0} {:.0}", HEIGHT + 18.0)) role="img" aria-label=(words) preserveAspectRatio="none" {
            line.axis x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (at, rate) in &shown {
                @let x = *at as f64 * WIDTH + 1.5;
                g {
                    title { (rate.minute.format("%H:%M UTC")) ": " (rate.started) " started, " (rate.completed) " completed, " (rate.failed) " failed" }
                    @let (a, b, c) = (scale(rate.completed), scale(rate.failed), scale(rate.cancelled));
                    (bar("b-completed", x, HEIGHT - a, a)) (bar("b-failed", x, HEIGHT - a - b, b)) (bar("b-cancelled", x, HEIGHT - a - b - c, c))
                }
            }
            polyline.started points=(line.join(" ")) {}
        }
        p.axis-names {
            span { (format!("{}", (now - TimeDelta::minutes(MINUTES)).format("%H:%M"))) } span { (format!("{}", (now - TimeDelta::minutes(MINUTES / 2)).format("%H:%M"))) }
            span { "now (" (now.format("%H:%M")) " UTC)" }
        }
    }
}

fn bar(class: &str, x: f64, y: f64, height: f64) -> Markup {
    html! { @if height > 0.0 { rect class=(class) x=(x) y=(format!("{y:.1}")) width=(WIDTH - 3.0) height=(format!("{height:.1}")) {} } }
}
