//! Samples in a plane as a vector picture, one path a class, with a legend that brings a class out.

use std::fmt::Write;

use jepa3d_schemas::label_color;

use super::chart_axes::{ChartAxis, WIDTH};
use super::escape::escape;
use super::sections::{MAX_SCATTER_POINTS, ReportScatter, ScatterPoint};

/// Between the plot and its border.
const MARGIN: f64 = 12.0;
/// Colours of classes; further classes are squares.
const COLORS: usize = 20;

/// The plot and its legend.
pub(crate) fn render_scatter(section: &ReportScatter) -> String {
    let points = &section.points[..section.points.len().min(MAX_SCATTER_POINTS)];
    let ends = [points.iter().map(|p| p.x).collect::<Vec<_>>(), points.iter().map(|p| p.y).collect()];
    let x = ChartAxis::fit(&ends[0], MARGIN, WIDTH - MARGIN);
    let y = ChartAxis::fit(&ends[1], WIDTH - MARGIN, MARGIN);
    let mut out = format!(
        "<figure class=\"chart scatter\"><svg viewBox=\"0 0 {WIDTH} {WIDTH}\" role=\"img\" aria-label=\"{}\">\
         <rect width=\"100%\" height=\"100%\" rx=\"8\"/>",
        escape(&section.caption)
    );
    let mut legend = String::new();
    for (class, name) in section.classes.iter().enumerate() {
        let own: Vec<&ScatterPoint> = points.iter().filter(|p| p.class == class).collect();
        let mut path = String::new();
        for point in &own {
            let _ = write!(path, "M{:.1} {:.1}h0", x.place(point.x), y.place(point.y));
        }
        let (name, style) = (escape(name), ClassStyle::new(class));
        let (color, cap) = (&style.color, style.cap);
        let _ = write!(
            out,
            "<path class=\"k{class}\" d=\"{path}\" stroke=\"{color}\" stroke-linecap=\"{cap}\"><title>{name}</title></path>"
        );
        let shape = if cap == "round" { "dot" } else { "box" };
        let _ = write!(
            legend,
            "<li tabindex=\"0\"><i class=\"{shape}\" style=\"background:{color}\"></i>{name} <b>{}</b></li>",
            own.len()
        );
    }
    let _ = write!(out, "</svg><ul class=\"legend\">{legend}</ul></figure>");
    out
}

/// How a class looks.
struct ClassStyle {
    color: String,
    /// Ends of lines, which are dots or squares where the line has no length.
    cap: &'static str,
}

impl ClassStyle {
    fn new(class: usize) -> Self {
        let [r, g, b] = label_color((class % COLORS) as i16);
        let cap = if (class / COLORS).is_multiple_of(2) { "round" } else { "square" };
        Self { color: format!("#{r:02x}{g:02x}{b:02x}"), cap }
    }
}

/// Styles that fade all other classes while the reader is at one in the legend.
pub(crate) fn render_scatter_styles(classes: usize) -> String {
    let rule = |class: usize| {
        let at = format!("li:nth-child({}):is(:hover,:focus)", class + 1);
        format!(".scatter:has({at}) path:not(.k{class}){{opacity:.06}}")
    };
    (0..classes).map(rule).collect()
}
