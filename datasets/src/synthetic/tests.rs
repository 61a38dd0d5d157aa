//! Properties of the generated objects.

use super::*;

#[test]
#[ignore = "writes objects to look at"]
fn dump() {
    use std::io::Write;
    let per: usize = std::env::var("PER").map_or(6, |v| v.parse().unwrap());
    let config = SyntheticConfig { count: 16 * per, ..SyntheticConfig::default() };
    let set = Synthetic::new(&config).unwrap();
    let mut out = std::io::BufWriter::new(std::fs::File::create("/tmp/synthetic.bin").unwrap());
    let start = std::time::Instant::now();
    let objects: Vec<Object> = (0..set.len()).map(|i| set.get(i).unwrap()).collect();
    println!("{:?} per object", start.elapsed() / set.len() as u32);
    for o in objects {
        let Shape::Mesh(m) = &o.shape else { panic!() };
        let head = [o.label.unwrap(), m.positions.len() as i32, m.triangles.len() as i32];
        head.iter().for_each(|x| out.write_all(&x.to_le_bytes()).unwrap());
        m.positions.iter().flatten().for_each(|x| out.write_all(&x.to_le_bytes()).unwrap());
        m.triangles.iter().flatten().for_each(|x| out.write_all(&x.to_le_bytes()).unwrap());
        m.triangle_parts.iter().for_each(|x| out.write_all(&i32::from(*x).to_le_bytes()).unwrap());
        for t in &m.triangle_materials {
            m.materials[*t as usize].diffuse.iter().for_each(|x| out.write_all(&x.to_le_bytes()).unwrap());
        }
    }
}
