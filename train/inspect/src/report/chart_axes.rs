//! Axes of charts: round numbers, and where they stand.

/// Width of a chart in its own units; the page scales it.
pub(crate) const WIDTH: f64 = 420.0;
/// Height of a chart of curves.
pub(crate) const HEIGHT: f64 = 280.0;

/// From numbers to places along one side of a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChartAxis {
    low: f64,
    high: f64,
    /// Where the low end stands.
    start: f64,
    /// Where the high end stands.
    end: f64,
    is_log: bool,
}

impl ChartAxis {
    /// An axis that holds all values, between two places; logarithmic where that is asked for and all are positive.
    pub(crate) fn fit(values: &[f64], start: f64, end: f64) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match (low.is_finite(), low == high) {
            (false, _) => (0.0, 1.0),
            (true, true) => (low - low.abs().max(1.0) * 0.5, high + high.abs().max(1.0) * 0.5),
            (true, false) => (low, high),
        };
        Self { low, high, start, end, is_log: false }
    }

    /// The same axis with its ends at round numbers.
    pub(crate) fn rounded(mut self) -> Self {
        let step = self.measure_step();
        (self.low, self.high) = ((self.low / step).floor() * step, (self.high / step).ceil() * step);
        self
    }

    /// The same axis in logarithms, if all its values are positive.
    pub(crate) fn logarithmic(mut self, is_wanted: bool) -> Self {
        self.is_log = is_wanted && self.low > 0.0;
        self
    }

    /// Where a value stands.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = match self.is_log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// The distance of its numbers: 1, 2 or 5 times a power of ten, for four to eight of them.
    fn measure_step(&self) -> f64 {
        let raw = (self.high - self.low) / 5.0;
        let power = 10f64.powf(raw.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= raw * 0.999).unwrap_or(10.0);
        factor * power
    }

    /// The numbers that are written, ascending, with their texts. A logarithmic axis takes `values`, where there are few.
    pub(crate) fn ticks(&self, values: &[f64]) -> Vec<(f64, String)> {
        if self.is_log {
            return self.log_ticks(values);
        }
        let step = self.measure_step();
        let decimals = (-(step * 1.001).log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).map(|at| (at, print_tick(at, decimals))).collect()
    }

    fn log_ticks(&self, values: &[f64]) -> Vec<(f64, String)> {
        let mut shown = values.to_vec();
        shown.sort_by(f64::total_cmp);
        shown.dedup();
        if shown.len() > 7 {
            let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            shown = (first..=last).map(|power| 10f64.powi(power)).collect();
            shown.retain(|at| (self.low..=self.high).contains(at));
        }
        shown.into_iter().map(|at| (at, format!("{at}"))).collect()
    }
}

/// A number of an axis; very large and very small ones with an exponent.
fn print_tick(at: f64, decimals: usize) -> String {
    let size = at.abs();
    match size != 0.0 && (size >= 1e6 || decimals > 6) {
        true => format!("{at:.1e}"),
        false => format!("{:.decimals$}", if size == 0.0 { 0.0 } else { at }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: ChartAxis, values: &[f64]) -> Vec<String> {
        axis.ticks(values).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn numbers_are_round_and_hold_all_values() {
        let axis = ChartAxis::fit(&[61.3, 93.8], 0.0, 100.0).rounded();
        assert_eq!(texts(axis, &[]), ["60", "70", "80", "90", "100"]);
        assert!((axis.place(80.0) - 50.0).abs() < 1e-9);
        let axis = ChartAxis::fit(&[0.012, 0.0345], 0.0, 1.0).rounded();
        assert_eq!(texts(axis, &[]), ["0.010", "0.015", "0.020", "0.025", "0.030", "0.035"]);
        let log = ChartAxis::fit(&[1.0, 100.0], 0.0, 10.0).logarithmic(true);
        assert_eq!(texts(log, &[1.0, 5.0, 10.0, 100.0]), ["1", "5", "10", "100"]);
        assert_eq!(log.place(10.0), 5.0);
        let zero = ChartAxis::fit(&[0.0, 2.0], 0.0, 10.0).logarithmic(true);
        assert_eq!(zero.place(1.0), 5.0, "no logarithm of 0");
    }

    #[test]
    fn empty_flat_tiny_and_huge_axes_have_numbers() {
        for values in [&[][..], &[3.0], &[0.0, 0.0], &[1e-12, 2e-12], &[-1e300, 1e300], &[1e9, 1e9 + 1.0]] {
            let axis = ChartAxis::fit(values, 0.0, 100.0).rounded();
            let count = axis.ticks(values).len();
            assert!((2..=12).contains(&count), "{values:?}: {count}");
            assert!(values.iter().all(|&v| (0.0..=100.0).contains(&axis.place(v))), "{values:?}");
        }
    }
}
