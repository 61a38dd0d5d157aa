//! A weight with its bias, and where the gradients of both are summed: the parameters of a linear layer or a norm.

/// Parameters as slices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
}

/// Gradients of an [`Affine`]; backward passes add to them.
#[derive(Debug)]
pub(crate) struct AffineGradient<'a> {
    pub weight: &'a mut [f32],
    pub bias: &'a mut [f32],
}
