//! Sheets of panels, each with curves over the same steps.
//!
//! Titles and legends stand above the axes, where no curve runs through them. A curve is drawn as
//! it is; a long one faint, under its running mean; one of few values with dots.

use std::sync::Arc;

use kuva::TickFormat;
use kuva::plot::line::LinePlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple, render_twin_y};

use crate::error::Result;
use crate::frame::encode_png;
use crate::legend::{LegendEntry, Swatch, add_legend};
use crate::smooth::{outline, quantile, running_mean, smoothing_window};
use crate::text::{TEXT_SIZE, format_linear_tick, format_percent, place_text, place_title};

/// Pixels of a panel, and above all panels.
const PANEL_WIDTH: f64 = 600.0;
const PANEL_HEIGHT: f64 = 320.0;
const HEADING: f64 = 64.0;

/// Pixels around the axes of a panel.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 34.0;

/// Pixels right of the axes where a second axis stands.
const RIGHT_AXIS: f64 = 66.0;

/// Curves of fewer points show where those are.
const MARKED_BELOW: usize = 60;

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is called.
    pub name: String,
    /// `#rrggbb`.
    pub color: &'static str,
    /// Step and value, by ascending step, finite.
    pub points: Vec<(f64, f64)>,
    /// Drawn against the axis on the right.
    pub right: bool,
}

/// A dashed horizontal line, in the colour of the curve it belongs to.
#[derive(Clone, Debug)]
pub struct ReferenceValue {
    /// Where, on the axis on the left.
    pub value: f64,
    /// `#rrggbb`.
    pub color: &'static str,
}

/// Where an axis of values begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSpan {
    /// Around the values.
    Values,
    /// From zero to above the values.
    FromZero,
    /// Accuracies: tenths around the values.
    Tenths,
    /// 0 to 1, and below 0 where values are.
    Unit,
}

/// A group of curves over the same steps.
#[derive(Clone, Debug)]
pub struct CurvePanel {
    /// The quantity.
    pub title: &'static str,
    /// The curves; without a second one there is no legend.
    pub curves: Vec<Curve>,
    /// Values to compare with.
    pub references: Vec<ReferenceValue>,
    /// What the dashed lines are.
    pub note: &'static str,
    /// Ends of the axes of values.
    pub span: ValueSpan,
    /// Values are fractions, shown in percent.
    pub percent: bool,
    /// Those of the axis on the right likewise.
    pub right_percent: bool,
}

/// Panels in a grid under a heading.
#[derive(Clone, Debug)]
pub struct CurveSheet {
    /// Of what the curves are.
    pub title: String,
    /// How long, and how to read the picture.
    pub subtitle: String,
    /// The panels, row by row.
    pub panels: Vec<CurvePanel>,
}

impl CurveSheet {
    /// The panels, three a row (two, if that leaves no hole) of 600 x 320 pixels each, as a PNG.
    ///
    /// # Errors
    /// Fails if the plot library does.
    pub fn draw(&self) -> Result<Vec<u8>> {
        let count = self.panels.len();
        let columns = if matches!(count, 2 | 4) { 2 } else { count.clamp(1, 3) };
        let height = HEADING + PANEL_HEIGHT * count.div_ceil(columns) as f64;
        let mut scene = Scene::new(PANEL_WIDTH * columns as f64, height);
        scene.add(place_title(&self.title, 24.0, 30.0, 20));
        scene.add(place_text(&self.subtitle, 24.0, 52.0, TextAnchor::Start, 14));
        let last = self.panels.iter().flat_map(|p| &p.curves).flat_map(|c| c.points.last()).map(|p| p.0);
        let steps = last.fold(1.0, f64::max);
        for (i, panel) in self.panels.iter().enumerate() {
            let x = PANEL_WIDTH * (i % columns) as f64;
            let y = HEADING + PANEL_HEIGHT * (i / columns) as f64;
            let drawn = panel.draw(steps);
            scene.defs.extend(drawn.defs);
            let transform = Some(format!("translate({x},{y})"));
            scene.add(Primitive::GroupStart { transform, title: None, extra_attrs: None });
            drawn.elements.into_iter().for_each(|element| scene.add(element));
            scene.add(Primitive::GroupEnd);
        }
        encode_png(&scene)
    }
}

impl CurvePanel {
    fn draw(&self, steps: f64) -> Scene {
        let (right, left): (Vec<&Curve>, Vec<&Curve>) = self.curves.iter().partition(|curve| curve.right);
        let layout = self.lay_out(&left, steps, if right.is_empty() { RIGHT } else { RIGHT_AXIS });
        let mut scene = if right.is_empty() {
            render_multiple(draw_lines(&left), layout)
        } else {
            let (low, high) = self.limits(&right);
            let layout = layout
                .with_y2_range(low, high)
                .with_y2_axis_min(low)
                .with_y2_axis_max(high)
                .with_y2_tick_format(tick_format(self.right_percent));
            render_twin_y(draw_lines(&left), draw_lines(&right), layout)
        };
        scene.add(place_title(self.title, LEFT, 18.0, 15));
        self.add_names(&mut scene);
        scene.add(place_text("step", PANEL_WIDTH - 58.0, PANEL_HEIGHT - 4.0, TextAnchor::Start, 12));
        scene
    }

    fn lay_out(&self, left: &[&Curve], steps: f64, right_margin: f64) -> Layout {
        let (low, high) = self.limits(left);
        let mut layout = Layout::new((0.0, steps), (low, high))
            .with_width(PANEL_WIDTH)
            .with_height(PANEL_HEIGHT)
            .with_force_margins_y(TOP, BOTTOM)
            .with_force_margins(LEFT, right_margin)
            .with_tick_size(12)
            .with_x_axis_min(0.0)
            .with_x_axis_max(steps)
            .with_y_axis_min(low)
            .with_y_axis_max(high)
            .with_x_tick_format(tick_format(false))
            .with_y_tick_format(tick_format(self.percent));
        layout.show_legend = false;
        layout.theme.grid_color = "#e8e8e8".to_owned();
        for reference in self.references.iter().filter(|r| (low..=high).contains(&r.value)) {
            let line = ReferenceLine::horizontal(reference.value).with_color(reference.color);
            layout = layout.with_reference_line(line.with_stroke_width(1.2).with_dasharray("5 4"));
        }
        layout
    }

    /// Ends of an axis of values: single spikes are cut, smoothed curves and dashed lines are not.
    fn limits(&self, curves: &[&Curve]) -> (f64, f64) {
        let mut raw: Vec<f64> = curves.iter().flat_map(|c| c.points.iter().map(|p| p.1)).collect();
        let (mut low, mut high) = (quantile(&mut raw, 0.003), quantile(&mut raw, 0.997));
        let smoothed = curves.iter().flat_map(|c| running_mean(&c.points, smoothing_window(c.points.len())));
        let references = self.references.iter().map(|r| r.value);
        let references = references.filter(|_| curves.iter().any(|c| !c.right));
        for value in smoothed.map(|p| p.1).chain(references) {
            (low, high) = (low.min(value), high.max(value));
        }
        let room = 0.06 * (high - low).max(1e-3 * high.abs()).max(1e-12);
        match self.span {
            ValueSpan::Values => (if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high + room),
            ValueSpan::FromZero => (low.min(0.0), high + room),
            ValueSpan::Tenths => {
                ((10.0 * low - 0.1).floor().max(0.0) / 10.0, (10.0 * high + 0.1).ceil().min(10.0) / 10.0)
            }
            ValueSpan::Unit => ((10.0 * low).floor().clamp(-10.0, 0.0) / 10.0, 1.0),
        }
    }

    /// Names of the curves beside their colours, in a line under the title, and the note after them.
    fn add_names(&self, scene: &mut Scene) {
        if self.curves.len() < 2 && self.note.is_empty() {
            return;
        }
        let entry = |curve: &Curve| LegendEntry { name: curve.name.clone(), color: curve.color };
        let entries: Vec<LegendEntry> = self.curves.iter().map(entry).collect();
        let x = add_legend(scene, &entries, Swatch::Stroke, LEFT, 38.0);
        scene.add(place_text(self.note, x, 38.0, TextAnchor::Start, TEXT_SIZE));
    }
}

/// How numbers at an axis are written: as they are, or fractions in percent.
fn tick_format(percent: bool) -> TickFormat {
    TickFormat::Custom(Arc::new(if percent { format_percent } else { format_linear_tick }))
}

fn draw_lines(curves: &[&Curve]) -> Vec<Plot> {
    let line = |points: Vec<(f64, f64)>, color: &str, width: f64| {
        Plot::Line(LinePlot::new().with_data(points).with_color(color).with_stroke_width(width))
    };
    let is_noisy = |curve: &&&Curve| smoothing_window(curve.points.len()) > 1;
    let faint = curves.iter().filter(is_noisy).map(|c| line(outline(&c.points), &fade(c.color), 1.0));
    let smoothed = |c: &Curve| outline(&running_mean(&c.points, smoothing_window(c.points.len())));
    let bold = curves.iter().map(|c| line(smoothed(c), c.color, 1.6));
    let is_sparse = |curve: &&&Curve| curve.points.len() < MARKED_BELOW;
    let dots = curves.iter().filter(is_sparse).map(|c| {
        Plot::Scatter(ScatterPlot::new().with_data(c.points.clone()).with_color(c.color).with_size(2.5))
    });
    faint.chain(bold).chain(dots).collect()
}

/// A third of a colour on white; a colour that is not `#rrggbb` stays.
fn fade(color: &str) -> String {
    let part = |at: usize| u8::from_str_radix(color.get(at..at + 2)?, 16).ok();
    let (Some(r), Some(g), Some(b)) = (part(1), part(3), part(5)) else { return color.to_owned() };
    let [r, g, b] = [r, g, b].map(|value| 255 - (255 - value) / 3);
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faded_colour_is_nearer_to_white() {
        assert_eq!(fade("#ff0030"), "#ffaaba");
        assert_eq!(fade("teal"), "teal");
    }

    #[test]
    fn a_single_spike_does_not_flatten_a_curve() {
        let mut points: Vec<(f64, f64)> = (0..2000).map(|i| (f64::from(i), 1.0)).collect();
        points[77].1 = 1e4;
        let curve = Curve { name: String::new(), color: "#000000", points, right: false };
        let panel = CurvePanel {
            title: "",
            curves: vec![curve.clone()],
            references: Vec::new(),
            note: "",
            span: ValueSpan::FromZero,
            percent: false,
            right_percent: false,
        };
        let (low, high) = panel.limits(&[&curve]);
        assert!(low == 0.0 && high < 250.0, "{low} {high}: the mean of 51 values is in, the spike is not");
    }
}
