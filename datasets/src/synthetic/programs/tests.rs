//! Properties of the programs: sound meshes whatever the index, stable bytes, and diversity in numbers.

use std::collections::BTreeMap;

use glam::DVec3;

use super::*;

/// Objects that are looked at; all indices up to any number where the environment says so.
fn indices() -> std::ops::Range<usize> {
    0..std::env::var("JEPA3D_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(600)
}

fn area_vectors(mesh: &Mesh) -> impl Iterator<Item = DVec3> {
    let at = |i: u32| DVec3::from_array(mesh.positions[i as usize]);
    mesh.triangles.iter().map(move |&[a, b, c]| (at(b) - at(a)).cross(at(c) - at(a)) / 2.0)
}

#[test]
fn every_index_gives_a_sound_mesh_of_unit_size() {
    let mut kinds = BTreeMap::new();
    for index in indices() {
        let id = name_program(index);
        let mesh = build_program(3, &id);
        let n = mesh.triangles.len();
        assert!(TRIANGLES.contains(&n), "{id}: {n} triangles");
        *kinds.entry(n).or_insert(0) += 1;
        assert!(mesh.positions.iter().flatten().all(|x| x.is_finite()), "{id}");
        assert!(mesh.triangles.iter().flatten().all(|&i| (i as usize) < mesh.positions.len()), "{id}");
        assert_eq!([mesh.triangle_materials.len(), mesh.materials.len()], [n, PAINTS], "{id}");
        assert!(mesh.triangle_materials.iter().all(|&m| (m as usize) < PAINTS), "{id}");
        let points: Vec<DVec3> = mesh.positions.iter().map(|p| DVec3::from_array(*p)).collect();
        let size = cluster::Bounds::around(points.iter()).size();
        assert!((size.max_element() - 1.0).abs() < 1e-9, "{id}: {size}");
        let area: f64 = area_vectors(&mesh).map(DVec3::length).sum();
        assert!((0.01..60.0).contains(&area), "{id}: an area of {area}");
        let flat = area_vectors(&mesh).filter(|v| v.length() < 1e-12).count();
        assert!(flat * 20 <= n, "{id}: {flat} of {n} triangles without area");
    }
    assert!(kinds.len() * 2 > indices().len().min(1000), "{} numbers of triangles", kinds.len());
}

#[test]
fn an_object_depends_on_seed_and_index_alone() {
    let build = |seed: u64, index: usize| build_program(seed, &name_program(index));
    let one_by_one: Vec<Mesh> = (0..24).map(|i| build(1, i)).collect();
    let by_threads: Vec<Mesh> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..24).rev().map(|i| scope.spawn(move || build(1, i))).collect();
        threads.into_iter().rev().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(one_by_one == by_threads);
    for (index, mesh) in one_by_one.iter().enumerate() {
        assert_ne!(mesh, &build(2, index));
        assert_ne!(mesh, &build(1, index + 24));
    }
}

/// The pieces of an object, with what is measured of each.
struct Found {
    /// Smallest by largest side of the piece's box.
    slimness: f64,
    /// Area vectors of a closed surface add up to nothing.
    is_open: bool,
}

fn look_at(piece: &cluster::Piece) -> Found {
    let size = cluster::Bounds::around(piece.surface.positions.iter()).size();
    let at = |i: u32| piece.surface.positions[i as usize];
    let normals = piece.surface.triangles.iter().map(|&[a, b, c]| (at(b) - at(a)).cross(at(c) - at(a)));
    let (sum, total) = normals.fold((DVec3::ZERO, 0.0), |(sum, total), n| (sum + n, total + n.length()));
    Found { slimness: size.min_element() / size.max_element(), is_open: sum.length() > 0.05 * total }
}

#[test]
fn objects_are_diverse() {
    let objects: Vec<Vec<Found>> = (0..600)
        .map(|i| {
            draw_object(&mut Draws::new(0, &name_program(i), "programs")).pieces.iter().map(look_at).collect()
        })
        .collect();
    let share = |holds: &dyn Fn(&[Found]) -> bool| {
        objects.iter().filter(|pieces| holds(pieces)).count() as f64 / objects.len() as f64
    };
    let single = share(&|pieces| pieces.len() == 1);
    let many = share(&|pieces| pieces.len() > 12);
    let open = share(&|pieces| pieces.iter().any(|piece| piece.is_open));
    let thin = share(&|pieces| pieces.iter().any(|piece| piece.slimness < 0.06));
    let bulky = share(&|pieces| pieces.iter().any(|piece| piece.slimness > 0.5));
    println!("single {single:.2}, many {many:.2}, open {open:.2}, thin {thin:.2}, bulky {bulky:.2}");
    for (name, share, low, high) in [
        ("of one piece", single, 0.02, 0.25),
        ("of more than 12 pieces", many, 0.15, 0.5),
        ("with an open surface", open, 0.08, 0.45),
        ("with a thin piece", thin, 0.25, 0.7),
        ("with a bulky piece", bulky, 0.3, 0.8),
    ] {
        assert!((low..high).contains(&share), "{share:.3} of the objects are {name}");
    }
}

/// Most objects are their own mirror image from left to right, as most made things are.
#[test]
fn many_objects_are_symmetric() {
    let symmetric = |index: usize| {
        let object = draw_object(&mut Draws::new(0, &name_program(index), "programs"));
        let points = object.pieces.iter().flat_map(|piece| &piece.surface.positions);
        let middle = object.bounds().middle();
        let cell = |p: DVec3| (p * 25.0).round().to_array().map(|x| x as i32);
        let cells: std::collections::BTreeSet<[i32; 3]> = points.clone().map(|p| cell(*p - middle)).collect();
        let lost = points.filter(|p| {
            let q = (**p - middle) * DVec3::new(-1.0, 1.0, 1.0);
            let near = [-0.02, 0.0, 0.02];
            let around = near.iter().flat_map(|x| near.iter().map(move |y| (*x, *y)));
            !around.flat_map(|(x, y)| near.map(|z| DVec3::new(x, y, z))).any(|d| cells.contains(&cell(q + d)))
        });
        lost.count() * 20 < object.triangles()
    };
    let share = (0..200).filter(|&i| symmetric(i)).count() as f64 / 200.0;
    println!("symmetric {share:.2}");
    assert!((0.5..0.85).contains(&share), "{share}");
}

/// Objects a second of one core; `JEPA3D_PROGRAMS=20000 cargo test --release ... speed_of_programs -- --nocapture`.
#[test]
fn speed_of_programs() {
    let start = std::time::Instant::now();
    let triangles: usize = indices().map(|i| build_program(0, &name_program(i)).triangles.len()).sum();
    let n = indices().len();
    let rate = n as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} objects a second, {} triangles an object", triangles / n);
}
