//! Distances between centers, exact in one fixed order of operations so that masks are the same on every machine.

/// Squared distance of two centers.
pub(super) fn squared_distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y) + z * z
}

/// All centers, nearest to one of them first; ties by index.
pub(super) fn sort_by_distance(centers: &[[f32; 3]], from: usize) -> Vec<usize> {
    let gaps: Vec<f32> = centers.iter().map(|&center| squared_distance(center, centers[from])).collect();
    let mut order: Vec<usize> = (0..centers.len()).collect();
    order.sort_by(|&a, &b| gaps[a].total_cmp(&gaps[b]).then(a.cmp(&b)));
    order
}
