//! Curves of a report as a vector picture, with a legend that says where each ends.

use std::fmt::Write;

use super::chart_axes::{ChartAxis, HEIGHT, WIDTH};
use super::escape::escape;
use super::sections::{CurvePoint, ReportCurves, ReportSeries};

/// Colours of lines, which colour-blind readers tell apart (Paul Tol, "bright" without grey); classes of the page's styles.
pub(crate) const LINE_COLORS: usize = 6;
/// Room for the numbers of the vertical axis, and to the right.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
/// Room above, and for the horizontal axis.
const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;
/// Lines of at most so many points show them, with bars for deviations.
const FEW: usize = 24;

/// Where the numbers of a chart stand.
struct Frame {
    x: ChartAxis,
    y: ChartAxis,
    /// All places on the horizontal axis.
    places: Vec<f64>,
}

impl Frame {
    fn fit(section: &ReportCurves) -> Self {
        let points = || section.series.iter().flat_map(|series| &series.points);
        let places: Vec<f64> = points().map(|p| p.x).collect();
        let ends = |p: &CurvePoint| {
            let deviation = p.deviation.unwrap_or(0.0);
            p.y.map_or(vec![], |y| vec![y - deviation, y + deviation])
        };
        let values: Vec<f64> = points().flat_map(ends).collect();
        let x = ChartAxis::fit(&places, LEFT, WIDTH - RIGHT).logarithmic(section.has_log_x);
        let y = ChartAxis::fit(&values, HEIGHT - BOTTOM, TOP).rounded();
        Self { x, y, places }
    }
}

/// The chart and its legend.
pub(crate) fn render_curves(section: &ReportCurves) -> String {
    let frame = Frame::fit(section);
    let mut out = format!(
        "<figure class=\"chart\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&section.caption)
    );
    out += &render_axes(&frame, section);
    for (i, series) in section.series.iter().enumerate() {
        out += &render_line(&frame, series, i);
    }
    out += "</svg><ul class=\"legend\">";
    for (i, series) in section.series.iter().enumerate() {
        out += &render_entry(series, i);
    }
    out + "<li class=\"hint\">bold: the last value</li></ul></figure>"
}

fn render_axes(frame: &Frame, section: &ReportCurves) -> String {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let mut out = String::from("<g class=\"grid\">");
    let mut texts = String::new();
    for (at, text) in frame.y.ticks(&[]) {
        let y = frame.y.place(at);
        let _ = write!(out, "<path d=\"M{LEFT} {y:.1}H{right}\"/>");
        let _ = write!(texts, "<text x=\"{}\" y=\"{:.1}\" class=\"e\">{text}</text>", LEFT - 6.0, y + 4.0);
    }
    for (at, text) in frame.x.ticks(&frame.places) {
        let x = frame.x.place(at);
        let _ = write!(out, "<path d=\"M{x:.1} {TOP}V{bottom}\"/>");
        let _ = write!(texts, "<text x=\"{x:.1}\" y=\"{}\" class=\"m\">{text}</text>", bottom + 16.0);
    }
    let (middle, low) = (0.5 * (LEFT + right), HEIGHT - 6.0);
    let _ = write!(texts, "<text x=\"{middle}\" y=\"{low}\" class=\"m b\">{}</text>", escape(&section.x));
    let up = 0.5 * (TOP + bottom);
    let _ = write!(
        texts,
        "<text transform=\"translate(12 {up}) rotate(-90)\" class=\"m b\">{}</text>",
        escape(&section.y)
    );
    out + "</g>" + &texts
}

fn name_color(number: usize) -> String {
    format!("c{}", number % LINE_COLORS)
}

/// Lines beyond the number of colours are dashed.
fn dash(number: usize) -> &'static str {
    ["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 3\"", " stroke-dasharray=\"9 3 2 3\""]
        [(number / LINE_COLORS) % 4]
}

fn render_line(frame: &Frame, series: &ReportSeries, number: usize) -> String {
    let mut out = format!("<g class=\"{}\"><title>{}</title>", name_color(number), escape(&series.name));
    let mut path = String::new();
    let mut is_new = true;
    for point in &series.points {
        let Some(y) = point.y else {
            is_new = true;
            continue;
        };
        let command = if is_new { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", frame.x.place(point.x), frame.y.place(y));
        is_new = false;
    }
    let shows_points = series.points.len() <= FEW;
    out += &if shows_points { render_bars(frame, series) } else { render_band(frame, series) };
    let _ = write!(out, "<path class=\"line\" d=\"{path}\"{}/>", dash(number));
    if shows_points {
        for (x, y) in series.points.iter().filter_map(|point| Some((point.x, point.y?))) {
            let (x, y) = (frame.x.place(x), frame.y.place(y));
            let _ = write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
    }
    out + "</g>"
}

/// A bar at each point that deviates.
fn render_bars(frame: &Frame, series: &ReportSeries) -> String {
    let mut path = String::new();
    for point in &series.points {
        let (Some(y), Some(deviation)) = (point.y, point.deviation) else { continue };
        let (x, low, high) =
            (frame.x.place(point.x), frame.y.place(y - deviation), frame.y.place(y + deviation));
        let (left, right) = (x - 3.0, x + 3.0);
        let _ = write!(
            path,
            "M{x:.1} {low:.1}V{high:.1}M{left:.1} {low:.1}H{right:.1}M{left:.1} {high:.1}H{right:.1}"
        );
    }
    if path.is_empty() { path } else { format!("<path class=\"bar\" d=\"{path}\"/>") }
}

/// The band between the ends of the deviations.
fn render_band(frame: &Frame, series: &ReportSeries) -> String {
    let known = series.points.iter().filter_map(|point| Some((point.x, point.y?, point.deviation?)));
    let known: Vec<(f64, f64, f64)> = known.collect();
    if known.len() < 2 {
        return String::new();
    }
    let upper = known.iter().map(|(x, y, d)| (x, y + d));
    let lower = known.iter().rev().map(|(x, y, d)| (x, y - d));
    let mut path = String::new();
    for (i, (x, y)) in upper.chain(lower).enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", frame.x.place(*x), frame.y.place(y));
    }
    format!("<path class=\"band\" d=\"{path}Z\"/>")
}

fn render_entry(series: &ReportSeries, number: usize) -> String {
    let last = series.points.iter().rev().find_map(|point| point.y);
    let last = last.map_or(String::new(), |last| format!(" <b>{}</b>", print_value(last)));
    let missing = series.points.iter().filter(|point| point.y.is_none()).count();
    let missing = if missing == 0 { String::new() } else { format!(" ({missing} values are not finite)") };
    let swatch = format!(
        "<svg viewBox=\"0 0 24 8\" class=\"{}\"><path class=\"line\" d=\"M0 4H24\"{}/></svg>",
        name_color(number),
        dash(number)
    );
    format!("<li>{swatch}{}{last}{missing}</li>", escape(&series.name))
}

/// A value in four digits.
fn print_value(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals =
        if size >= 1000.0 { 0 } else { (3 - size.max(1.0).log10().floor() as i32).max(0) as usize };
    format!("{value:.decimals$}")
}
