//! The colour scale of everything that shows numbers as colours: views, recordings, charts.

/// Nine stops of viridis (Smith and van der Walt 2015): lightness rises evenly, also for the colour-blind.
const STOPS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// Colour of a value in `[0,1]`, dark blue to yellow; what lies outside is clamped, NaN counts as 0.
pub fn viridis(value: f32) -> [u8; 3] {
    let at = value.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let i = (at as usize).min(STOPS.len() - 2);
    let t = if at.is_nan() { 0.0 } else { at - i as f32 };
    std::array::from_fn(|c| {
        let (a, b) = (f32::from(STOPS[i][c]), f32::from(STOPS[i + 1][c]));
        (a + (b - a) * t + 0.5) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_runs_through_its_stops() {
        assert_eq!(viridis(0.0), STOPS[0]);
        assert_eq!(viridis(0.5), STOPS[4]);
        assert_eq!(viridis(1.0), STOPS[8]);
        assert_eq!(viridis(f32::NAN), STOPS[0]);
        assert_eq!((viridis(-3.0), viridis(7.0)), (STOPS[0], STOPS[8]));
    }
}
