//! A part of a scene at its full density.

use jepa3d_schemas::UpAxis;

/// What a crop keeps, and how much of it.
#[derive(Clone, Copy)]
pub(super) struct CropSize {
    /// Points that are kept.
    pub count: usize,
    /// Heights along this axis stay and count for no distance.
    pub up: UpAxis,
}

/// Writes the points that are nearest to `around` along the ground to `out`, moved so that `around` is the origin there,
/// and gives their indices: ascending, ties to the lowest. A cloud of at most `count` points is taken whole.
pub(super) fn crop_cloud(
    points: &[[f32; 3]],
    around: [f32; 3],
    size: CropSize,
    out: &mut Vec<[f32; 3]>,
) -> Vec<u32> {
    let CropSize { count, up } = size;
    let height = up.index();
    let mut origin = around;
    origin[height] = 0.0;
    let gap = |index: &u32| {
        let p = points[*index as usize];
        let mut sum = 0.0f32;
        for axis in (0..3).filter(|&axis| axis != height) {
            let d = p[axis] - origin[axis];
            sum += d * d;
        }
        sum
    };
    let mut chosen: Vec<u32> = (0..points.len() as u32).collect();
    if chosen.len() > count {
        chosen.select_nth_unstable_by(count - 1, |a, b| gap(a).total_cmp(&gap(b)).then(a.cmp(b)));
        chosen.truncate(count);
        // By a closure of this crate: see the profile in the root Cargo.toml.
        chosen.sort_unstable_by_key(|&key| key);
    }
    out.clear();
    out.extend(chosen.iter().map(|&i| [0, 1, 2].map(|axis| points[i as usize][axis] - origin[axis])));
    chosen
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::Draws;

    use super::*;

    #[test]
    fn nearest_along_the_ground_and_nothing_else() {
        let mut draws = Draws::new(1, "crop", "points");
        // A coarse grid, so that distances tie.
        let mut points: Vec<[f32; 3]> =
            (0..300).map(|_| [(); 3].map(|()| draws.index(9) as f32 - 4.0)).collect();
        for (up, height) in [(UpAxis::X, 0), (UpAxis::Y, 1), (UpAxis::Z, 2)] {
            for around in [points[7], points[123]] {
                let mut out = vec![[9.0; 3]];
                let chosen = crop_cloud(&points, around, CropSize { count: 40, up }, &mut out);
                let gap = |i: u32| -> f32 {
                    (0..3).filter(|&a| a != height).map(|a| (points[i as usize][a] - around[a]).powi(2)).sum()
                };
                let mut twin: Vec<u32> = (0..300).collect();
                twin.sort_by(|&a, &b| gap(a).total_cmp(&gap(b)).then(a.cmp(&b)));
                twin.truncate(40);
                twin.sort_unstable();
                assert_eq!(chosen, twin);
                for (found, &i) in out.iter().zip(&chosen) {
                    for axis in 0..3 {
                        let moved = if axis == height { 0.0 } else { around[axis] };
                        assert_eq!(found[axis], points[i as usize][axis] - moved);
                    }
                }
            }
        }
        points.truncate(12);
        let whole = crop_cloud(&points, [0.0; 3], CropSize { count: 40, up: UpAxis::Z }, &mut Vec::new());
        assert_eq!(whole, (0..12).collect::<Vec<u32>>());
    }
}
