use jepa3d_grouping::Cloud;
use std::time::Instant;
fn med(mut f: impl FnMut()) -> f64 {
    let mut t = vec![];
    let s = Instant::now();
    while t.len() < 5 || (s.elapsed().as_secs_f64() < 0.5 && t.len() < 2000) {
        let a = Instant::now();
        f();
        t.push(a.elapsed().as_secs_f64() * 1e3);
    }
    t.sort_by(f64::total_cmp);
    t[t.len() / 20]
}
fn main() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for (f, m) in [
        ("surface_1024", 64),
        ("surface_2048", 128),
        ("surface_8192", 1024),
        ("sweep", 1024),
        ("surface_200000", 4096),
    ] {
        if !f.contains(only.as_str()) {
            continue;
        }
        let b = std::fs::read(format!("/tmp/g/{f}.npy")).unwrap();
        let b = &b[128..];
        let p: Vec<[f32; 3]> = b
            .chunks_exact(12)
            .map(|c| [0, 1, 2].map(|i| f32::from_le_bytes(c[4 * i..4 * i + 4].try_into().unwrap())))
            .collect();
        let mut g = Cloud::new(&p).unwrap();
        let mut out = vec![];
        let build = med(|| g.rebuild(&p).unwrap());
        let fps = med(|| out = g.farthest_points(m, 0).unwrap());
        let near = med(|| {
            g.nearest(&out, 32).unwrap();
        });
        println!(
            "{f} n {} build {build:.4} fps {fps:.4} knn {near:.4}  | fps+b {:.4} knn+b {:.4}",
            p.len(),
            fps + build,
            near + build
        );
    }
}
