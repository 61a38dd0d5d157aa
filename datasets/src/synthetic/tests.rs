//! Properties of the generated objects: sound meshes, stable bytes, parts, splits and ids.

use std::collections::{BTreeMap, BTreeSet};

use glam::DVec3;

use super::catalog::CATEGORIES;
use super::*;

/// Objects of every category that the properties are held on.
const PER_CATEGORY: usize = 60;

fn plain() -> SyntheticConfig {
    SyntheticConfig {
        yaw_degrees: 0.0,
        tilt_degrees: 0.0,
        stretch: 0.0,
        warp: 0.0,
        bumps: 0.0,
        ..Default::default()
    }
}

fn ids(category: &Category) -> impl Iterator<Item = String> {
    (0..PER_CATEGORY).map(|n| format!("{}-{n:06}", category.name))
}

fn all(config: &SyntheticConfig) -> impl Iterator<Item = (&'static Category, String, Mesh)> {
    let of = move |c: &'static Category| ids(c).map(move |id| (c, generate(config, c, &id), id));
    CATEGORIES.iter().flat_map(of).map(|(c, mesh, id)| (c, id, mesh))
}

fn number(id: &str) -> usize {
    id[id.len() - 6..].parse().unwrap()
}

fn at(mesh: &Mesh, i: u32) -> DVec3 {
    DVec3::from_array(mesh.positions[i as usize])
}

/// The triangles of each solid the mesh is made of: those that share vertices.
fn solids(mesh: &Mesh) -> Vec<Vec<[u32; 3]>> {
    fn root(parent: &mut [u32], mut i: u32) -> u32 {
        while parent[i as usize] != i {
            parent[i as usize] = parent[parent[i as usize] as usize];
            i = parent[i as usize];
        }
        i
    }
    let mut parent: Vec<u32> = (0..mesh.positions.len() as u32).collect();
    for &[a, b, c] in &mesh.triangles {
        for other in [b, c] {
            let (x, y) = (root(&mut parent, a), root(&mut parent, other));
            parent[x.max(y) as usize] = x.min(y);
        }
    }
    let mut groups: BTreeMap<u32, Vec<[u32; 3]>> = BTreeMap::new();
    for t in &mesh.triangles {
        groups.entry(root(&mut parent, t[0])).or_default().push(*t);
    }
    groups.into_values().collect()
}

#[test]
fn meshes_are_finite_consistent_and_of_reasonable_size() {
    for (category, id, mesh) in all(&SyntheticConfig::default()) {
        let n = mesh.triangles.len();
        assert!((150..=9000).contains(&n), "{id}: {n} triangles");
        assert!(mesh.positions.iter().flatten().all(|x| x.is_finite()), "{id}");
        assert!(mesh.triangles.iter().flatten().all(|&i| (i as usize) < mesh.positions.len()), "{id}");
        assert!(mesh.normal_corners.iter().flatten().all(|&i| (i as usize) < mesh.normals.len()), "{id}");
        assert_eq!(
            [mesh.normal_corners.len(), mesh.triangle_parts.len(), mesh.triangle_materials.len()],
            [n; 3]
        );
        assert!(mesh.triangle_materials.iter().all(|&m| (m as usize) < mesh.materials.len()), "{id}");
        let first = first_part(category.name);
        let own = first..first + category.parts.len() as i16;
        assert!(mesh.triangle_parts.iter().all(|p| own.contains(p)), "{id}");
        let area = |t: &[u32; 3]| {
            (at(&mesh, t[1]) - at(&mesh, t[0])).cross(at(&mesh, t[2]) - at(&mesh, t[0])).length()
        };
        assert!(mesh.triangles.iter().map(area).sum::<f64>() > 0.01, "{id}");
        let flat = mesh.triangles.iter().filter(|t| area(t) < 1e-12).count();
        assert!(flat * 50 <= n, "{id}: {flat} of {n} triangles without area");
    }
}

#[test]
fn every_solid_is_closed_and_faces_out() {
    for (_, id, mesh) in all(&SyntheticConfig::default()) {
        for triangles in solids(&mesh) {
            let mut edges = BTreeSet::new();
            for [a, b, c] in &triangles {
                for edge in [(*a, *b), (*b, *c), (*c, *a)] {
                    assert!(edges.insert(edge), "{id}: edge {edge:?} used twice in one direction");
                }
            }
            assert!(edges.iter().all(|&(a, b)| edges.contains(&(b, a))), "{id}: a solid is open");
            let middle = at(&mesh, triangles[0][0]);
            let volume = |t: &[u32; 3]| {
                let [a, b, c] = t.map(|i| at(&mesh, i) - middle);
                a.dot(b.cross(c))
            };
            assert!(triangles.iter().map(volume).sum::<f64>() > 0.0, "{id}: a solid faces in");
        }
    }
}

/// Points on the triangles of a solid, no farther apart than about `step`.
fn points_on(mesh: &Mesh, solid: &[[u32; 3]], step: f64) -> Vec<DVec3> {
    let mut points = Vec::new();
    for t in solid {
        let [a, b, c] = t.map(|i| at(mesh, i));
        let n = ((b - a).length().max((c - a).length()) / step).ceil().max(1.0) as usize;
        for (i, j) in (0..=n).flat_map(|i| (0..=n - i).map(move |j| (i, j))) {
            points.push(a + (b - a) * (i as f64 / n as f64) + (c - a) * (j as f64 / n as f64));
        }
    }
    points
}

/// Solids whose surfaces pass through the same cells (of 16 mm where the object is 1 m) meet;
/// all of them must hang together.
#[test]
fn nothing_floats() {
    const CELL: f64 = 0.016;
    let mut floating = Vec::new();
    for (_, id, mesh) in all(&plain()).filter(|(_, id, _)| number(id) < 8) {
        let solids = solids(&mesh);
        let mut group: Vec<usize> = (0..solids.len()).collect();
        let mut owner = std::collections::HashMap::new();
        for (k, solid) in solids.iter().enumerate() {
            let half_cells = |p: DVec3| (p / (CELL / 2.0)).floor().to_array().map(|x| x as i32);
            let cells: BTreeSet<[i32; 3]> =
                points_on(&mesh, solid, 0.75 * CELL).into_iter().map(half_cells).collect();
            for cell in cells {
                for shift in [0, 1, 2, 3, 4, 5, 6, 7] {
                    let offset = [shift & 1, (shift >> 1) & 1, shift >> 2];
                    let pair = [0, 1, 2].map(|a| (cell[a] + offset[a]) >> 1);
                    let first = *owner.entry((pair, shift)).or_insert(k);
                    let (from, to) = (group[k], group[first]);
                    if from != to {
                        group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
                    }
                }
            }
        }
        let lost = (0..solids.len()).find(|&k| group[k] != group[0]);
        floating.extend(lost.map(|k| {
            let middle = solids[k].iter().flatten().map(|&i| at(&mesh, i)).sum::<DVec3>()
                / (3 * solids[k].len()) as f64;
            (id, k, middle)
        }));
    }
    assert!(floating.is_empty(), "{floating:#?}");
}

#[test]
fn every_declared_part_occurs_and_normals_face_out() {
    for category in &CATEGORIES {
        let mut seen = BTreeSet::new();
        for id in ids(category) {
            let mesh = generate(&SyntheticConfig::default(), category, &id);
            seen.extend(mesh.triangle_parts.iter().copied());
            assert!(
                mesh.normals.iter().all(|n| (n.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-3),
                "{id}"
            );
        }
        let first = first_part(category.name);
        let declared: BTreeSet<i16> = (first..first + category.parts.len() as i16).collect();
        assert_eq!(seen, declared, "{}", category.name);
    }
}

#[test]
fn an_object_does_not_depend_on_count_or_on_the_other_categories() {
    let large = Synthetic::new(&SyntheticConfig { count: 800, ..Default::default() }).unwrap();
    let few =
        SyntheticConfig { count: 40, categories: vec!["stool".into(), "chair".into()], ..Default::default() };
    let small = Synthetic::new(&few).unwrap();
    assert_eq!(small.classes(), ["chair", "stool"]);
    for i in 0..small.len() {
        let j = (0..large.len()).find(|&j| large.id(j) == small.id(i)).unwrap();
        let (a, b) = (small.get(i).unwrap(), large.get(j).unwrap());
        assert_eq!((&a.shape, &a.source_hash, small.split(i)), (&b.shape, &b.source_hash, large.split(j)));
    }
}

#[test]
fn ids_ascend_and_classes_are_balanced() {
    for count in [1, 15, 16, 17, 640, 1003] {
        let set = Synthetic::new(&SyntheticConfig { count, ..Default::default() }).unwrap();
        assert_eq!(set.len(), count);
        assert!((1..count).all(|i| set.id(i - 1) < set.id(i)));
        let mut per_class = vec![0; set.classes().len()];
        for i in 0..count {
            let label = set.ids[i].1.unwrap() as usize;
            per_class[label] += 1;
            assert!(set.id(i).starts_with(&format!("{}-", set.classes()[label])));
        }
        assert!(per_class.iter().max().unwrap() - per_class.iter().min().unwrap() <= 1);
    }
}

#[test]
fn splits_have_the_wanted_sizes_in_every_category() {
    for (val, test) in [(0.1, 0.2), (0.0, 0.0), (0.33, 0.25), (0.5, 0.5), (0.0, 1.0)] {
        let config = SyntheticConfig { val_fraction: val, test_fraction: test, ..Default::default() };
        for category in &CATEGORIES {
            let splits = category_splits(&config, category.name, 200);
            let share = |name: &str| splits.iter().filter(|s| s.name() == name).count() as f64 / 200.0;
            assert!((share("val") - val).abs() <= 0.0051, "{} val {}", category.name, share("val"));
            assert!((share("test") - test).abs() <= 0.0101, "{} test {}", category.name, share("test"));
            assert_eq!(splits[..77], category_splits(&config, category.name, 77));
        }
    }
}

#[test]
fn amplitudes_change_the_mesh_but_not_the_shape_that_is_disturbed() {
    let category = &CATEGORIES[0];
    let calm = generate(&plain(), category, "airplane-000003");
    let turned = generate(&SyntheticConfig { yaw_degrees: 180.0, ..plain() }, category, "airplane-000003");
    assert_ne!(calm.positions, turned.positions);
    for (p, q) in calm.positions.iter().zip(&turned.positions) {
        let level = |p: &[f64; 3]| (p[0] * p[0] + p[2] * p[2]).sqrt();
        assert!((p[1] - q[1]).abs() < 1e-12 && (level(p) - level(q)).abs() < 1e-12);
    }
    assert_eq!((calm.triangles, calm.triangle_parts), (turned.triangles, turned.triangle_parts));
    assert_eq!(calm.materials, turned.materials);
}

fn with_programs(count: usize, programs: f64) -> Synthetic {
    Synthetic::new(&SyntheticConfig { count, programs, ..Default::default() }).unwrap()
}

#[test]
fn programs_take_their_share_and_stand_in_the_order_of_ids() {
    for (count, share, programs) in [(100, 0.25, 25), (7, 0.5, 4), (3, 0.1, 0), (40, 1.0, 40), (1, 0.5, 1)] {
        let set = with_programs(count, share);
        let is_program = |i: &usize| set.id(*i).starts_with("programs/");
        let found: Vec<usize> = (0..set.len()).filter(is_program).collect();
        assert_eq!((set.len(), found.len()), (count, programs));
        assert!((1..count).all(|i| set.id(i - 1) < set.id(i)));
        for (n, &i) in found.iter().enumerate() {
            assert_eq!((set.id(i), set.ids[i].1), (format!("programs/{n:06}").as_str(), None));
        }
        assert_eq!(set.point_classes().is_none(), programs == count);
        assert_eq!(set.classes().len(), if programs == count { 0 } else { 16 });
    }
}

#[test]
fn a_program_does_not_depend_on_what_it_is_mixed_with() {
    let (alone, mixed) = (with_programs(30, 1.0), with_programs(200, 0.5));
    for i in 0..alone.len() {
        let j = (0..mixed.len()).find(|&j| mixed.id(j) == alone.id(i)).unwrap();
        let (a, b) = (alone.get(i).unwrap(), mixed.get(j).unwrap());
        assert_eq!((&a.source_hash, alone.split(i)), (&b.source_hash, mixed.split(j)));
        assert_eq!((a.label, a.category, b.label, b.category), (None, None, None, None));
        let (Shape::Mesh(a), Shape::Mesh(b)) = (a.shape, b.shape) else { panic!("meshes") };
        assert_eq!((&a.positions, &a.normals, a.triangle_parts.len()), (&b.positions, &b.normals, 0));
        assert!(
            b.triangle_parts.iter().all(|&part| part == -1) && b.triangle_parts.len() == b.triangles.len()
        );
    }
    // And the categories are what they are without programs.
    let plain = Synthetic::new(&SyntheticConfig { count: 100, ..Default::default() }).unwrap();
    let named: Vec<usize> = (0..mixed.len()).filter(|&j| mixed.ids[j].1.is_some()).collect();
    for (i, j) in named.into_iter().enumerate() {
        assert_eq!((plain.id(i), plain.split(i)), (mixed.id(j), mixed.split(j)));
    }
}

/// Frozen bytes of a few objects: a change here changes every prepared copy of the dataset.
#[test]
fn golden_hashes() {
    let set = Synthetic::new(&SyntheticConfig::default()).unwrap();
    let found: Vec<String> = [0, 100, 230, 333, 479, 639]
        .map(|i| format!("{} {} {}", set.id(i), set.split(i), set.get(i).unwrap().source_hash))
        .into();
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 6] = [
    "airplane-000000 train 6948cecd7112003beaf9fc8b5e0e1fc3",
    "bench-000020 test 9682785789adda715c7e1f9a558d4cbd",
    "car-000030 test 8941a10402dd52ff4dbb5d8bea485ab8",
    "lamp-000013 train 33817eef718cb7257e7726f2a179546c",
    "mug-000039 val 3b62ae38f8a85f94c4686d816ace718e",
    "vase-000039 train 99ca4206e0907b31faa3970941b9925e",
];

#[test]
fn golden_hashes_of_programs() {
    let set = with_programs(40, 1.0);
    let found: Vec<String> = [0, 1, 7, 19, 39]
        .map(|i| format!("{} {} {}", set.id(i), set.split(i), set.get(i).unwrap().source_hash))
        .into();
    assert_eq!(found, GOLDEN_PROGRAMS);
}

const GOLDEN_PROGRAMS: [&str; 5] = [
    "programs/000000 val 7e7dd3d5861ce775362146207955593b",
    "programs/000001 test 903f6602bc28a3053a0df32f21306402",
    "programs/000007 train 397eb44246194e2bfc254a1ef3e84fdd",
    "programs/000019 test 748bc6ba9f9c8bd30de59a82c92224d6",
    "programs/000039 val c46aabb3934f8cf50faf9e53c81227a9",
];

#[test]
fn speed() {
    let set = Synthetic::new(&SyntheticConfig { count: 320, ..Default::default() }).unwrap();
    let start = std::time::Instant::now();
    let triangles: usize = (0..set.len())
        .map(|i| match set.get(i).unwrap().shape {
            Shape::Mesh(mesh) => mesh.triangles.len(),
            Shape::Points(_) => 0,
        })
        .sum();
    println!("{:?} and {} triangles an object", start.elapsed() / 320, triangles / 320);
}
