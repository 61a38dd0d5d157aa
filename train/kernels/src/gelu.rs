//! GELU in its exact form (Hendrycks, Gimpel, arXiv 1606.08415).
//!
//! Forward `y = x P(x)` with `P(x) = (1 + erf(x / sqrt 2)) / 2`; backward `dx = dy (P(x) + x p(x))` with
//! `p(x) = exp(-x^2 / 2) / sqrt(2 pi)`.

use jepa3d_products::vectorized;

use super::math::{erf, exp};

vectorized! {
    /// Sets `out` from `x`.
    pub(crate) fn gelu(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = value(x);
        }
    }

    /// Turns the gradient of the output into that of the input `x`.
    pub(crate) fn gelu_backward(gradient: &mut [f32], x: &[f32]) {
        for (gradient, &x) in gradient.iter_mut().zip(x) {
            *gradient *= slope(x);
        }
    }
}

#[inline(always)]
fn value(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn slope(x: f32) -> f32 {
    const INVERSE_SQRT_2_PI: f32 = 0.398_942_3;
    let cumulative = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    cumulative + x * INVERSE_SQRT_2_PI * exp(-0.5 * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f64) -> f64 {
        0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
    }

    #[test]
    fn the_version_for_this_processor_has_the_bits_of_the_plain_one() {
        eprintln!("vectors: {:?}", jepa3d_products::VectorLevel::detect());
        let x: Vec<f32> = (-4003..=4000).map(|i| i as f32 * 2.3e-3).collect();
        let (mut found, mut slopes) = (vec![0.0; x.len()], vec![1.0; x.len()]);
        gelu(&mut found, &x);
        gelu_backward(&mut slopes, &x);
        for (i, &x) in x.iter().enumerate() {
            assert_eq!(
                (found[i].to_bits(), slopes[i].to_bits()),
                (value(x).to_bits(), slope(x).to_bits()),
                "at {x}"
            );
        }
    }

    #[test]
    fn near_the_exact_values() {
        let x: Vec<f32> = (-8000..=8000).map(|i| i as f32 * 1e-3).collect();
        let mut found = vec![0.0; x.len()];
        gelu(&mut found, &x);
        for (&x, &found) in x.iter().zip(&found) {
            let want = exact(f64::from(x));
            assert!((f64::from(found) - want).abs() < 2e-4 * want.abs().max(1e-3), "at {x}");
        }
        assert!(value(-30.0).abs() < 1e-6);
    }

    #[test]
    fn the_slope_is_that_of_the_function() {
        let x: Vec<f32> = (-600..600).map(|i| i as f32 * 0.01).collect();
        let mut found = vec![1.0; x.len()];
        gelu_backward(&mut found, &x);
        for (&x, &found) in x.iter().zip(&found) {
            let h = 1e-5;
            let slope = (exact(f64::from(x) + h) - exact(f64::from(x) - h)) / (2.0 * h);
            assert!((f64::from(found) - slope).abs() < 1e-6, "at {x}");
        }
    }
}
