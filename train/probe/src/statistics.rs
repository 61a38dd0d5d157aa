//! Means, deviations and shares: the small statistics that several measures are made of.

/// Mean and standard deviation of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanDeviation {
    /// Mean.
    pub mean: f64,
    /// With `n - 1`; 0 for a single number.
    pub deviation: f64,
}

impl MeanDeviation {
    /// Of a sample; 0 and 0 for none.
    pub fn measure(values: &[f64]) -> Self {
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Self { mean, deviation: (square / (n - 1.0).max(1.0)).sqrt() }
    }
}

/// Share of predictions that equal the label.
pub(crate) fn accuracy(predictions: &[i32], labels: &[i32]) -> f64 {
    let right = predictions.iter().zip(labels).filter(|(a, b)| a == b).count();
    right as f64 / labels.len().max(1) as f64
}

/// Mean of every column of `values` `[n, width]`, summed in `f64`.
pub(crate) fn column_means(values: &[f32], width: usize) -> Vec<f64> {
    let n = (values.len() / width.max(1)).max(1) as f64;
    let mut means = column_sums(values, width);
    // Divided last: the mean of equal numbers is then that number, and their variance 0.
    means.iter_mut().for_each(|sum| *sum /= n);
    means
}

/// Sums of the columns of `values [n, width]`.
pub(crate) fn column_sums(values: &[f32], width: usize) -> Vec<f64> {
    let width = width.max(1);
    let mut sums = vec![0.0f64; width];
    for row in values.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    sums
}

/// `1 - mean |p - z|^2 / mean |z - mean z|^2` of predictions and targets `[n, width]`; 0 where the targets do not vary.
///
/// # Panics
/// If the sizes differ.
pub fn explained_share(predictions: &[f32], targets: &[f32], width: usize) -> f64 {
    assert_eq!(predictions.len(), targets.len(), "a prediction for every target");
    let variance = sum_squared_deviations(targets, width);
    let square = |(&p, &z): (&f32, &f32)| (f64::from(p) - f64::from(z)).powi(2);
    let error: f64 = predictions.iter().zip(targets).map(square).sum();
    if variance == 0.0 { 0.0 } else { 1.0 - error / variance }
}

/// Sum of `|z - mean z|^2` of the rows of `values` `[n, width]`.
pub(crate) fn sum_squared_deviations(values: &[f32], width: usize) -> f64 {
    let means = column_means(values, width);
    let deviation =
        |row: &[f32]| row.iter().zip(&means).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum::<f64>();
    values.chunks_exact(means.len()).map(deviation).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    fn normal(seed: u64, n: usize) -> Vec<f32> {
        let mut draws = Draws::new(seed, "rank", "test");
        (0..n).map(|_| draws.normal() as f32).collect()
    }

    #[test]
    fn explained_share_by_its_definition() {
        let targets = normal(2, 600);
        assert_eq!(explained_share(&targets, &targets, 6), 1.0);
        let noisy: Vec<f32> = targets.iter().zip(normal(3, 600)).map(|(z, e)| z + 0.5 * e).collect();
        assert!((explained_share(&noisy, &targets, 6) - 0.75).abs() < 0.05);
        assert_eq!(explained_share(&[1.0; 6], &[2.0; 6], 3), 0.0);
    }

    #[test]
    fn one_number_does_not_deviate() {
        assert_eq!(MeanDeviation::measure(&[2.5]), MeanDeviation { mean: 2.5, deviation: 0.0 });
        let found = MeanDeviation::measure(&[1.0, 2.0, 3.0]);
        assert_eq!(found, MeanDeviation { mean: 2.0, deviation: 1.0 });
    }
}
