//! What an encoder says of one image, and the precision in which it is stored.

/// What an encoder says of one image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Embedding {
    /// `[D_t]`.
    pub values: Vec<f32>,
    /// Whether it is a target: an image without gradients says nothing.
    pub is_valid: bool,
}

/// The number nearest to `x` with 11 significant bits, ties to even.
pub(crate) fn round_to_11_bits(x: f32) -> f32 {
    const DROPPED: u32 = 13;
    let bits = x.to_bits();
    let half = (1 << (DROPPED - 1)) - 1 + ((bits >> DROPPED) & 1);
    f32::from_bits((bits + half) >> DROPPED << DROPPED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::Draws;

    #[test]
    fn stored_numbers_have_eleven_bits() {
        let mut draws = Draws::new(0, "x", "rounded");
        for _ in 0..1000 {
            let x = (draws.normal() * 10f64.powi(draws.index(20) as i32 - 10)) as f32;
            let y = round_to_11_bits(x);
            assert!((y - x).abs() <= x.abs() * 2f32.powi(-11), "{x} {y}");
            assert_eq!((y.to_bits() & 0x1FFF, round_to_11_bits(y)), (0, y));
        }
        let known = [0.0, -1.0, 1.0 + 2f32.powi(-11)].map(round_to_11_bits);
        assert_eq!(known, [0.0, -1.0, 1.0]);
    }
}
