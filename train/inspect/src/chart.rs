//! Panels of curves in a grid, as a PNG.
//!
//! Drawn by kuva with the font it carries, so no display and no installed font is needed. Titles
//! and legends are placed here, above the axes, where no curve runs through them.

use std::sync::Arc;

use kuva::plot::annotations::ReferenceLine;
use kuva::plot::line::LinePlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple, render_twin_y};
use kuva::{RasterBackend, TickFormat};

use super::panels::{Curve, Panel, Span};
use super::smooth::{Points, outline, quantile, running_mean, window};

/// Pixels of a panel, and above all panels.
const PANEL: (f64, f64) = (600.0, 320.0);
const HEADING: f64 = 64.0;

/// Pixels left, right, above and below the axes of a panel.
const MARGINS: [f64; 4] = [66.0, 24.0, 58.0, 34.0];

/// Pixels right of the axes where a second axis stands.
const RIGHT_AXIS: f64 = 66.0;

const TEXT_SIZE: u32 = 13;

/// Curves of fewer points show where those are.
const MARKED_BELOW: usize = 60;

/// Texts above the panels.
pub(super) struct Heading {
    pub title: String,
    pub subtitle: String,
}

/// Draws the panels, three a row (two, if that leaves no hole), and returns the PNG.
pub(super) fn draw(heading: &Heading, panels: &[Panel]) -> Result<Vec<u8>, String> {
    let columns = if matches!(panels.len(), 2 | 4) { 2 } else { panels.len().min(3) };
    let size = (PANEL.0 * columns as f64, HEADING + PANEL.1 * panels.len().div_ceil(columns) as f64);
    let mut scene = Scene::new(size.0, size.1);
    scene.add(bold(text(&heading.title, (24.0, 30.0), 20)));
    scene.add(text(&heading.subtitle, (24.0, 52.0), 14));
    let last = panels.iter().flat_map(|p| &p.curves).flat_map(|c| c.points.last()).map(|p| p.0);
    let steps = last.fold(1.0, f64::max);
    for (i, panel) in panels.iter().enumerate() {
        let (x, y) = (PANEL.0 * (i % columns) as f64, HEADING + PANEL.1 * (i / columns) as f64);
        let drawn = draw_panel(panel, steps);
        scene.defs.extend(drawn.defs);
        let transform = Some(format!("translate({x},{y})"));
        scene.add(Primitive::GroupStart { transform, title: None, extra_attrs: None });
        drawn.elements.into_iter().for_each(|element| scene.add(element));
        scene.add(Primitive::GroupEnd);
    }
    RasterBackend::new().with_scale(1.0).render_scene(&scene)
}

fn draw_panel(panel: &Panel, steps: f64) -> Scene {
    let (right, left): (Vec<&Curve>, Vec<&Curve>) = panel.curves.iter().partition(|curve| curve.right);
    let (low, high) = limits(&left, panel);
    let mut layout = Layout::new((0.0, steps), (low, high))
        .with_width(PANEL.0)
        .with_height(PANEL.1)
        .with_force_margins_y(MARGINS[2], MARGINS[3])
        .with_force_margins(MARGINS[0], if right.is_empty() { MARGINS[1] } else { RIGHT_AXIS })
        .with_tick_size(12)
        .with_x_axis_min(0.0)
        .with_x_axis_max(steps)
        .with_y_axis_min(low)
        .with_y_axis_max(high)
        .with_x_tick_format(format(false))
        .with_y_tick_format(format(panel.percent));
    layout.show_legend = false;
    layout.theme.grid_color = "#e8e8e8".to_owned();
    for reference in panel.references.iter().filter(|r| (low..=high).contains(&r.value)) {
        let line = ReferenceLine::horizontal(reference.value);
        layout = layout.with_reference_line(
            line.with_color(reference.color).with_stroke_width(1.2).with_dasharray("5 4"),
        );
    }
    let mut scene = if right.is_empty() {
        render_multiple(lines(&left), layout)
    } else {
        let (low, high) = limits(&right, panel);
        let layout = layout
            .with_y2_range(low, high)
            .with_y2_axis_min(low)
            .with_y2_axis_max(high)
            .with_y2_tick_format(format(panel.right_percent));
        render_twin_y(lines(&left), lines(&right), layout)
    };
    scene.add(bold(text(panel.title, (MARGINS[0], 18.0), 15)));
    add_legend(&mut scene, panel);
    scene.add(text("step", (PANEL.0 - 58.0, PANEL.1 - 4.0), 12));
    scene
}

/// A curve as it is; a long one faint, under its running mean; one of few values with dots.
fn lines(curves: &[&Curve]) -> Vec<Plot> {
    let line = |points: Points, color: &str, width: f64| {
        Plot::Line(LinePlot::new().with_data(points).with_color(color).with_stroke_width(width))
    };
    let is_noisy = |curve: &&&Curve| window(curve.points.len()) > 1;
    let faint = curves.iter().filter(is_noisy).map(|c| line(outline(&c.points), &faint(c.color), 1.0));
    let bold =
        curves.iter().map(|c| line(outline(&running_mean(&c.points, window(c.points.len()))), c.color, 1.6));
    let is_sparse = |curve: &&&Curve| curve.points.len() < MARKED_BELOW;
    let dots = curves.iter().filter(is_sparse).map(|c| {
        Plot::Scatter(ScatterPlot::new().with_data(c.points.clone()).with_color(c.color).with_size(2.5))
    });
    faint.chain(bold).chain(dots).collect()
}

/// A third of the colour on white.
fn faint(color: &str) -> String {
    let part = |at: usize| {
        let value = u8::from_str_radix(&color[at..at + 2], 16).expect("colours are #rrggbb constants");
        255 - (255 - value) / 3
    };
    format!("#{:02x}{:02x}{:02x}", part(1), part(3), part(5))
}

/// Ends of the axis of values: single spikes are cut, smoothed curves and dashed lines are not.
fn limits(curves: &[&Curve], panel: &Panel) -> (f64, f64) {
    let mut raw: Vec<f64> = curves.iter().flat_map(|c| c.points.iter().map(|p| p.1)).collect();
    let (mut low, mut high) = (quantile(&mut raw, 0.003), quantile(&mut raw, 0.997));
    let smoothed = curves.iter().flat_map(|c| running_mean(&c.points, window(c.points.len())));
    let of_references = panel.references.iter().map(|r| r.value);
    let references = of_references.filter(|_| curves.iter().any(|c| !c.right));
    for value in smoothed.map(|p| p.1).chain(references) {
        (low, high) = (low.min(value), high.max(value));
    }
    let room = 0.06 * (high - low).max(1e-3 * high.abs()).max(1e-12);
    match panel.span {
        Span::Values => (if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high + room),
        Span::FromZero => (low.min(0.0), high + room),
        Span::Tenths => {
            ((10.0 * low - 0.1).floor().max(0.0) / 10.0, (10.0 * high + 0.1).ceil().min(10.0) / 10.0)
        }
        Span::Unit => ((10.0 * low).floor().clamp(-10.0, 0.0) / 10.0, 1.0),
    }
}

/// Names of the curves beside their colours, in a line under the title.
fn add_legend(scene: &mut Scene, panel: &Panel) {
    if panel.curves.len() < 2 && panel.note.is_empty() {
        return;
    }
    let y = 38.0;
    let mut x = MARGINS[0];
    for curve in &panel.curves {
        let (x1, x2, y) = (x, x + 18.0, y - 4.5);
        let stroke = curve.color.into();
        scene.add(Primitive::Line {
            x1,
            y1: y,
            x2,
            y2: y,
            stroke,
            stroke_width: 2.5,
            stroke_dasharray: None,
        });
        scene.add(text(&curve.name, (x + 23.0, y + 4.5), TEXT_SIZE));
        x += 23.0 + width(&curve.name) + 16.0;
    }
    scene.add(text(panel.note, (x, y), TEXT_SIZE));
}

/// Width of a text in DejaVu Sans, to a few pixels.
fn width(name: &str) -> f64 {
    let em = |c: char| match c {
        'f' | 'i' | 'j' | 'l' | 'r' | 't' | ' ' | '(' | ')' | '.' | ',' | ':' | '/' | '-' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' => 0.9,
        c if c.is_uppercase() => 0.68,
        _ => 0.6,
    };
    f64::from(TEXT_SIZE) * name.chars().map(em).sum::<f64>()
}

/// Text at a pixel, as it stands: kuva would take `$...$` for mathematics.
fn text(content: &str, (x, y): (f64, f64), size: u32) -> Primitive {
    let content = content.replace(char::is_control, " ").replace('$', "\\$");
    Primitive::Text { x, y, content, size, anchor: TextAnchor::Start, rotate: None, bold: false, color: None }
}

fn bold(mut primitive: Primitive) -> Primitive {
    if let Primitive::Text { bold, .. } = &mut primitive {
        *bold = true;
    }
    primitive
}

fn format(percent: bool) -> TickFormat {
    TickFormat::Custom(Arc::new(if percent { share } else { tick }))
}

/// `12k`, `0.25`, `5e-4`.
fn tick(x: f64) -> String {
    let trimmed = |x: f64, digits: usize| {
        let text = format!("{x:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match x.abs() {
        size if size < 1e-12 => "0".to_owned(),
        size if size >= 1e6 => trimmed(x / 1e6, 2) + "M",
        size if size >= 1e4 => trimmed(x / 1e3, 1) + "k",
        size if size < 1e-3 => {
            let power = size.log10().floor();
            format!("{}e{power}", trimmed(x / 10.0_f64.powf(power), 2))
        }
        _ => trimmed(x, 5),
    }
}

fn share(x: f64) -> String {
    format!("{} %", tick((1e4 * x).round() / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let ticks = [0.0, 1e-5, 4.5e-4, 0.001, 0.1 + 0.2, 0.99995, 12.0, 5000.0, 40_000.0, 2.5e6].map(tick);
        assert_eq!(ticks, ["0", "1e-5", "4.5e-4", "0.001", "0.3", "0.99995", "12", "5000", "40k", "2.5M"]);
        assert_eq!([share(0.85), share(1.0), share(-0.1)], ["85 %", "100 %", "-10 %"]);
    }

    #[test]
    fn faint_is_nearer_to_white() {
        assert_eq!(faint("#ff0030"), "#ffaaba");
    }

    #[test]
    fn a_single_spike_does_not_flatten_a_curve() {
        let mut points: Points = (0..2000).map(|i| (f64::from(i), 1.0)).collect();
        points[77].1 = 1e4;
        let curve = Curve { name: String::new(), color: "#000000", points, right: false };
        let panel = Panel {
            title: "",
            curves: vec![curve.clone()],
            references: Vec::new(),
            note: "",
            span: Span::FromZero,
            percent: false,
            right_percent: false,
        };
        let (low, high) = limits(&[&curve], &panel);
        assert!(low == 0.0 && high < 250.0, "{low} {high}: the mean of 51 values is in, the spike is not");
    }
}
