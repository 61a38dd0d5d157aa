//! The few kinds of chart the statistics need: horizontal bars and histograms, as PNG files.
//!
//! Drawn by kuva with the font it carries, so no display and no installed font is needed.
//! Legend and y label are placed here: kuva stacks legend entries and turns y labels, which
//! costs room and is hard to read at this size.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jepa3d_schemas::write_atomically;
use kuva::plot::bar::BarPlot;
use kuva::plot::line::LinePlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::{ComputedLayout, Layout};
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, TextAnchor, render_multiple};
use kuva::{RasterBackend, TickFormat};

use super::error::{Result, StatsError};
use super::units::{printable, tick};

/// Pixels of a chart.
pub(super) const SIZE: (f64, f64) = (900.0, 600.0);

/// Pixels above and below the axes.
const MARGINS: (f64, f64) = (108.0, 62.0);

/// Colours of the series of a chart, distinct also for colour-blind readers (Paul Tol, "bright").
pub(super) const COLORS: [&str; 6] = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];

/// Colour of what is not a series of its own.
pub(super) const GREY: &str = "#999999";

/// Bins of a histogram.
const BINS: usize = 48;

/// Size of legend, notes and y label, in pixels.
const TEXT_SIZE: u32 = 13;

/// Texts around a chart.
pub(super) struct Labels {
    pub title: String,
    pub subtitle: String,
    pub x: &'static str,
    pub y: &'static str,
}

/// Values of one kind under one name.
pub(super) struct Series {
    pub name: String,
    pub color: &'static str,
    pub values: Vec<f64>,
}

/// The bars of one category, one value a series, with a note at their end.
pub(super) struct Bar {
    pub name: String,
    pub values: Vec<f64>,
    pub note: String,
}

/// The axes of a histogram, and a value to point out with its name.
struct Marked {
    layout: Layout,
    mark: Option<(f64, String)>,
}

/// Names and colours of the series.
pub(super) type Legend = Vec<(String, &'static str)>;

/// Draws bars from top to bottom, the values of each stacked or else side by side.
pub(super) fn bars(
    path: &Path,
    labels: &Labels,
    legend: &Legend,
    bars: &[Bar],
    stacked: bool,
) -> Result<PathBuf> {
    let mut plot = BarPlot::new().with_horizontal(true).with_width(0.75);
    plot.stacked = stacked;
    // kuva draws upwards: the first group lowest, the first value of a group lowest.
    for bar in bars.iter().rev() {
        let mut values: Vec<(f64, &str)> =
            bar.values.iter().copied().zip(legend.iter().map(|l| l.1)).collect();
        if !stacked {
            values.reverse();
        }
        plot = plot.with_group(literal(&bar.name), values);
    }
    let length = |bar: &Bar| {
        let values = bar.values.iter().copied();
        if stacked { values.sum() } else { values.fold(0.0, f64::max) }
    };
    let plots = vec![Plot::Bar(plot)];
    // Room for the notes.
    let longest = 1.2 * bars.iter().map(length).fold(0.0, f64::max);
    let size = if bars.len() > 26 { 9 } else { 13 };
    let layout = layout(&plots, labels).with_tick_size(size).with_x_axis_min(0.0).with_x_axis_max(longest);
    let place = ComputedLayout::from_layout(&layout);
    let mut scene = render_multiple(plots, layout);
    for (i, bar) in bars.iter().rev().enumerate() {
        // At the end of the stack, or of the first of the bars side by side.
        let (end, shift) = match bar.values.first() {
            Some(&first) if !stacked => (first, 0.375 * (1.0 - 1.0 / bar.values.len() as f64)),
            _ => (length(bar), 0.0),
        };
        let y = place.map_y(i as f64 + 1.0 + shift) + 0.35 * f64::from(size);
        scene.add(text(bar.note.clone(), (place.map_x(end) + 6.0, y), TextAnchor::Start, size));
    }
    save(path, scene, labels, legend)
}

/// Draws how the values of each series are spread over a logarithmic axis; what is not above
/// zero cannot be shown there. `mark` is a named value, and lies in the middle of a bin.
pub(super) fn log_histogram(
    path: &Path,
    labels: &Labels,
    series: &[Series],
    mark: Option<(f64, String)>,
) -> Result<PathBuf> {
    // Beyond these the edges of the axis would leave the range of f64.
    let is_shown = |x: &f64| (1e-200..1e200).contains(x);
    let marked = mark.as_ref().map(|(x, _)| *x).filter(is_shown);
    let all = series.iter().flat_map(|s| s.values.iter().copied()).chain(marked);
    let logs = all.filter(is_shown).map(libm::log10);
    let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    // At least a factor of 10 is shown, so that the axis has ticks.
    let middle = 0.5 * (low + high);
    let width = (1.06 * (high - low)).max(1.0) / BINS as f64;
    let start = middle - 0.5 * BINS as f64 * width;
    let bins_to_mark = marked.map_or(0.0, |x| (libm::log10(x) - start) / width - 0.5);
    let start = start + width * (bins_to_mark - bins_to_mark.round());
    let edge = |i: usize| libm::pow(10.0, start + width * i as f64);
    let bin = |x: f64| is_shown(&x).then(|| (libm::log10(x) - start) / width);
    let plots: Vec<Plot> = series.iter().filter_map(|s| steps(s, &histogram(s, bin), edge)).collect();
    let layout = layout(&plots, labels).with_log_x().with_x_axis_min(edge(0)).with_x_axis_max(edge(BINS));
    finish(path, labels, series, plots, Marked { layout, mark })
}

/// Draws how shares of 0 to 1 are spread, in percent.
pub(super) fn share_histogram(
    path: &Path,
    labels: &Labels,
    series: &[Series],
    mark: Option<(f64, String)>,
) -> Result<PathBuf> {
    let least = series.iter().flat_map(|s| s.values.iter().copied()).fold(1.0, f64::min);
    let start = (10.0 * least.max(0.0)).floor().min(9.0) * 10.0;
    let width = (100.0 - start) / BINS as f64;
    let edge = |i: usize| start + width * i as f64;
    // A share of exactly 1 belongs to the last bin.
    let bin = |x: f64| Some(((100.0 * x - start) / width).min(BINS as f64 - 0.5));
    let plots: Vec<Plot> = series.iter().filter_map(|s| steps(s, &histogram(s, bin), edge)).collect();
    let layout = layout(&plots, labels).with_x_axis_min(start).with_x_axis_max(100.0);
    finish(path, labels, series, plots, Marked { layout, mark })
}

/// Counts the values by the bin that `bin` gives, a fractional number of bins from the start.
fn histogram(series: &Series, bin: impl Fn(f64) -> Option<f64>) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for position in series.values.iter().filter_map(|&x| bin(x)) {
        if (0.0..BINS as f64).contains(&position) {
            counts[position as usize] += 1;
        }
    }
    counts
}

/// A histogram as a filled staircase from its first to its last filled bin.
fn steps(series: &Series, counts: &[usize; BINS], edge: impl Fn(usize) -> f64) -> Option<Plot> {
    let first = counts.iter().position(|&n| n > 0)?;
    let last = counts.iter().rposition(|&n| n > 0)?;
    let mut corners = vec![(edge(first), 0.0)];
    corners.extend((first..=last).map(|i| (edge(i), counts[i] as f64)));
    corners.push((edge(last + 1), counts[last] as f64));
    corners.push((edge(last + 1), 0.0));
    let line = LinePlot::new().with_data(corners).with_step().with_color(series.color);
    Some(Plot::Line(line.with_stroke_width(2.0).with_fill().with_fill_opacity(0.18)))
}

/// Draws a histogram with its mark, whose name stands on the side that has room.
fn finish(
    path: &Path,
    labels: &Labels,
    series: &[Series],
    plots: Vec<Plot>,
    chart: Marked,
) -> Result<PathBuf> {
    let Marked { layout, mark } = chart;
    let mut layout = layout.with_y_axis_min(0.0);
    let mut named = None;
    if let Some((value, name)) = mark {
        layout = layout
            .with_reference_line(ReferenceLine::vertical(value).with_color("#333333").with_stroke_width(1.5));
        let x = ComputedLayout::from_layout(&layout).map_x(value);
        let (x, anchor) =
            if x > 0.75 * SIZE.0 { (x - 5.0, TextAnchor::End) } else { (x + 5.0, TextAnchor::Start) };
        named = Some(text(literal(&name), (x, MARGINS.0 + 12.0), anchor, TEXT_SIZE));
    }
    let mut scene = render_multiple(plots, layout);
    named.into_iter().for_each(|name| scene.add(name));
    let legend: Legend = series.iter().map(|s| (s.name.clone(), s.color)).collect();
    save(path, scene, labels, &legend)
}

fn layout(plots: &[Plot], labels: &Labels) -> Layout {
    let mut layout = Layout::auto_from_plots(plots)
        .with_width(SIZE.0)
        .with_height(SIZE.1)
        .with_force_margins_y(MARGINS.0, MARGINS.1)
        .with_title(literal(&labels.title))
        .with_subtitle(literal(&labels.subtitle))
        .with_x_label(labels.x)
        .with_title_size(20)
        .with_subtitle_size(14)
        .with_label_size(15)
        .with_tick_size(13)
        .with_tick_format(TickFormat::Custom(Arc::new(tick)));
    layout.show_legend = false;
    layout.theme.grid_color = "#e4e4e4".to_owned();
    layout
}

/// Text beside a pixel.
fn text(content: String, (x, y): (f64, f64), anchor: TextAnchor, size: u32) -> Primitive {
    Primitive::Text { x, y, content, size, anchor, rotate: None, bold: false, color: None }
}

/// The legend as one centred line of swatches and names, for more than one series.
fn add_legend(scene: &mut Scene, legend: &Legend) {
    if legend.len() < 2 {
        return;
    }
    // DejaVu Sans is about 0.58 em wide on average.
    let width = |name: &str| 18.0 + 0.58 * f64::from(TEXT_SIZE) * name.chars().count() as f64 + 22.0;
    let names: Vec<String> = legend.iter().map(|(name, _)| literal(name)).collect();
    let mut x = 0.5 * (SIZE.0 - names.iter().map(|name| width(name)).sum::<f64>()).max(16.0);
    for (name, (_, color)) in names.into_iter().zip(legend) {
        let fill = (*color).into();
        let (y, size) = (MARGINS.0 - 37.0, 12.0);
        scene.add(Primitive::Rect {
            x,
            y,
            width: size,
            height: size,
            fill,
            stroke: None,
            stroke_width: None,
            opacity: None,
        });
        let advance = width(&name);
        scene.add(text(name, (x + 18.0, y + 11.0), TextAnchor::Start, TEXT_SIZE));
        x += advance;
    }
}

/// Text from outside as it stands: kuva would take `$...$` for mathematics.
fn literal(text: &str) -> String {
    printable(text).replace('$', "\\$")
}

fn save(path: &Path, mut scene: Scene, labels: &Labels, legend: &Legend) -> Result<PathBuf> {
    add_legend(&mut scene, legend);
    scene.add(text(labels.y.to_owned(), (14.0, MARGINS.0 - 14.0), TextAnchor::Start, TEXT_SIZE));
    let png = RasterBackend::new()
        .with_scale(1.0)
        .render_scene(&scene)
        .map_err(|reason| StatsError::Plot { path: path.to_owned(), reason })?;
    write_atomically(path, &png)?;
    Ok(path.to_owned())
}
