//! Which points of a cloud stand alone: far from where their neighbours stand, measured by how these stand.

use crate::cloud::{IndexedCloud, check_points};
use crate::error::Result;

/// Neighbours that a point's spacing is the mean distance to.
const NEIGHBORS: usize = 4;

/// The points that do not stand alone, in their order: those whose spacing, the mean distance to their 4 nearest, is at most
/// `ratio` times the mean spacing of these. That is the local outlier factor (Breunig et al. 2000) with mean distances: sparse
/// parts of a cloud are no outliers, because their neighbours are as sparse.
///
/// Points that coincide count once, and stay or go together. Clouds of fewer than 6 distinct points stay whole.
///
/// # Shapes
/// `points [N,3]` to at most `N` ascending indices.
///
/// # Errors
/// Fails if there are no points, more than 2^31, or one is not finite.
///
/// ```
/// # use jepa3d_grouping::keep_neighborly;
/// let line = (0..20).map(|i| [i as f32 * 0.1, 0.0, 0.0]);
/// let points: Vec<[f32; 3]> = line.chain([[0.0, 5.0, 0.0]]).collect();
/// assert_eq!(keep_neighborly(&points, 2.0)?, (0..20).collect::<Vec<u32>>());
/// # Ok::<(), jepa3d_grouping::Error>(())
/// ```
pub fn keep_neighborly(points: &[[f32; 3]], ratio: f64) -> Result<Vec<u32>> {
    check_points(points)?;
    let Distinct { points: distinct, place } = find_distinct(points);
    if distinct.len() < NEIGHBORS + 2 {
        return Ok((0..points.len() as u32).collect());
    }
    let all: Vec<u32> = (0..distinct.len() as u32).collect();
    let rows = IndexedCloud::new(&distinct)?.nearest(&all, NEIGHBORS + 1)?;
    let rows: Vec<&[u32]> = rows.chunks_exact(NEIGHBORS + 1).map(|row| &row[1..]).collect();
    let spacing: Vec<f64> =
        rows.iter().zip(&distinct).map(|(row, at)| mean_distance(*at, row, &distinct)).collect();
    let stays: Vec<bool> = (rows.iter().zip(&spacing))
        .map(|(row, own)| {
            let around = row.iter().map(|&i| spacing[i as usize]).sum::<f64>() / NEIGHBORS as f64;
            *own <= ratio * around
        })
        .collect();
    Ok((0..points.len() as u32).filter(|&i| stays[place[i as usize] as usize]).collect())
}

/// The distinct points of a cloud.
struct Distinct {
    points: Vec<[f32; 3]>,
    /// Which of them each point of the cloud is.
    place: Vec<u32>,
}

fn find_distinct(points: &[[f32; 3]]) -> Distinct {
    let key = |i: u32| points[i as usize].map(|x| (x + 0.0).to_bits());
    let mut order: Vec<u32> = (0..points.len() as u32).collect();
    order.sort_unstable_by_key(|&i| (key(i), i));
    let mut found = Distinct { points: Vec::new(), place: vec![0; points.len()] };
    for (at, &i) in order.iter().enumerate() {
        if at == 0 || key(order[at - 1]) != key(i) {
            found.points.push(points[i as usize]);
        }
        found.place[i as usize] = found.points.len() as u32 - 1;
    }
    found
}

fn mean_distance(at: [f32; 3], row: &[u32], points: &[[f32; 3]]) -> f64 {
    let distance = |i: &u32| {
        let other = points[*i as usize];
        (0..3).map(|a| f64::from(at[a]) - f64::from(other[a])).map(|d| d * d).sum::<f64>().sqrt()
    };
    row.iter().map(distance).sum::<f64>() / row.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;

    /// By sorting the distances of all distinct points.
    fn twin(points: &[[f32; 3]], ratio: f64) -> Vec<u32> {
        let mut distinct: Vec<[f32; 3]> = Vec::new();
        points.iter().for_each(|p| {
            if !distinct.contains(p) {
                distinct.push(*p)
            }
        });
        if distinct.len() < 6 {
            return (0..points.len() as u32).collect();
        }
        let near = |at: [f32; 3]| -> Vec<(f32, [f32; 3])> {
            let others = distinct.iter().filter(|p| **p != at);
            let mut near: Vec<(f32, [f32; 3])> =
                others.map(|p| (oracle::squared_distance(at, *p), *p)).collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            near[..4].to_vec()
        };
        let spacing = |at| near(at).iter().map(|(d, _)| f64::from(*d).sqrt()).sum::<f64>() / 4.0;
        let stays = |at| {
            let around = near(at).iter().map(|(_, p)| spacing(*p)).sum::<f64>() / 4.0;
            (spacing(at) - ratio * around).abs() > 1e-5 && spacing(at) <= ratio * around
        };
        (0..points.len() as u32).filter(|&i| stays(points[i as usize])).collect()
    }

    fn noise(count: usize) -> Vec<[f32; 3]> {
        let mut noise = oracle::Noise::new(7);
        (0..count).map(|_| noise.point()).collect()
    }

    #[test]
    fn equals_the_twin_that_sorts_all_distances() {
        for count in [6, 7, 40, 200] {
            let mut points = noise(count);
            points.extend(noise(count).iter().take(count / 3));
            points.push([3.0, -4.0, 5.0]);
            for ratio in [1.05, 1.3, 2.0] {
                assert_eq!(keep_neighborly(&points, ratio).unwrap(), twin(&points, ratio), "{count} {ratio}");
            }
        }
    }

    #[test]
    fn sparse_parts_stay_and_lone_points_go() {
        // A sheet whose points are ever farther apart, and three points above it.
        let mut points: Vec<[f32; 3]> = (0..900)
            .map(|i| [(i % 30) as f32, (i / 30) as f32, 0.0].map(|x: f32| 0.02 * x * (1.0 + 0.1 * x)))
            .collect();
        points.extend([[0.3, 0.3, 1.0], [0.5, 0.1, -0.8], [1.0, 1.0, 0.7]]);
        assert_eq!(keep_neighborly(&points, 2.0).unwrap(), (0..900).collect::<Vec<u32>>());
    }

    #[test]
    fn copies_count_once_and_small_clouds_stay_whole() {
        let points = noise(50);
        let once = keep_neighborly(&points, 1.2).unwrap();
        let copies: Vec<[f32; 3]> = points.iter().flat_map(|p| [*p; 3]).collect();
        let kept: Vec<u32> = keep_neighborly(&copies, 1.2).unwrap();
        assert!(once.len() < 50 && kept.iter().step_by(3).map(|i| i / 3).eq(once.iter().copied()));
        assert_eq!(kept.len(), 3 * once.len());
        for cloud in [vec![[1.0; 3]; 9], noise(5)] {
            assert_eq!(keep_neighborly(&cloud, 1.01).unwrap().len(), cloud.len());
        }
        assert!(keep_neighborly(&[], 2.0).is_err());
        assert!(keep_neighborly(&[[f32::NAN, 0.0, 0.0]], 2.0).is_err());
    }
}
