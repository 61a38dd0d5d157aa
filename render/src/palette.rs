//! The way between sRGB bytes and linear light, by tables.

use std::sync::LazyLock;

use jepa3d_schemas::{linear_from_srgb, srgb_from_linear};

/// Steps of the table that encodes linear light; the darkest sRGB steps are a little wider than one.
const STEPS: usize = 4096;

static TO_LINEAR: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|i| linear_from_srgb(i as f64 / 255.0) as f32));

static TO_SRGB: LazyLock<[u8; STEPS]> = LazyLock::new(|| {
    std::array::from_fn(|i| (srgb_from_linear(i as f64 / (STEPS - 1) as f64) * 255.0 + 0.5) as u8)
});

/// The tables, looked up once and then used without a lock.
#[derive(Clone, Copy)]
pub(crate) struct Srgb {
    to_linear: &'static [f32; 256],
    to_srgb: &'static [u8; STEPS],
}

impl Srgb {
    pub(crate) fn new() -> Self {
        Self { to_linear: &TO_LINEAR, to_srgb: &TO_SRGB }
    }

    /// Linear light of an sRGB colour.
    #[inline(always)]
    pub(crate) fn linear(&self, color: [u8; 3]) -> [f32; 3] {
        color.map(|c| self.to_linear[c as usize])
    }

    /// The sRGB byte of linear light in `[0,1]`; what lies outside is clamped.
    #[inline(always)]
    pub(crate) fn encode(&self, light: f32) -> u8 {
        // Adding 2^23 leaves the rounded step in the low bits (of NaN: zeros), cheaper than a cast.
        let step = light.clamp(0.0, 1.0) * (STEPS - 1) as f32 + 8_388_608.0;
        self.to_srgb[step.to_bits() as usize % STEPS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_srgb_byte_survives_the_way_through_linear_light() {
        let srgb = Srgb::new();
        for byte in 0..=255u8 {
            let back = srgb.encode(srgb.linear([byte; 3])[0]);
            assert!(back.abs_diff(byte) <= 1, "{byte} became {back}");
        }
        assert_eq!((srgb.encode(-1.0), srgb.encode(f32::NAN), srgb.encode(9.0)), (0, 0, 255));
    }
}
