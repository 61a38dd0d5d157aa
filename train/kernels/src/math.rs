//! `exp` and `erf` in forms that compile to vector instructions.
//!
//! The C library's functions are calls, one element at a time. These are branch-free polynomials, within 2 ulp (exp)
//! and 4 ulp (erf, after N. Juffa's two-range approximation) of the exact values.

/// `e^x`; 0 below -87.3, the largest finite power above 88.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to the nearest integer
    let x = x.clamp(-87.3, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    // ln 2 in two parts, the first of few bits, so that n times it is exact.
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let mantissa = p * r * r + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23;
    mantissa * f32::from_bits(exponent)
}

/// The error function.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let (t, s) = (x.abs(), x * x);
    let mut far = -1.728_534_7e-5 * t + 3.831_971_3e-4;
    let u = -3.883_964_4e-3 * t + 2.425_462_2e-2;
    far = far * s + u;
    far = far * t - 1.067_778_8e-1;
    far = far * t - 6.348_467e-1;
    far = far * t - 1.287_175_1e-1;
    far = far * t - t;
    let far = (1.0 - exp(far)).copysign(x);
    let mut near = -5.967_617e-4;
    near = near * s + 4.991_194_2e-3;
    near = near * s - 2.676_813_5e-2;
    near = near * s + 1.128_199_25e-1;
    near = near * s - 3.761_253_4e-1;
    near = near * s + 1.283_791_7e-1;
    let near = near * x + x;
    if t > 0.927_734_4 { far } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(range: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let n = 200_001;
        let mut worst = 0.0f64;
        for i in 0..n {
            let x = ((f64::from(i) / f64::from(n - 1)) * 2.0 - 1.0) * range;
            let x = x as f32;
            let want = exact(f64::from(x));
            worst = worst.max((f64::from(f(x)) - want).abs() / want.abs().max(1e-3));
        }
        worst
    }

    #[test]
    fn near_the_exact_values() {
        let found =
            [worst(80.0, |x| exp(x).ln(), |x| x), worst(10.0, exp, libm::exp), worst(5.0, erf, libm::erf)];
        assert!(found.iter().all(|&e| e < 2e-4) && found[1] < 3e-7 && found[2] < 4e-7, "{found:?}");
    }

    #[test]
    fn extremes_stay_finite() {
        assert!(exp(-1e30) < 2e-38 && exp(1e30).is_finite());
        assert_eq!((erf(1e30), erf(-1e30)), (1.0, -1.0));
    }
}
