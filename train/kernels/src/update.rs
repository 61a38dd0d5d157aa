//! Steps of parameters, number by number: AdamW (Loshchilov and Hutter, arXiv 1711.05101) and an exponential moving average.
//!
//! With the gradient `g`, scaled: `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `p = (1 - rate decay) p - rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + epsilon)`.

use jepa3d_products::vectorized;

/// What a step of AdamW multiplies by.
#[derive(Clone, Copy, Debug)]
pub struct AdamFactors {
    /// Of the gradient, as where its norm is cut.
    pub gradient: f32,
    /// Of both moments, what stays of the old one: `b1`, `b2`.
    pub kept: [f32; 2],
    /// What is added of the gradient and of its square: `1 - b1`, `1 - b2`.
    pub added: [f32; 2],
    /// What stays of the parameter: `1 - rate decay`.
    pub parameter: f32,
    /// `rate / (1 - b1^t)`.
    pub rate: f32,
    /// `1 / sqrt(1 - b2^t)`.
    pub root: f32,
    /// Keeps the divisor from 0.
    pub epsilon: f32,
}

vectorized! {
    /// A step of AdamW: moves the parameters `p` and both moments of as many numbers, by their `gradient`.
    pub fn update_numbers(
        p: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradient: &[f32],
        by: AdamFactors,
    ) {
        for (((p, m), v), &g) in p.iter_mut().zip(first).zip(second).zip(gradient) {
            let g = g * by.gradient;
            *m = by.kept[0] * *m + by.added[0] * g;
            *v = by.kept[1] * *v + by.added[1] * g * g;
            *p = *p * by.parameter - by.rate * *m / (v.sqrt() * by.root + by.epsilon);
        }
    }

    /// Moves a copy a `share` of the way towards its original.
    pub fn move_numbers(copy: &mut [f32], original: &[f32], share: f32) {
        for (c, &o) in copy.iter_mut().zip(original) {
            *c += share * (o - *c);
        }
    }
}
