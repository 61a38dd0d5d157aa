//! Properties of the programs: sound meshes, cuts that agree with membership of points, and diversity.

use super::*;

#[test]
fn speed_of_programs() {
    let n: usize = std::env::var("JEPA3D_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let start = std::time::Instant::now();
    let mut most = 0;
    let triangles: usize = (0..n)
        .map(|i| {
            let t = build_program(0, &name_program(i)).triangles.len();
            most = most.max(t);
            t
        })
        .sum();
    println!("{:?} and {} triangles an object, at most {most}", start.elapsed() / n as u32, triangles / n);
}
