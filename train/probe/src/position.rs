//! How much of per-patch vectors the position of the patch alone explains: collapse onto position.
//!
//! Targets that are a function of where a patch lies, not of what is there, can be predicted perfectly while their
//! standard deviations stay healthy, so the usual guards miss it. [`PositionBasis::share`] regresses the vectors on
//! functions of the position and scores the fit on other clouds: 1 for a pure function of position, 0 for vectors
//! independent of it.

use std::convert::Infallible;

use jepa3d_products::{Matrix, product};
use jepa3d_schemas::Draws;
use rayon::prelude::*;

use crate::cholesky::solve_in_place;
use crate::error::{Error, Result};
use crate::statistics::{column_sums, explained_share, sum_squared_deviations};

/// Random functions of each length scale.
const FUNCTIONS: usize = 64;
/// Distances over which the random functions vary, in units of the cloud's radius.
const LENGTH_SCALES: [f64; 2] = [0.6, 0.2];
/// Fewer clouds say nothing about what lies between them or what position explains.
pub const MIN_CLOUDS: usize = 4;
/// Ridge penalty for each row that is fitted.
const PENALTY: f64 = 1e-3;

/// Vectors of the patches of several clouds.
#[derive(Clone, Copy, Debug)]
pub struct PatchVectors<'a> {
    /// Vectors `[B * G, D]`, cloud by cloud.
    pub vectors: &'a [f32],
    /// `D`.
    pub width: usize,
    /// Centers `[B * G, 3]`, in units of the cloud's radius.
    pub centers: &'a [f32],
    /// `G`, the patches of each cloud.
    pub per_cloud: usize,
}

impl PatchVectors<'_> {
    fn check(&self) -> Result<usize> {
        let clouds = (self.centers.len() / 3).checked_div(self.per_cloud).unwrap_or(0);
        let rows = clouds * self.per_cloud;
        let fits =
            self.width > 0 && self.centers.len() == 3 * rows && self.vectors.len() == rows * self.width;
        let is_finite = || self.vectors.iter().chain(self.centers).all(|x| x.is_finite());
        if clouds < MIN_CLOUDS || !fits || !is_finite() {
            return Err(Error::Features {
                what: "vectors of patches".to_owned(),
                expected: format!(
                    "finite vectors of width {} at {} centers of each of at least 4 clouds",
                    self.width, self.per_cloud
                ),
                found: format!("{} vector and {} center numbers", self.vectors.len(), self.centers.len()),
            });
        }
        Ok(clouds)
    }

    /// Of the clouds with even number (`parity` 0) or odd number (1): patches of one cloud stay together, or the score
    /// would reward knowing the cloud.
    fn half(&self, parity: usize) -> HalfOfClouds {
        let gather = |values: &[f32], width: usize| -> Vec<f32> {
            let clouds = values.chunks_exact(self.per_cloud * width);
            clouds.skip(parity).step_by(2).flatten().copied().collect()
        };
        HalfOfClouds { vectors: gather(self.vectors, self.width), centers: gather(self.centers, 3) }
    }
}

/// Vectors and centers of every other cloud.
struct HalfOfClouds {
    vectors: Vec<f32>,
    centers: Vec<f32>,
}

/// Fixed functions of a position: `cos(frequency . p + phase)`, then x, y, z and 1.
#[derive(Clone, Debug)]
pub struct PositionBasis {
    /// `[F, 4]`: three frequencies and a phase.
    waves: Vec<[f64; 4]>,
}

impl Default for PositionBasis {
    /// The basis of the monitor for clouds in the unit sphere.
    fn default() -> Self {
        Self::of_monitor(1.0)
    }
}

impl PositionBasis {
    /// The basis of the monitor: two length scales, 64 functions each. `extent`: radius of the clouds.
    pub fn of_monitor(extent: f64) -> Self {
        Self::new("random-fourier-features", FUNCTIONS, &LENGTH_SCALES, extent)
    }

    /// Random Fourier features (Rahimi, Recht, NeurIPS 2007) of Gaussian kernels, always the same for one purpose.
    /// Length scales are in units of `extent`.
    pub fn new(purpose: &str, functions: usize, length_scales: &[f64], extent: f64) -> Self {
        let mut draws = Draws::new(0, "position", purpose);
        let mut wave = |scale: f64| {
            let [x, y, z] = [(); 3].map(|()| draws.normal() / (scale * extent));
            [x, y, z, draws.range(0.0, std::f64::consts::TAU)]
        };
        let scales = length_scales.iter().flat_map(|&scale| std::iter::repeat_n(scale, functions));
        Self { waves: scales.map(&mut wave).collect() }
    }

    fn width(&self) -> usize {
        self.waves.len() + 4
    }

    /// Values of the functions `[rows, width]` at `centers` `[rows, 3]`.
    fn evaluate(&self, centers: &[f32]) -> Vec<f64> {
        let functions = |center: &[f32]| {
            let [x, y, z] = [0, 1, 2].map(|axis| f64::from(center[axis]));
            let wave = |w: &[f64; 4]| (w[0] * x + w[1] * y + w[2] * z + w[3]).cos();
            self.waves.iter().map(wave).chain([x, y, z, 1.0]).collect::<Vec<_>>()
        };
        centers.par_chunks_exact(3).flat_map_iter(functions).collect()
    }

    /// Share of the variance of the vectors that ridge regression on the position explains, fitted on the clouds with
    /// even number and measured on those with odd number. At most 1; near 0, or slightly below, without any relation.
    ///
    /// Vectors that do not vary have share 0: that collapse is what `target_std` sees.
    ///
    /// # Errors
    /// Fails if sizes do not fit, there are fewer than 4 clouds, or a number is not finite.
    pub fn share(&self, patches: PatchVectors<'_>) -> Result<f64> {
        patches.check()?;
        let (known, asked) = (patches.half(0), patches.half(1));
        let fit = self.fit(&known.vectors, patches.width, &known.centers, PENALTY);
        Ok(explained_share(&fit.predict(self, &asked.centers), &asked.vectors, patches.width))
    }

    /// The vectors minus what ridge regression on the position, fitted on these very rows, explains of them. Where they are a part of
    /// the rows that are fitted, `add_up` replaces sums by those of all parts.
    ///
    /// # Shapes
    /// `vectors [n, width]`, `centers [n, 3]` to `[n, width]`.
    ///
    /// # Errors
    /// Fails as `add_up` does.
    pub fn residual<E>(
        &self,
        rows: PositionedRows<'_>,
        penalty: f64,
        add_up: impl Fn(&mut [f64]) -> Result<(), E>,
    ) -> Result<Vec<f32>, E> {
        let explained = self.fit_part(rows, penalty, add_up)?.predict(self, rows.centers);
        Ok(rows.vectors.iter().zip(&explained).map(|(x, e)| x - e).collect())
    }

    fn fit(&self, vectors: &[f32], width: usize, centers: &[f32], penalty: f64) -> PositionFit {
        let rows = PositionedRows { vectors, width, centers };
        match self.fit_part(rows, penalty, |_| Ok::<(), Infallible>(())) {
            Ok(fit) => fit,
            Err(never) => match never {},
        }
    }

    fn fit_part<E>(
        &self,
        rows: PositionedRows<'_>,
        penalty: f64,
        add_up: impl Fn(&mut [f64]) -> Result<(), E>,
    ) -> Result<PositionFit, E> {
        let PositionedRows { vectors, width, centers } = rows;
        let functions = self.width();
        let mut mean = column_sums(vectors, width);
        mean.push((vectors.len() / width) as f64);
        add_up(&mut mean)?;
        let rows = mean.pop().unwrap_or(1.0);
        mean.iter_mut().for_each(|sum| *sum /= rows.max(1.0));
        let targets: Vec<f64> =
            vectors.iter().enumerate().map(|(i, &x)| f64::from(x) - mean[i % width]).collect();
        let design = self.evaluate(centers);
        let phi = Matrix::new(&design, functions);
        let mut normal = product(phi.transpose(), phi);
        let mut weights = product(phi.transpose(), Matrix::new(&targets, width));
        add_up(&mut normal)?;
        add_up(&mut weights)?;
        (0..functions).for_each(|i| normal[i * functions + i] += penalty * rows);
        solve_in_place(&mut normal, &mut weights, width);
        Ok(PositionFit { weights, mean })
    }
}

/// Vectors, and where they are.
#[derive(Clone, Copy, Debug)]
pub struct PositionedRows<'a> {
    /// `[n, width]`.
    pub vectors: &'a [f32],
    /// Numbers of a vector.
    pub width: usize,
    /// `[n, 3]`.
    pub centers: &'a [f32],
}

/// A ridge regression on the position.
struct PositionFit {
    /// `[functions, width]`.
    weights: Vec<f64>,
    /// `[width]`.
    mean: Vec<f64>,
}

impl PositionFit {
    /// What it says at `centers [n, 3]`: `[n, width]`.
    fn predict(&self, basis: &PositionBasis, centers: &[f32]) -> Vec<f32> {
        let (design, width) = (basis.evaluate(centers), self.mean.len());
        let fitted = product(Matrix::new(&design, basis.width()), Matrix::new(&self.weights, width));
        fitted.iter().enumerate().map(|(i, x)| (x + self.mean[i % width]) as f32).collect()
    }
}

/// Share of the variance that lies between clouds: 1 where all patches of a cloud have the same vector, 0 where vectors
/// do not depend on the cloud.
///
/// Variances within clouds and in all are those of samples (`n - 1`), so that independent vectors have share 0 in expectation.
/// It tells what the share of position cannot: targets may be predicted from the context because they hardly differ within a
/// cloud.
///
/// # Errors
/// Fails if sizes do not fit, there are fewer than 4 clouds, a number is not finite, or with one patch a cloud.
pub fn cloud_share(patches: PatchVectors<'_>) -> Result<f64> {
    let clouds = patches.check()?;
    let (width, per_cloud) = (patches.width, patches.per_cloud);
    if per_cloud < 2 {
        let (what, expected) = ("patches of a cloud".to_owned(), "at least 2".to_owned());
        return Err(Error::Features { what, expected, found: per_cloud.to_string() });
    }
    let variance = |vectors: &[f32]| sum_squared_deviations(vectors, width);
    let within: f64 = patches.vectors.chunks_exact(per_cloud * width).map(variance).sum();
    let all = variance(patches.vectors) / (clouds * per_cloud - 1) as f64;
    Ok(if all == 0.0 { 0.0 } else { 1.0 - within / (clouds * (per_cloud - 1)) as f64 / all })
}

#[cfg(test)]
impl PositionBasis {
    pub(crate) fn of_waves(waves: Vec<[f64; 4]>) -> Self {
        Self { waves }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUDS: usize = 120;
    const PER_CLOUD: usize = 32;
    const WIDTH: usize = 16;

    /// `signal` times smooth functions of position plus `noise` times independent numbers; the last is the share of
    /// the variance that the functions have.
    fn mixture(signal: f64, noise: f64) -> (Vec<f32>, Vec<f32>, f64) {
        let mut draws = Draws::new(1, "position", "test");
        let centers: Vec<f32> = (0..CLOUDS * PER_CLOUD * 3).map(|_| draws.range(-0.6, 0.6) as f32).collect();
        let slopes: Vec<[f64; 4]> = (0..WIDTH).map(|_| [(); 4].map(|()| 2.5 * draws.normal())).collect();
        let at = |center: &[f32], [a, b, c, phase]: &[f64; 4]| {
            let [x, y, z] = [0, 1, 2].map(|axis| f64::from(center[axis]));
            (signal * (a * x + b * y + c * z + phase).sin()) as f32
        };
        let functions: Vec<f32> = centers
            .chunks_exact(3)
            .flat_map(|center| slopes.iter().map(move |slope| at(center, slope)))
            .collect();
        let vectors: Vec<f32> = functions.iter().map(|x| x + (noise * draws.normal()) as f32).collect();
        let [explained, all] = [&functions, &vectors].map(|x| sum_squared_deviations(x, WIDTH));
        (vectors, centers, if all > 0.0 { explained / all } else { 0.0 })
    }

    fn share(vectors: &[f32], centers: &[f32]) -> f64 {
        let patches = PatchVectors { vectors, width: WIDTH, centers, per_cloud: PER_CLOUD };
        PositionBasis::default().share(patches).unwrap()
    }

    #[test]
    fn a_mixture_has_the_share_of_its_variances() {
        for (signal, noise) in [(1.0, 0.0), (1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (0.0, 1.0)] {
            let (vectors, centers, expected) = mixture(signal, noise);
            let found = share(&vectors, &centers);
            assert!((found - expected).abs() < 0.05, "{signal} {noise}: {found} {expected}");
        }
    }

    #[test]
    fn vectors_that_do_not_vary_have_no_share() {
        let (_, centers, _) = mixture(1.0, 0.0);
        assert_eq!(share(&vec![2.3; centers.len() / 3 * WIDTH], &centers), 0.0);
    }

    #[test]
    fn what_knows_only_its_cloud_is_not_taken_for_position() {
        let (mut vectors, centers, _) = mixture(0.0, 0.0);
        let mut draws = Draws::new(2, "position", "test");
        for cloud in vectors.chunks_exact_mut(PER_CLOUD * WIDTH) {
            let own: Vec<f32> = (0..WIDTH).map(|_| draws.normal() as f32).collect();
            cloud.iter_mut().enumerate().for_each(|(i, x)| *x = own[i % WIDTH]);
        }
        let found = share(&vectors, &centers);
        let patches =
            PatchVectors { vectors: &vectors, width: WIDTH, centers: &centers, per_cloud: PER_CLOUD };
        assert!(cloud_share(patches).unwrap() > 0.99);
        assert!(found < 0.05, "{found}");
    }

    #[test]
    fn noise_has_no_share_between_clouds_and_a_mixture_that_of_its_variances() {
        for own in [0.0f32, 1.0, 2.0] {
            let (mut vectors, centers, _) = mixture(0.0, 1.0);
            let mut draws = Draws::new(3, "position", "test");
            for cloud in vectors.chunks_exact_mut(PER_CLOUD * WIDTH) {
                let offset: Vec<f32> = (0..WIDTH).map(|_| own * draws.normal() as f32).collect();
                cloud.iter_mut().enumerate().for_each(|(i, x)| *x += offset[i % WIDTH]);
            }
            let patches =
                PatchVectors { vectors: &vectors, width: WIDTH, centers: &centers, per_cloud: PER_CLOUD };
            let (found, expected) = (cloud_share(patches).unwrap(), f64::from(own * own / (own * own + 1.0)));
            assert!((found - expected).abs() < 0.04, "{own}: {found} {expected}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let patches = PatchVectors { vectors: &[0.0; 12], width: 2, centers: &[0.0; 18], per_cloud: 2 };
        let error = PositionBasis::default().share(patches).unwrap_err().to_string();
        let expected = "features: vectors of patches: expected finite vectors of width 2 at 2 centers of each of at \
                        least 4 clouds, found 12 vector and 18 center numbers";
        assert_eq!(error, expected);
    }
}
