//! A plot: lines over a few positions on an axis, with the spread of each point.

use crate::spread::Spread;
use crate::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;

const SIZE: (u32, u32) = (820, 400);
/// Width of the legend.
const LEGEND: u32 = 190;
/// Distance between positions, and from the first and the last one to the edge.
const DISTANCE: i32 = 100;
const MARGIN: i32 = 20;
/// Distinguishable without red and green.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 90, 0),
    RGBColor(90, 90, 90),
    RGBColor(120, 60, 160),
    RGBColor(0, 150, 150),
    RGBColor(190, 150, 0),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = std::result::Result<(), Box<dyn std::error::Error + 'a>>;

/// What to draw.
pub struct Plot {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// Labels of the positions on the axis, at equal distances.
    pub places: Vec<String>,
    pub lines: Vec<Line>,
    /// Name and value of a reference line, if there is one.
    pub mark: Option<(&'static str, f64)>,
}

/// One point per position, if measured.
#[derive(Clone)]
pub struct Line {
    pub name: String,
    pub points: Vec<Option<Spread>>,
}

impl Plot {
    /// Renders the plot as SVG. None if there is nothing to draw.
    pub fn svg(&self) -> Result<Option<String>> {
        if self.drawn().next().is_none() {
            return Ok(None);
        }
        let mut text = String::new();
        self.draw(&mut text).map_err(|error| Error::Plot(format!("{}: {error}", self.title)))?;
        // Not every renderer ends its output with a newline.
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Some(text))
    }

    fn draw(&self, text: &mut String) -> Drawn<'_> {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        // The legend is beside the plot, where it hides nothing.
        let (left, right) = area.split_horizontally(SIZE.0 - LEGEND);
        self.draw_lines(&left)?;
        self.draw_legend(&right)?;
        area.present()?;
        Ok(())
    }

    fn draw_lines(&self, area: &Area<'_>) -> Drawn<'_> {
        let (first, last) = (-MARGIN, self.places.len() as i32 * DISTANCE - DISTANCE + MARGIN);
        let x = (first..last).with_key_points((0..self.places.len() as i32).map(|place| place * DISTANCE).collect());
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(x, 0.0..self.top() * 1.1)?;
        let place = |x: &i32| self.places.get((x / DISTANCE) as usize).cloned().unwrap_or_default();
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&place)
            .y_label_formatter(&number)
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .draw()?;
        if let Some((_, mark)) = self.mark {
            chart.draw_series([PathElement::new([(first, mark), (last, mark)], BLACK)])?;
        }
        for (line, colour) in self.drawn() {
            let places = (0..).step_by(DISTANCE as usize).zip(&line.points);
            let points: Vec<(i32, Spread)> = places.filter_map(|(x, point)| Some((x, (*point)?))).collect();
            let medians: Vec<(i32, f64)> = points.iter().map(|(x, y)| (*x, y.median)).collect();
            let spread = |(x, y): &(i32, Spread)| PathElement::new([(*x, y.min), (*x, y.max)], colour);
            chart.draw_series([PathElement::new(medians.as_slice(), colour.stroke_width(2))])?;
            chart.draw_series(points.iter().map(spread))?;
            chart.draw_series(medians.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
        }
        Ok(())
    }

    fn draw_legend(&self, area: &Area<'_>) -> Drawn<'_> {
        let lines = self.drawn().map(|(line, colour)| (line.name.as_str(), colour.stroke_width(3)));
        let mark = self.mark.map(|(name, _)| (name, BLACK.stroke_width(1)));
        for (y, (name, style)) in (60..).step_by(22).zip(lines.chain(mark)) {
            area.draw(&PathElement::new([(0, y), (18, y)], style))?;
            area.draw(&Text::new(name, (24, y - 7), ("sans-serif", 13)))?;
        }
        Ok(())
    }

    /// Returns the lines that have points.
    fn drawn(&self) -> impl Iterator<Item = (&Line, RGBColor)> {
        self.lines.iter().zip(COLOURS).filter(|(line, _)| line.points.iter().any(Option::is_some))
    }

    /// Returns the highest value to show.
    fn top(&self) -> f64 {
        let points = self.lines.iter().flat_map(|line| line.points.iter().flatten()).map(|point| point.max);
        points.chain(self.mark.map(|(_, mark)| mark)).fold(0.0, f64::max)
    }
}

/// Formats a number with thousands separators, and with decimals if it is small.
pub fn number(value: &f64) -> String {
    let plain = if *value < 10.0 && value.fract() != 0.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    if *value < 1000.0 {
        return plain;
    }
    let digits = plain.len();
    let group =
        |(index, digit)| if index > 0 && (digits - index) % 3 == 0 { format!(",{digit}") } else { format!("{digit}") };
    plain.chars().enumerate().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<Option<Spread>>) -> Plot {
        let line = Line { name: "linear10".into(), points };
        Plot {
            title: "Speed",
            x: "clients",
            y: "steps/s",
            places: vec!["1".into(), "8".into()],
            lines: vec![line],
            mark: Some(("the queue", 1.0)),
        }
    }

    #[test]
    fn a_plot_names_its_axes_and_its_lines() {
        let point = Some(Spread { median: 2.0, min: 1.0, max: 3.0 });
        let svg = plot(vec![point, None]).svg().unwrap().unwrap();
        for word in ["Speed", "clients", "steps/s", "linear10", "the queue", ">\n8\n<"] {
            assert!(svg.contains(word), "{word}: {svg}");
        }
    }

    #[test]
    fn there_is_no_plot_of_nothing() {
        assert!(plot(vec![None, None]).svg().unwrap().is_none());
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            ["0.25", "4", "900", "1,000", "75,000", "1,250,000"],
            [0.25, 4.0, 900.0, 1000.0, 75_000.0, 1.25e6].map(|n| number(&n))
        );
    }
}
