//! Features of frozen encoders: one vector a sample, the fixed validation part, and standardisation.

use std::path::Path;

use jepa3d_schemas::{FeatureRows, derive_seed, read_features};

use crate::error::{Error, Result};
use crate::statistics::column_means;

/// Share of ids in the validation part.
const VALIDATION_SHARE: f64 = 0.2;

/// One feature vector a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureSet {
    /// Sample ids `[n]`.
    pub ids: Vec<String>,
    /// Class numbers `[n]`, where known.
    pub labels: Vec<Option<i32>>,
    /// Splits `[n]`.
    pub splits: Vec<String>,
    /// Numbers a vector.
    pub width: usize,
    /// Feature vectors `[n, width]`.
    pub values: Vec<f32>,
}

impl FeatureSet {
    /// Reads a features file.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is no features file.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(read_features(path)?.0.into())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The vector of a sample.
    fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The vectors of some samples `[rows.len(), width]`, in the order given.
    pub(crate) fn gather(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().flat_map(|&i| self.row(i)).copied().collect()
    }

    /// Checks that the arrays agree in length and hold finite numbers.
    ///
    /// # Errors
    /// Fails if one has another length, or a feature is NaN or infinite; the error names the first such row.
    pub(crate) fn check(&self) -> Result<()> {
        let n = self.len();
        let lengths = [
            ("labels", self.labels.len(), n),
            ("splits", self.splits.len(), n),
            ("values", self.values.len(), n * self.width),
        ];
        for (what, found, expected) in lengths {
            if found != expected {
                let (expected, found) = (expected.to_string(), found.to_string());
                return Err(Error::Features { what: what.to_owned(), expected, found });
            }
        }
        match self.values.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::Features {
                what: format!(
                    "row {} ({}), column {}",
                    at / self.width,
                    self.ids[at / self.width],
                    at % self.width
                ),
                expected: "a finite number".to_owned(),
                found: self.values[at].to_string(),
            }),
        }
    }
}

impl From<FeatureRows> for FeatureSet {
    fn from(rows: FeatureRows) -> Self {
        let FeatureRows { ids, splits, labels, width, values, .. } = rows;
        Self { ids, labels, splits, width, values }
    }
}

/// Whether a sample belongs to the validation part: a fixed fifth of all ids.
///
/// A function of the id alone: the first 64 bits of `derive_seed(0, id, "validation")`, as a number in `[0, 1)`, are
/// below 0.2. Order, other samples and the run's seed do not matter, so every probe of every run and
/// machine holds out the same samples.
pub fn is_validation(id: &str) -> bool {
    let hash = derive_seed(0, id, "validation");
    let bits = u64::from_le_bytes(hash[..8].try_into().expect("a seed has 32 bytes"));
    ((bits >> 11) as f64 / (1u64 << 53) as f64) < VALIDATION_SHARE
}

/// Mean and standard deviation of every feature: `(x - mean) / deviation` has mean 0 and variance 1 where it was fitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standardisation {
    /// Means `[width]`.
    pub mean: Vec<f32>,
    /// Standard deviations of the population `[width]`; 1 where a feature does not vary.
    pub deviation: Vec<f32>,
}

impl Standardisation {
    /// Fits to `values` `[n, width]`; the sums are in `f64`.
    pub(crate) fn fit(values: &[f32], width: usize) -> Self {
        let n = (values.len() / width.max(1)).max(1) as f64;
        let mean = column_means(values, width);
        let mut square = vec![0.0f64; width];
        for row in values.chunks_exact(width.max(1)) {
            for ((sum, &x), m) in square.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(x) - m).powi(2);
            }
        }
        // Rounding leaves a constant feature a variance of about its square times 1e-32: that is no variation.
        let deviation = |(square, mean): (&f64, &f64)| {
            let deviation = (square / n).sqrt();
            if deviation > 1e-12 * mean.abs() { deviation as f32 } else { 1.0 }
        };
        let deviation =
            square.iter().zip(&mean).map(deviation).map(|d| if d > 0.0 { d } else { 1.0 }).collect();
        Self { mean: mean.into_iter().map(|m| m as f32).collect(), deviation }
    }

    /// Standardises `values` `[n, width]` in place.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.mean.len().max(1)) {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *x = (*x - mean) / deviation;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_validation_part_is_a_fifth_and_fixed() {
        let ids: Vec<String> = (0..20_000).map(|i| format!("chair/chair_{i:04}")).collect();
        let share = ids.iter().filter(|id| is_validation(id)).count() as f64 / ids.len() as f64;
        assert!((share - VALIDATION_SHARE).abs() < 0.01, "{share}");
        let first: Vec<_> = (0..40).filter(|&i| is_validation(&ids[i])).collect();
        assert_eq!(first, FIRST, "which samples are held out must never change");
    }

    /// Of `chair/chair_0000` to `chair/chair_0039`.
    const FIRST: [usize; 9] = [3, 4, 6, 14, 27, 28, 32, 33, 37];

    #[test]
    fn standardised_features_have_mean_0_and_variance_1() {
        let mut values: Vec<f32> = (0..300).flat_map(|i| [1e4 + (i as f32).sin(), 5.0, i as f32]).collect();
        let fitted = Standardisation::fit(&values, 3);
        assert_eq!(fitted.deviation[1], 1.0);
        fitted.apply(&mut values);
        let again = Standardisation::fit(&values, 3);
        assert!(again.mean.iter().all(|m| m.abs() < 1e-3), "{again:?}");
        assert!((again.deviation[0] - 1.0).abs() < 1e-3 && (again.deviation[2] - 1.0).abs() < 1e-6);
        assert!(values.iter().skip(1).step_by(3).all(|&x| x == 0.0));
    }

    #[test]
    fn a_row_that_is_not_a_number_is_named() {
        let mut set = FeatureSet {
            ids: vec!["a".into(), "b".into()],
            labels: vec![None; 2],
            splits: vec!["train".into(); 2],
            width: 2,
            values: vec![0.0, 1.0, 2.0, f32::NAN],
        };
        let error = set.check().unwrap_err().to_string();
        assert_eq!(error, "features: row 1 (b), column 1: expected a finite number, found NaN");
        set.values.pop();
        assert_eq!(set.check().unwrap_err().to_string(), "features: values: expected 4, found 3");
    }
}
