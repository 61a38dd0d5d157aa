//! How much of per-patch vectors the position of the patch alone explains: collapse onto position.
//!
//! Targets that are a function of where a patch lies, not of what is there, can be predicted perfectly while their
//! standard deviations stay healthy, so the usual guards miss it. Two measures, both 1 for a pure function of position
//! and 0 for vectors independent of it: [`PositionBasis::share`] regresses the vectors on functions of the position
//! and scores the fit on other clouds; [`neighbour_share`] compares vectors at nearly the same position in different
//! clouds and needs no basis.

use rayon::prelude::*;

use jepa3d_schemas::Draws;

use super::cholesky::solve_in_place;
use super::rank::{error_and_variance, explained_share};
use crate::error::{Error, Result};
use crate::kernels::products::{Matrix, product};

/// Random functions of each length scale.
const FUNCTIONS: usize = 64;
/// Distances over which the random functions vary, in units of the cloud's radius.
const LENGTH_SCALES: [f64; 2] = [0.6, 0.2];
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
        if clouds < 4 || !fits || !is_finite() {
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

    /// Rows of the clouds with even number (`parity` 0) or odd number (1): patches of one cloud stay together, or the
    /// score would reward knowing the cloud.
    fn half(&self, parity: usize) -> (Vec<f32>, Vec<f32>) {
        let of = |values: &[f32], width: usize| -> Vec<f32> {
            let clouds = values.chunks_exact(self.per_cloud * width);
            clouds.skip(parity).step_by(2).flatten().copied().collect()
        };
        (of(self.vectors, self.width), of(self.centers, 3))
    }
}

/// Fixed functions of a position: `cos(frequency . p + phase)`, then x, y, z and 1.
#[derive(Clone, Debug)]
pub struct PositionBasis {
    /// `[F, 4]`: three frequencies and a phase.
    waves: Vec<[f64; 4]>,
}

impl Default for PositionBasis {
    /// Random Fourier features (Rahimi, Recht, NeurIPS 2007) of Gaussian kernels of two length scales, always the same.
    fn default() -> Self {
        let mut draws = Draws::new(0, "position", "random-fourier-features");
        let mut wave = |scale: f64| {
            let [x, y, z] = [(); 3].map(|()| draws.normal() / scale);
            [x, y, z, draws.range(0.0, std::f64::consts::TAU)]
        };
        let waves = LENGTH_SCALES.iter().flat_map(|&scale| [scale; FUNCTIONS]).map(&mut wave).collect();
        Self { waves }
    }
}

impl PositionBasis {
    fn width(&self) -> usize {
        self.waves.len() + 4
    }

    /// Values of the functions `[rows, width]` at `centers` `[rows, 3]`.
    fn at(&self, centers: &[f32]) -> Vec<f64> {
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
        let (known, known_centers) = patches.half(0);
        let (asked, asked_centers) = patches.half(1);
        let (width, functions) = (patches.width, self.width());
        let rows = known.len() / width;
        let mut mean = vec![0.0f64; width];
        for row in known.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) / rows as f64);
        }
        let targets: Vec<f64> =
            known.iter().enumerate().map(|(i, &x)| f64::from(x) - mean[i % width]).collect();
        let design = self.at(&known_centers);
        let phi = Matrix::new(&design, functions);
        let mut normal = product(phi.transposed(), phi);
        (0..functions).for_each(|i| normal[i * functions + i] += PENALTY * rows as f64);
        let mut weights = product(phi.transposed(), Matrix::new(&targets, width));
        solve_in_place(&mut normal, &mut weights, width);
        let design = self.at(&asked_centers);
        let fitted = product(Matrix::new(&design, functions), Matrix::new(&weights, width));
        let fitted: Vec<f32> = fitted.iter().enumerate().map(|(i, x)| (x + mean[i % width]) as f32).collect();
        Ok(explained_share(&fitted, &asked, width))
    }
}

/// Share of the variance that patches of different clouds at nearly the same position have in common.
///
/// Each patch of a cloud with odd number is compared with the one of an even cloud whose center is nearest: half the
/// mean squared difference is the variance that position does not determine. A lower bound of the true share: centers
/// differ a little.
///
/// # Errors
/// As [`PositionBasis::share`].
pub fn neighbour_share(patches: PatchVectors<'_>) -> Result<f64> {
    patches.check()?;
    let (known, known_centers) = patches.half(0);
    let (asked, asked_centers) = patches.half(1);
    let width = patches.width;
    let nearest = |center: &[f32]| {
        let mut best = (f32::INFINITY, 0);
        for (i, other) in known_centers.chunks_exact(3).enumerate() {
            let [x, y, z] = [0, 1, 2].map(|axis| other[axis] - center[axis]);
            let square = x * x + y * y + z * z;
            best = if square < best.0 { (square, i) } else { best };
        }
        best.1
    };
    let near: Vec<usize> = asked_centers.par_chunks_exact(3).map(nearest).collect();
    let matched: Vec<f32> =
        near.into_iter().flat_map(|i| &known[i * width..(i + 1) * width]).copied().collect();
    // Both vectors of a couple deviate independently: twice the variance.
    let (error, variance) = error_and_variance(&matched, &asked, width);
    Ok(if variance == 0.0 { 0.0 } else { 1.0 - 0.5 * error / variance })
}
