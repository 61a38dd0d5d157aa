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
