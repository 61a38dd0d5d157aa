//! A part of a scene at its full density.

use jepa3d_schemas::UpAxis;

/// The `count` points that are nearest to `around` along the ground (ascending indices, ties to the lowest), moved so that
/// `around` is the origin there; heights stay. A cloud of at most `count` points is taken whole.
pub fn crop(
    points: &[[f32; 3]],
    around: [f32; 3],
    (count, up): (usize, UpAxis),
    out: &mut Vec<[f32; 3]>,
) -> Vec<u32> {
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
        chosen.sort_unstable();
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
                let chosen = crop(&points, around, (40, up), &mut out);
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
        let whole = crop(&points, [0.0; 3], (40, UpAxis::Z), &mut Vec::new());
        assert_eq!(whole, (0..12).collect::<Vec<u32>>());
    }
}
