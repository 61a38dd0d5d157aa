//! The few kinds of chart the statistics need: horizontal bars and histograms, as PNG files.
//!
//! Drawn by kuva with the font it carries, so no display and no installed font is needed.

use std::path::{Path, PathBuf};

use jepa3d_schemas::write_atomically;
use kuva::TickFormat;
use kuva::plot::bar::BarPlot;
use kuva::plot::legend::{LegendEntry, LegendPosition, LegendShape};
use kuva::plot::line::LinePlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use super::error::{Result, StatsError};
use super::units::{number, printable};

/// Pixels of a chart.
pub(super) const SIZE: (f64, f64) = (900.0, 600.0);

/// Colours of the series of a chart, distinct also for colour-blind readers (Paul Tol, "bright").
pub(super) const COLORS: [&str; 6] = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];

/// Colour of what is not a series of its own.
pub(super) const GREY: &str = "#bbbbbb";

/// Bins of a histogram.
const BINS: usize = 48;

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

/// The bars of one category, one value a series.
pub(super) struct Bar {
    pub name: String,
    pub values: Vec<f64>,
}

/// Draws the bars from top to bottom, the values of each stacked or side by side.
pub(super) fn bars(
    path: &Path,
    labels: &Labels,
    series: &[(String, &'static str)],
    bars: &[Bar],
    stacked: bool,
) -> Result<PathBuf> {
    let mut plot = BarPlot::new().with_horizontal(true).with_width(0.75);
    plot.stacked = stacked;
    // The first group is drawn lowest.
    for bar in bars.iter().rev() {
        let colors = series.iter().map(|(_, color)| *color);
        plot = plot.with_group(literal(&bar.name), bar.values.iter().copied().zip(colors));
    }
    let plots = vec![Plot::Bar(plot)];
    let mut layout = layout(&plots, labels).with_tick_size(if bars.len() > 26 { 10 } else { 13 });
    if series.len() > 1 {
        layout = legend(layout, series, LegendShape::Rect);
    }
    save(path, plots, layout)
}

/// Draws how the values of each series are spread over a logarithmic axis; what is not above
/// zero cannot be shown there.
pub(super) fn log_histogram(
    path: &Path,
    labels: &Labels,
    series: &[Series],
    marks: &[(f64, String)],
) -> Result<PathBuf> {
    let is_shown = |x: &f64| x.is_finite() && *x > 0.0;
    let all = series.iter().flat_map(|s| s.values.iter()).chain(marks.iter().map(|(x, _)| x));
    let logs = all.copied().filter(is_shown).map(libm::log10);
    let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    // At least a factor of 10 is shown, so that the axis has ticks.
    let middle = 0.5 * (low + high);
    let half = (0.52 * (high - low)).max(0.5);
    let (low, high) = (middle - half, middle + half);
    let edge = |i: usize| libm::pow(10.0, low + (high - low) * i as f64 / BINS as f64);
    let mut plots = Vec::new();
    for s in series {
        let values = s.values.iter().copied().filter(is_shown);
        let counts = bin(values.map(|x| (libm::log10(x) - low) / (high - low)));
        plots.push(steps(s, &counts, edge));
    }
    let layout = layout(&plots, labels).with_log_x().with_x_axis_min(edge(0)).with_x_axis_max(edge(BINS));
    let layout = layout.with_x_tick_format(TickFormat::Custom(std::sync::Arc::new(number)));
    save(path, plots, finish(layout, series, marks))
}

/// Draws how shares of 0 to 1 are spread, in percent.
pub(super) fn share_histogram(
    path: &Path,
    labels: &Labels,
    series: &[Series],
    marks: &[(f64, String)],
) -> Result<PathBuf> {
    let edge = |i: usize| 100.0 * i as f64 / BINS as f64;
    let mut plots = Vec::new();
    for s in series {
        plots.push(steps(s, &bin(s.values.iter().copied()), edge));
    }
    let layout = layout(&plots, labels).with_x_axis_min(0.0).with_x_axis_max(100.0);
    save(path, plots, finish(layout, series, marks))
}

/// Counts positions of 0 to 1 in equal bins.
fn bin(positions: impl Iterator<Item = f64>) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for position in positions.filter(|p| (0.0..=1.0).contains(p)) {
        counts[((position * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    counts
}

/// A histogram as a filled staircase that starts and ends on the axis.
fn steps(series: &Series, counts: &[usize; BINS], edge: impl Fn(usize) -> f64) -> Plot {
    let mut corners = vec![(edge(0), 0.0)];
    corners.extend(counts.iter().enumerate().map(|(i, &n)| (edge(i), n as f64)));
    corners.push((edge(BINS), counts[BINS - 1] as f64));
    corners.push((edge(BINS), 0.0));
    let line = LinePlot::new().with_data(corners).with_step().with_color(series.color);
    Plot::Line(line.with_stroke_width(2.0).with_fill().with_fill_opacity(0.18))
}

fn finish(mut layout: Layout, series: &[Series], marks: &[(f64, String)]) -> Layout {
    for (x, name) in marks {
        let line = ReferenceLine::vertical(*x).with_color("#333333").with_stroke_width(1.5);
        layout = layout.with_reference_line(line.with_label(literal(name)));
    }
    let names: Vec<(String, &str)> = series.iter().map(|s| (s.name.clone(), s.color)).collect();
    if names.len() > 1 { legend(layout, &names, LegendShape::Rect) } else { layout }
}

fn legend(layout: Layout, series: &[(String, &'static str)], shape: LegendShape) -> Layout {
    let entry = |(name, color): &(String, &'static str)| LegendEntry {
        label: literal(name),
        color: (*color).to_owned(),
        shape,
        dasharray: None,
    };
    let entries = series.iter().map(entry).collect();
    layout.with_legend_entries(entries).with_legend_position(LegendPosition::OutsideBottomCenter)
}

fn layout(plots: &[Plot], labels: &Labels) -> Layout {
    let mut layout = Layout::auto_from_plots(plots)
        .with_width(SIZE.0)
        .with_height(SIZE.1)
        .with_title(literal(&labels.title))
        .with_subtitle(literal(&labels.subtitle))
        .with_x_label(labels.x)
        .with_title_size(20)
        .with_subtitle_size(14)
        .with_label_size(15)
        .with_tick_size(13)
        .with_body_size(14);
    if !labels.y.is_empty() {
        layout = layout.with_y_label(labels.y);
    }
    layout.theme.grid_color = "#e4e4e4".to_owned();
    layout
}

/// Text from outside as it stands: kuva would take `$...$` for mathematics.
fn literal(text: &str) -> String {
    printable(text).replace('$', "\\$")
}

fn save(path: &Path, plots: Vec<Plot>, layout: Layout) -> Result<PathBuf> {
    let png = kuva::render_to_raster(plots, layout, 1.0)
        .map_err(|reason| StatsError::Plot { path: path.to_owned(), reason })?;
    write_atomically(path, &png)?;
    Ok(path.to_owned())
}
