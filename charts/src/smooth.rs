//! Noisy curves for the eye: a centred running mean, and fewer points of the same outline.

/// Curves of fewer points are drawn as they are.
const SMOOTHED_FROM: usize = 60;

/// Columns of a panel: more points than two a column cannot be told apart.
const COLUMNS: usize = 480;

/// Width of the running mean that a curve of `points` points is drawn with; 1 for curves too short
/// to need one.
pub fn smoothing_window(points: usize) -> usize {
    if points < SMOOTHED_FROM { 1 } else { (points / 40) | 1 }
}

/// Mean over `window` (odd) neighbouring points; the window shrinks towards both ends, to a quarter.
///
/// Centred, so that a bend stays where it is; a trailing mean would move it to later steps.
pub(crate) fn running_mean(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    // Values are centered first: sums of many equal large values would lose digits.
    let offset = points.first().map_or(0.0, |p| p.1);
    let mut sums = vec![0.0];
    sums.extend(points.iter().scan(0.0, |sum, p| {
        *sum += p.1 - offset;
        Some(*sum)
    }));
    let mean = |i: usize| {
        let half = (window / 2).min(i.min(points.len() - 1 - i).max(window / 8));
        let (from, to) = (i.saturating_sub(half), (i + half + 1).min(points.len()));
        (points[i].0, offset + (sums[to] - sums[from]) / (to - from) as f64)
    };
    (0..points.len()).map(mean).collect()
}

/// The lowest and the highest point of each of [`COLUMNS`] runs of points, in order.
pub(crate) fn outline(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let mut out = Vec::with_capacity(2 * COLUMNS + 2);
    out.push(points[0]);
    for run in points.chunks(points.len().div_ceil(COLUMNS)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let both = [run.iter().min_by(by_value), run.iter().max_by(by_value)];
        let mut both: Vec<(f64, f64)> = both.into_iter().flatten().copied().collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        both.dedup();
        out.extend(both);
    }
    out.extend(points.last());
    out
}

/// The value below which a share `q` of the values lies (0 for none).
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (q * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_of_a_line_is_the_line() {
        let line: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 1e6 + 0.5 * f64::from(i))).collect();
        for (i, (a, b)) in running_mean(&line, 17).iter().zip(&line).enumerate() {
            let room = if (2..98).contains(&i) { 1e-6 } else { 0.5 };
            assert!(a.0 == b.0 && (a.1 - b.1).abs() <= room, "{a:?} {b:?}");
        }
        assert_eq!(
            running_mean(&[(0.0, 1.0), (1.0, 5.0), (2.0, 3.0)], 3),
            [(0.0, 1.0), (1.0, 3.0), (2.0, 3.0)]
        );
        assert!(running_mean(&[], 3).is_empty());
    }

    #[test]
    fn outline_keeps_spikes_and_ends() {
        let mut points: Vec<(f64, f64)> = (0..50_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[12_345].1 = 100.0;
        points[23_456].1 = -100.0;
        let thin = outline(&points);
        assert!(thin.len() <= 2 * COLUMNS + 2, "{}", thin.len());
        assert!(thin.contains(&(12_345.0, 100.0)) && thin.contains(&(23_456.0, -100.0)));
        assert_eq!((thin[0], thin[thin.len() - 1]), (points[0], points[49_999]));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn windows_are_odd() {
        assert_eq!([10, 59, 60, 1000, 40_000].map(smoothing_window), [1, 1, 1, 25, 1001]);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
