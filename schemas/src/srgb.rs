//! The sRGB curve (IEC 61966-2-1), both ways: what images and colours are stored in, and the linear light they stand for.
//!
//! `libm`, so that a rendered byte does not depend on the C library.

/// The sRGB value of linear light; both from 0 to 1.
pub fn srgb_from_linear(light: f64) -> f64 {
    if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * libm::pow(light, 1.0 / 2.4) - 0.055 }
}

/// Linear light of an sRGB value; both from 0 to 1.
pub fn linear_from_srgb(value: f64) -> f64 {
    if value <= 0.04045 { value / 12.92 } else { libm::pow((value + 0.055) / 1.055, 2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ways_are_inverses_and_meet_known_values() {
        for byte in 0..=255 {
            let value = f64::from(byte) / 255.0;
            assert!((srgb_from_linear(linear_from_srgb(value)) - value).abs() < 1e-7, "{byte}");
        }
        assert_eq!((srgb_from_linear(0.0), linear_from_srgb(0.0)), (0.0, 0.0));
        assert!((linear_from_srgb(0.5) - 0.214_041).abs() < 1e-6);
        assert!((srgb_from_linear(1.0) - 1.0).abs() < 1e-12);
    }
}
