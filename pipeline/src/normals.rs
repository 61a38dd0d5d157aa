//! What a normal must be to be stored: finite, and of length one.

/// By how much the length of a stored normal may differ from one: what signed bytes and two decimals round away.
const TOLERANCE: f32 = 1e-2;

/// The first normal that is none.
pub(crate) fn find_odd_normal(normals: impl IntoIterator<Item = [f32; 3]>) -> Option<[f32; 3]> {
    normals.into_iter().find(|n| {
        let length = n.iter().map(|x| x * x).sum::<f32>().sqrt();
        length.is_nan() || (length - 1.0).abs() > TOLERANCE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_nans_and_other_lengths_are_odd() {
        let good = [[0.0, 0.0, 1.0], [0.58, -0.58, 0.58], [-1.0, 0.0, 0.0]];
        assert_eq!(find_odd_normal(good), None);
        for odd in [[0.0; 3], [0.0, 2.0, 0.0], [f32::INFINITY, 0.0, 0.0], [0.0, 0.5, 0.5]] {
            assert_eq!(find_odd_normal([good[0], odd]), Some(odd));
        }
        assert!(find_odd_normal([[f32::NAN, 0.0, 1.0]]).is_some());
    }
}
