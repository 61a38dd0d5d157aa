//! How far features are from an isotropic Gaussian, along random directions: SIGReg (LeJEPA, Balestriero and LeCun, arXiv
//! 2511.08544), which keeps features from collapsing as variance and covariance terms do.

use candle_core::{Device, Tensor};
use jepa3d_schemas::Draws;

use crate::error::Result;

/// Directions of a step.
const DIRECTIONS: usize = 128;
/// The characteristic functions are compared at 17 places from -5 to 5; both are even, so half of them are enough.
const STEP: f64 = 0.625;
const STEPS: usize = 8;

/// The statistic of Epps and Pulley of `features [B, D]` along directions drawn from `key`: the mean over the directions, a
/// scalar.
pub(super) fn measure_gaussian_distance(features: &Tensor, key: u64) -> Result<Tensor> {
    let (_, width) = features.dims2()?;
    distance_along(features, &draw_directions(width, key, features.device())?)
}

/// The same along given directions `[D, M]` of length 1.
///
/// `B` times the integral of `|phi(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2)`, where `phi` is the empirical characteristic function
/// of the projections, by trapezoids.
fn distance_along(features: &Tensor, directions: &Tensor) -> Result<Tensor> {
    let along = features.matmul(directions)?;
    let mut total = along.mean_all()?.zeros_like()?;
    for at in 1..=STEPS {
        let t = STEP * at as f64;
        let gaussian = libm::exp(-0.5 * t * t);
        let angles = (&along * t)?;
        let real = (angles.cos()?.mean(0)? - gaussian)?;
        let imaginary = angles.sin()?.mean(0)?;
        let error = (real.sqr()? + imaginary.sqr()?)?.mean_all()?;
        // Both ends of the range count half.
        let share = if at == STEPS { 1.0 } else { 2.0 };
        total = (total + (error * (share * STEP * gaussian))?)?;
    }
    Ok((total * features.dim(0)? as f64)?)
}

/// Random directions `[D, M]`, the same for the same key.
fn draw_directions(width: usize, key: u64, device: &Device) -> Result<Tensor> {
    let mut draws = Draws::new(key, "features", "directions");
    let normal: Vec<f32> = (0..width * DIRECTIONS).map(|_| draws.normal() as f32).collect();
    let directions = Tensor::from_vec(normal, (width, DIRECTIONS), device)?;
    let length = directions.sqr()?.sum_keepdim(0)?.sqrt()?;
    Ok(directions.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    fn table(rows: usize, columns: usize, value: impl Fn(f32, f32) -> f32) -> Tensor {
        let values = (0..rows * columns).map(|at| value((at / columns) as f32, (at % columns) as f32));
        Tensor::from_vec(values.collect::<Vec<f32>>(), (rows, columns), &Device::Cpu).unwrap()
    }

    /// `train/goldens/sketched_gaussian.py` prints the numbers.
    #[test]
    fn the_statistic_and_its_gradient_are_those_of_the_paper() {
        let x = Var::from_tensor(&table(6, 4, |i, j| 1.5 * (7.0 * i + 3.0 * j + 1.0).sin())).unwrap();
        let directions = table(4, 3, |i, j| (5.0 * i + 2.0 * j).cos());
        let length = directions.sqr().unwrap().sum_keepdim(0).unwrap().sqrt().unwrap();
        let loss = distance_along(x.as_tensor(), &directions.broadcast_div(&length).unwrap()).unwrap();
        let value: f32 = loss.to_scalar().unwrap();
        assert!((value - 1.592_228).abs() < 1e-5, "{value}");
        let gradients = loss.backward().unwrap();
        let first: Vec<f32> = gradients.get(x.as_tensor()).unwrap().get(0).unwrap().to_vec1().unwrap();
        let want = [-0.233_461_1, 0.200_322_9, 0.347_109_2, -0.003_399_4];
        assert!(first.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{first:?}");
    }

    #[test]
    fn gaussian_features_are_nearer_than_collapsed_ones() {
        let mut draws = Draws::new(1, "a", "b");
        let normal: Vec<f32> = (0..512 * 16).map(|_| draws.normal() as f32).collect();
        let normal = Tensor::from_vec(normal, (512, 16), &Device::Cpu).unwrap();
        let distance = |x: &Tensor| measure_gaussian_distance(x, 7).unwrap().to_scalar::<f32>().unwrap();
        let same = normal.narrow(0, 0, 1).unwrap().broadcast_as((512, 16)).unwrap();
        let (good, bad) = (distance(&normal), distance(&same.contiguous().unwrap()));
        assert!(good < 2.0 && bad > 50.0 * good, "{good} {bad}");
        assert_eq!(good, distance(&normal), "directions are those of the key");
    }
}
