//! What of a cloud's features stays when the cloud turns: the mean over equal turns, and magnitudes of harmonics or extremes.
//!
//! Turning a cloud by one of the turns shifts the row of its features around the circle; the mean, the extremes and the magnitudes
//! of the row's discrete Fourier transform do not change under a shift, and little under a turn in between. (Averages over a group: Puny et
//! al. 2022, Frame Averaging.)

use candle_core::Tensor;
use jepa3d_schemas::UpAxis;

use crate::config::{FeatureConfig, OverTurns};
use crate::error::Result;

/// `places [.., 3]` turned about the vertical by a share of a circle; none keeps every bit.
fn turn_places(places: &[f32], up: UpAxis, share: f64) -> Vec<f32> {
    let mut turned = places.to_vec();
    if share == 0.0 {
        return turned;
    }
    let angle = std::f64::consts::TAU * share;
    let (sin, cos) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
    let (first, second) = ((up.index() + 1) % 3, (up.index() + 2) % 3);
    for point in turned.as_chunks_mut::<3>().0 {
        let (a, b) = (point[first], point[second]);
        (point[first], point[second]) = (cos * a - sin * b, sin * a + cos * b);
    }
    turned
}

/// Patches and centers as they stand, then turned about the vertical by each of `turns` equal angles.
pub(crate) fn turn_looks<'a>(
    patches: &'a [f32],
    centers: &'a [f32],
    up: UpAxis,
    turns: usize,
) -> impl Iterator<Item = [Vec<f32>; 2]> + 'a {
    let share = move |turn: usize| turn as f64 / turns as f64;
    (0..turns).map(move |turn| [patches, centers].map(|places| turn_places(places, up, share(turn))))
}

/// `pooled [T, B, F]`, a row of features a turn, to the mean over the turns and what follows it ([`FeatureConfig::joined`] numbers).
pub(crate) fn join_turns(pooled: &Tensor, features: &FeatureConfig) -> Result<Tensor> {
    match features.over_turns {
        OverTurns::Harmonics | OverTurns::FewHarmonics => {
            add_harmonics(pooled, features.harmonics(), features.harmonics_every())
        }
        OverTurns::Extremes => Ok(Tensor::cat(&[pooled.mean(0)?, pooled.max(0)?, pooled.min(0)?], 1)?),
    }
}

/// `[T, B, F]` to `[B, F + harmonics F / every]`: the mean over the turns, then the magnitudes of the first harmonics, divided by `T`,
/// of the features 0, `every`, 2 `every` and so on.
fn add_harmonics(pooled: &Tensor, harmonics: usize, every: usize) -> Result<Tensor> {
    let (turns, _, features) = pooled.dims3()?;
    let mut parts = vec![pooled.mean(0)?];
    let chosen: Vec<u32> = (0..features as u32).step_by(every).collect();
    let pooled = pooled.index_select(&Tensor::new(chosen, pooled.device())?, 2)?;
    let wave = |of: &dyn Fn(f64) -> f64, number: usize| -> Result<Tensor> {
        let angle = |turn: usize| std::f64::consts::TAU * (number * turn % turns) as f64 / turns as f64;
        let weights: Vec<f32> = (0..turns).map(|turn| of(angle(turn)) as f32).collect();
        let weights = Tensor::from_vec(weights, (turns, 1, 1), pooled.device())?;
        Ok(pooled.broadcast_mul(&weights)?.mean(0)?)
    };
    for number in 1..=harmonics {
        let (real, imaginary) = (wave(&libm::cos, number)?, wave(&libm::sin, number)?);
        parts.push((real.sqr()? + imaginary.sqr()?)?.sqrt()?);
    }
    Ok(Tensor::cat(&parts, 1)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn close(a: &Tensor, b: &Tensor) -> bool {
        let off = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        off.to_scalar::<f32>().unwrap() < 1e-5
    }

    #[test]
    fn harmonics_are_those_of_a_known_wave_and_do_not_see_a_shift() {
        let row = |shift: usize| {
            let at = |t: usize| std::f64::consts::TAU * ((t + shift) % 8) as f64 / 8.0;
            let values: Vec<f32> =
                (0..8).map(|t| (2.0 + 3.0 * at(t).cos() + 0.5 * (2.0 * at(t) + 0.3).sin()) as f32).collect();
            Tensor::from_vec(values, (8, 1, 1), &Device::Cpu).unwrap()
        };
        let found = add_harmonics(&row(0), 2, 1).unwrap();
        // A wave of amplitude A has the magnitude A / 2.
        assert!(close(&found, &Tensor::new(&[[2.0f32, 1.5, 0.25]], &Device::Cpu).unwrap()));
        assert!((1..8).all(|shift| close(&add_harmonics(&row(shift), 2, 1).unwrap(), &found)));
    }

    #[test]
    fn harmonics_of_every_fourth_are_those_of_all() {
        let config =
            FeatureConfig { turns: 8, over_turns: OverTurns::FewHarmonics, ..FeatureConfig::default() };
        let values: Vec<f32> = (0..8 * 2 * 6).map(|x| ((x * x) as f32).sin()).collect();
        let pooled = Tensor::from_vec(values, (8, 2, 6), &Device::Cpu).unwrap();
        let few = join_turns(&pooled, &config).unwrap();
        assert_eq!(few.dims(), [2, config.joined(6)]);
        let all = add_harmonics(&pooled, 2, 1).unwrap();
        let places = Tensor::new(&[0u32, 1, 2, 3, 4, 5, 6, 10, 12, 16], &Device::Cpu).unwrap();
        assert!(close(&few, &all.index_select(&places, 1).unwrap()));
    }

    #[test]
    fn extremes_follow_the_mean() {
        let features =
            FeatureConfig { turns: 3, over_turns: OverTurns::Extremes, ..FeatureConfig::default() };
        let rows = [[[1.0f32, -1.0]], [[4.0, -3.0]], [[-2.0, 1.0]]];
        let found = join_turns(&Tensor::new(&rows, &Device::Cpu).unwrap(), &features).unwrap();
        assert!(close(&found, &Tensor::new(&[[1.0f32, -1.0, 4.0, 1.0, -2.0, -3.0]], &Device::Cpu).unwrap()));
    }

    #[test]
    fn turns_go_around_the_vertical() {
        for (up, wanted) in
            [(UpAxis::X, [1.0, -3.0, 2.0]), (UpAxis::Y, [3.0, 2.0, -1.0]), (UpAxis::Z, [-2.0, 1.0, 3.0])]
        {
            let turned = turn_places(&[1.0, 2.0, 3.0], up, 0.25);
            assert!(
                turned.iter().zip(wanted).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
                "{up:?} {turned:?}"
            );
            assert_eq!(turn_places(&[1.0, 2.0, 3.0], up, 0.0), [1.0, 2.0, 3.0]);
        }
    }
}
