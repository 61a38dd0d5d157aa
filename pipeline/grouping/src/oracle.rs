//! Brute-force twins and the clouds they are compared on (tests only).

/// A small generator of its own, so that this crate has no sibling to lean on.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Uniform in -1..1.
    pub(crate) fn signed(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }

    pub(crate) fn point(&mut self) -> [f32; 3] {
        std::array::from_fn(|_| self.signed())
    }
}

/// Every form of the kernels that this processor can run.
pub(crate) fn archs() -> Vec<pulp::Arch> {
    let mut archs = vec![pulp::Arch::Scalar, pulp::Arch::new()];
    #[cfg(target_arch = "x86_64")]
    archs.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    archs
}

pub(crate) fn squared_distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y) + z * z
}

/// The greedy choice, written down as it is defined.
pub(crate) fn farthest_points(points: &[[f32; 3]], count: usize, start: u32) -> Vec<u32> {
    let mut chosen = vec![start];
    let mut nearest = vec![f32::INFINITY; points.len()];
    let mut is_chosen = vec![false; points.len()];
    while chosen.len() < count {
        let last = chosen[chosen.len() - 1] as usize;
        is_chosen[last] = true;
        let mut best: Option<usize> = None;
        for i in 0..points.len() {
            nearest[i] = nearest[i].min(squared_distance(points[i], points[last]));
            if !is_chosen[i] && best.is_none_or(|b| nearest[i] > nearest[b]) {
                best = Some(i);
            }
        }
        chosen.push(best.unwrap() as u32);
    }
    chosen
}

/// The `k` nearest by (distance, index), by sorting all points.
pub(crate) fn nearest(points: &[[f32; 3]], query: [f32; 3], k: usize) -> Vec<u32> {
    let mut all: Vec<u32> = (0..points.len() as u32).collect();
    let distance = |i: u32| squared_distance(points[i as usize], query);
    all.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)).then(a.cmp(&b)));
    all.truncate(k);
    all
}

/// The squared distances of the `k` points nearest to `query`, ascending, by `kiddo`.
///
/// Which of equally far points it takes is open, so only distances can be compared. They are measured by this module,
/// from the points that `kiddo` names.
pub(crate) fn kiddo_distances(
    tree: &kiddo::ImmutableKdTree<f32, 3>,
    points: &[[f32; 3]],
    query: [f32; 3],
    k: usize,
) -> Vec<f32> {
    let k = std::num::NonZero::new(k).unwrap();
    let hits = tree.query(&query).nearest_n::<kiddo::SquaredEuclidean<f32>>(k).execute();
    let mut distances: Vec<f32> =
        hits.iter().map(|hit| squared_distance(points[hit.item as usize], query)).collect();
    distances.sort_by(f32::total_cmp);
    distances
}

/// Random, duplicated, planar, collinear, lattice, equal, tiny and huge clouds, around the
/// sizes at which the layout changes.
pub(crate) fn clouds() -> Vec<(String, Vec<[f32; 3]>)> {
    let mut clouds = Vec::new();
    for n in [1, 2, 15, 16, 17, 63, 64, 65, 500, 2047, 2048, 2049, 5000] {
        let mut noise = Noise::new(n as u64);
        let random: Vec<_> = (0..n).map(|_| noise.point()).collect();
        let lattice = |i: usize| [(i % 7) as f32, (i / 7 % 9) as f32, (i / 63) as f32];
        let kinds: Vec<(&str, Vec<[f32; 3]>)> = vec![
            ("duplicated", (0..n).map(|i| random[i % (n / 5 + 1)]).collect()),
            ("planar", random.iter().map(|p| [p[0], 0.5, p[2]]).collect()),
            ("collinear", random.iter().map(|p| [p[0], 2.0 * p[0], -p[0]]).collect()),
            ("lattice", (0..n).map(lattice).collect()),
            ("reversed lattice", (0..n).rev().map(lattice).collect()),
            ("equal", vec![[0.3, -0.0, 7.0]; n]),
            ("two places", (0..n).map(|i| if i % 3 == 0 { [1.0; 3] } else { [-1.0; 3] }).collect()),
            ("tiny", random.iter().map(|p| p.map(|x| x * 1e-22)).collect()),
            ("huge", random.iter().map(|p| p.map(|x| x * 3e18)).collect()),
            ("overflowing", random.iter().map(|p| p.map(|x| x * 3e38)).collect()),
            ("far", random.iter().map(|p| [p[0] + 1e6, p[1], p[2] * 100.0]).collect()),
            ("random", random),
        ];
        clouds.extend(kinds.into_iter().map(|(kind, points)| (format!("{kind} {n}"), points)));
    }
    clouds
}

/// Nearest points and patches of voxel blocks by linear scans over a plain list of cells.
pub(crate) fn voxel_twin(points: &[[f32; 3]], groups: usize, size: usize, edge: f64) -> (Vec<u32>, Vec<u32>) {
    let low: [f64; 3] =
        std::array::from_fn(|a| points.iter().map(|p| f64::from(p[a])).fold(f64::MAX, f64::min));
    let relative =
        |i: u32| -> [f64; 3] { std::array::from_fn(|a| f64::from(points[i as usize][a]) - low[a]) };
    let all: Vec<u32> = (0..points.len() as u32).collect();
    let mut keys: Vec<[u64; 3]> = all.iter().map(|&i| relative(i).map(|x| (x / edge) as u64)).collect();
    let key_of = keys.clone();
    keys.sort_unstable();
    keys.dedup();
    let members = |key: &[u64; 3]| -> Vec<u32> {
        all.iter().copied().filter(|&i| key_of[i as usize] == *key).collect()
    };
    let mean = |ids: &[u32]| -> [f64; 3] {
        std::array::from_fn(|a| ids.iter().map(|&i| relative(i)[a]).sum::<f64>() / ids.len() as f64)
    };
    let cells: Vec<Vec<u32>> = keys.iter().map(members).collect();
    let means: Vec<[f64; 3]> = cells.iter().map(|ids| mean(ids)).collect();
    let whole = mean(&all);
    let first_best = |n: usize, score: &dyn Fn(usize) -> f64| {
        (0..n).fold(0, |best, i| if score(i) > score(best) { i } else { best })
    };
    let start = first_best(cells.len(), &|i| squared_distance_f64(means[i], whole));
    let rounded: Vec<[f32; 3]> = means.iter().map(|m| m.map(|x| x as f32)).collect();
    let (mut centers, mut patches) = (Vec::new(), Vec::new());
    for c in farthest_points(&rounded, groups, start as u32) {
        let ids = &cells[c as usize];
        let near = first_best(ids.len(), &|i| -squared_distance_f64(relative(ids[i]), means[c as usize]));
        centers.push(ids[near]);
        let inside: Vec<[f32; 3]> = ids.iter().map(|&i| relative(i).map(|x| x as f32)).collect();
        let chosen: Vec<u32> = if ids.len() > size {
            farthest_points(&inside, size, near as u32).iter().map(|&i| ids[i as usize]).collect()
        } else {
            ids.clone()
        };
        patches.extend((0..size).map(|i| chosen[i % chosen.len()]));
    }
    (centers, patches)
}

fn squared_distance_f64(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y) + z * z
}
