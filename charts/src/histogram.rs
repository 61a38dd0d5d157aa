//! How values are spread: histograms as filled staircases, several over the same axis.

use kuva::plot::line::LinePlot;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::{ComputedLayout, Layout};
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, TextAnchor, render_multiple};

use crate::error::Result;
use crate::frame::{ChartLabels, TOP, WIDTH, finish, lay_out};
use crate::legend::LegendEntry;
use crate::text::{TEXT_SIZE, place_text};

/// Bins of a histogram.
const BINS: usize = 48;

/// Values of one kind under one name.
#[derive(Clone, Debug)]
pub struct HistogramSeries {
    /// What they are called.
    pub name: String,
    /// `#rrggbb`.
    pub color: &'static str,
    /// The values, in any order.
    pub values: Vec<f64>,
}

/// A value to point out.
#[derive(Clone, Debug)]
pub struct ValueMark {
    /// Where it lies on the axis.
    pub value: f64,
    /// What it is.
    pub name: String,
}

/// What the axis of values looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramAxis {
    /// Logarithmic; what is not above zero cannot be shown. A mark lies in the middle of a bin.
    Log,
    /// Shares of 0 to 1, shown as 0 to 100; a mark is in percent.
    Percent,
}

/// Spreads of values of several kinds.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Texts around the chart.
    pub labels: ChartLabels,
    /// What the axis of values looks like.
    pub axis: HistogramAxis,
    /// The values; the last series is drawn on top.
    pub series: Vec<HistogramSeries>,
    /// A value to point out.
    pub mark: Option<ValueMark>,
}

impl Histogram {
    /// The chart as a PNG of 900 x 600 pixels.
    ///
    /// # Errors
    /// Fails if the plot library does.
    pub fn draw(&self) -> Result<Vec<u8>> {
        let bins = match self.axis {
            HistogramAxis::Log => Bins::of_logs(&self.series, self.mark.as_ref()),
            HistogramAxis::Percent => Bins::of_shares(&self.series),
        };
        let plots: Vec<Plot> = self.series.iter().filter_map(|series| bins.draw_steps(series)).collect();
        let mut layout = lay_out(&plots, &self.labels);
        if self.axis == HistogramAxis::Log {
            layout = layout.with_log_x();
        }
        layout = layout.with_x_axis_min(bins.edge(0)).with_x_axis_max(bins.edge(BINS)).with_y_axis_min(0.0);
        let mut name = None;
        if let Some(mark) = &self.mark {
            let line = ReferenceLine::vertical(mark.value).with_color("#333333").with_stroke_width(1.5);
            layout = layout.with_reference_line(line);
            name = Some(name_mark(mark, &layout));
        }
        let mut scene = render_multiple(plots, layout);
        name.into_iter().for_each(|name| scene.add(name));
        let entry = |s: &HistogramSeries| LegendEntry { name: s.name.clone(), color: s.color };
        finish(scene, &self.labels, &self.series.iter().map(entry).collect::<Vec<_>>())
    }
}

/// The name of a mark, on the side that has room.
fn name_mark(mark: &ValueMark, layout: &Layout) -> Primitive {
    let x = ComputedLayout::from_layout(layout).map_x(mark.value);
    let (x, anchor) =
        if x > 0.75 * WIDTH { (x - 5.0, TextAnchor::End) } else { (x + 5.0, TextAnchor::Start) };
    place_text(&mark.name, x, TOP + 12.0, anchor, TEXT_SIZE)
}

/// [`BINS`] bins of equal width on the axis as it is drawn.
struct Bins {
    axis: HistogramAxis,
    /// Where the first begins, in percent or as a decimal logarithm.
    start: f64,
    width: f64,
}

impl Bins {
    fn of_logs(series: &[HistogramSeries], mark: Option<&ValueMark>) -> Self {
        let marked = mark.map(|mark| mark.value).filter(can_be_shown);
        let all = series.iter().flat_map(|s| s.values.iter().copied()).chain(marked);
        let logs = all.filter(can_be_shown).map(libm::log10);
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        // At least a factor of 10 is shown, so that the axis has ticks.
        let width = (1.06 * (high - low)).max(1.0) / BINS as f64;
        let start = 0.5 * (low + high) - 0.5 * BINS as f64 * width;
        let bins_to_mark = marked.map_or(0.0, |x| (libm::log10(x) - start) / width - 0.5);
        let start = start + width * (bins_to_mark - bins_to_mark.round());
        Self { axis: HistogramAxis::Log, start, width }
    }

    fn of_shares(series: &[HistogramSeries]) -> Self {
        let least = series.iter().flat_map(|s| s.values.iter().copied()).fold(1.0, f64::min);
        let start = (10.0 * least.max(0.0)).floor().min(9.0) * 10.0;
        Self { axis: HistogramAxis::Percent, start, width: (100.0 - start) / BINS as f64 }
    }

    /// Where bin `i` begins, as the axis has it.
    fn edge(&self, i: usize) -> f64 {
        let edge = self.start + self.width * i as f64;
        if self.axis == HistogramAxis::Log { libm::pow(10.0, edge) } else { edge }
    }

    /// The bin of a value, if it has one.
    fn find(&self, value: f64) -> Option<usize> {
        let position = match self.axis {
            HistogramAxis::Log if !can_be_shown(&value) => return None,
            HistogramAxis::Log => (libm::log10(value) - self.start) / self.width,
            // A share of exactly 1 belongs to the last bin.
            HistogramAxis::Percent => ((100.0 * value - self.start) / self.width).min(BINS as f64 - 0.5),
        };
        (0.0..BINS as f64).contains(&position).then_some(position as usize)
    }

    /// A histogram as a filled staircase from its first to its last filled bin.
    fn draw_steps(&self, series: &HistogramSeries) -> Option<Plot> {
        let mut counts = [0; BINS];
        series.values.iter().filter_map(|&x| self.find(x)).for_each(|bin| counts[bin] += 1);
        let first = counts.iter().position(|&n| n > 0)?;
        let last = counts.iter().rposition(|&n| n > 0)?;
        let mut corners = vec![(self.edge(first), 0.0)];
        corners.extend((first..=last).map(|i| (self.edge(i), f64::from(counts[i]))));
        corners.push((self.edge(last + 1), f64::from(counts[last])));
        corners.push((self.edge(last + 1), 0.0));
        let line = LinePlot::new().with_data(corners).with_step().with_color(series.color);
        Some(Plot::Line(line.with_stroke_width(2.0).with_fill().with_fill_opacity(0.18)))
    }
}

/// Whether a value has a place on a logarithmic axis whose edges are in the range of f64.
fn can_be_shown(x: &f64) -> bool {
    (1e-200..1e200).contains(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> [HistogramSeries; 1] {
        [HistogramSeries { name: String::new(), color: "#000000", values: values.to_vec() }]
    }

    #[test]
    fn every_value_that_can_be_shown_has_a_bin() {
        let values = [1e-9, 1.0, 3.0, 1e199];
        let bins = Bins::of_logs(&series(&values), None);
        assert!(values.iter().all(|&x| bins.find(x).is_some_and(|bin| bin < BINS)));
        assert!([0.0, -1.0, 1e-250, f64::INFINITY, f64::NAN].iter().all(|&x| bins.find(x).is_none()));
        let bins = Bins::of_shares(&series(&[0.63, 1.0]));
        assert_eq!((bins.edge(0), bins.edge(BINS)), (60.0, 100.0));
        assert_eq!([0.6, 0.601, 1.0].map(|x| bins.find(x)), [Some(0), Some(0), Some(BINS - 1)]);
    }

    #[test]
    fn a_mark_lies_in_the_middle_of_its_bin() {
        let mark = ValueMark { value: 1024.0, name: String::new() };
        let bins = Bins::of_logs(&series(&[3.0, 70_000.0]), Some(&mark));
        let bin = bins.find(1024.0).unwrap();
        let middle = (bins.edge(bin) * bins.edge(bin + 1)).sqrt();
        assert!((middle / 1024.0 - 1.0).abs() < 1e-9, "{middle}");
    }
}
