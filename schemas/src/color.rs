//! The colours of everything that shows numbers or labels: views, recordings, contact sheets.

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

/// Twenty colours that differ at a glance.
const LABELS: [[u8; 3]; 20] = [
    [31, 119, 180],
    [255, 127, 14],
    [44, 160, 44],
    [214, 39, 40],
    [148, 103, 189],
    [140, 86, 75],
    [227, 119, 194],
    [188, 189, 34],
    [23, 190, 207],
    [174, 199, 232],
    [255, 187, 120],
    [152, 223, 138],
    [255, 152, 150],
    [197, 176, 213],
    [196, 156, 148],
    [247, 182, 210],
    [219, 219, 141],
    [158, 218, 229],
    [57, 59, 121],
    [99, 121, 57],
];

/// Colour of a part or class: the palette again from its start after 20, grey for negative labels.
pub fn label_color(label: i16) -> [u8; 3] {
    usize::try_from(label).map_or([127; 3], |l| LABELS[l % LABELS.len()])
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

    #[test]
    fn labels_repeat_and_none_is_grey() {
        assert_eq!(label_color(20), label_color(0));
        assert_eq!(label_color(-1), [127; 3]);
    }
}
