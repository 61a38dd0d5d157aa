//! Small files that claim or decode to gigabytes, below a limit of 4 GB of address space: the object is quarantined, the
//! others are written, and nothing aborts.

use std::path::Path;
use std::time::Duration;

use super::archives::{black_png, data_uri, npy_header, npz};
use super::files::{Folder, remove, text, write};
use super::findings::Findings;
use super::fixture::{prepare_args, solid, strings};
use super::harness::{jepa3d, limited};

const LIMIT: &str = "ulimit -v 4194304";
/// Decoding two gigabytes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A file that must be quarantined, or one that may also be read.
struct Bomb {
    name: &'static str,
    bytes: Vec<u8>,
    may_pass: bool,
}

fn bomb(name: &'static str, bytes: impl Into<Vec<u8>>) -> Bomb {
    Bomb { name, bytes: bytes.into(), may_pass: false }
}

fn binary(header: &str, data: &[u8]) -> Vec<u8> {
    [header.as_bytes(), data].concat()
}

fn archives() -> Vec<Bomb> {
    let claims = |rows: &str| String::from_utf8(npy_header(7)).unwrap_or_default().replace("(7,", rows);
    vec![
        bomb("zeros.npz", npz(325_000_000)),
        bomb("fewer.npz", npz(200_000_000)),
        bomb("header_only.npy", npy_header(1 << 40)),
        bomb("overflow.npy", claims("(4611686018427387904,")),
    ]
}

fn clouds() -> Vec<Bomb> {
    let ply = |format: &str, element: &str, count: &str| {
        format!(
            "ply\nformat {format} 1.0\nelement {element} {count}\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n"
        )
    };
    let faces = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n\
        element face 1\nproperty list uint int vertex_indices\nend_header\n";
    let pcd = |points: &str, data: &str| {
        format!(
            "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {points}\nHEIGHT 1\nPOINTS {points}\nDATA {data}\n"
        )
    };
    vec![
        bomb("many.ply", ply("ascii", "vertex", "4611686018427387904")),
        bomb("many_binary.ply", ply("binary_little_endian", "vertex", "4611686018427387904")),
        bomb("four_billion.ply", ply("binary_big_endian", "vertex", "4000000000")),
        bomb("long_list.ply", binary(faces, &[&[0u8; 36][..], &[0xff; 4], &[0; 12]].concat())),
        bomb("many.pcd", pcd("4611686018427387904", "ascii")),
        bomb("many_binary.pcd", pcd("4000000000", "binary")),
        bomb(
            "compressed.pcd",
            binary(&pcd("350000000", "binary_compressed"), b"\x08\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
        ),
        bomb("wide_field.pcd", pcd("1", "binary").replace("COUNT 1 1 1", "COUNT 1 1 4000000000")),
    ]
}

fn meshes() -> Vec<Bomb> {
    let nodes = (0..200_000).map(|i| format!("{{\"children\":[{}]}},", i + 1)).collect::<String>();
    let triangle = data_uri(&[0f32, 0., 0., 1., 0., 0., 0., 1., 0.].map(f32::to_le_bytes).concat());
    let gltf = |nodes: &str, accessor: &str| {
        format!(
            "{{\"asset\":{{\"version\":\"2.0\"}},\"scene\":0,\"scenes\":[{{\"nodes\":[0]}}],\"nodes\":[{nodes}],\
             \"meshes\":[{{\"primitives\":[{{\"attributes\":{{\"POSITION\":0}}}}]}}],\
             \"accessors\":[{{{accessor}\"componentType\":5126,\"type\":\"VEC3\",\"min\":[0,0,0],\"max\":[1,1,0]}}],\
             \"bufferViews\":[{{\"buffer\":0,\"byteLength\":36}}],\"buffers\":[{{\"byteLength\":36,\"uri\":\"{triangle}\"}}]}}"
        )
    };
    let glb = [b"glTF\x02\0\0\0\xff\xff\xff\xff\xf0\xff\xff\xffJSON{}", &[32u8; 64][..]].concat();
    vec![
        bomb("index.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 4000000000 1 2\n"),
        bomb("negative.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -9223372036854775808 1 2\n"),
        bomb("many.off", "OFF\n4000000000 4000000000 0\n0 0 0\n"),
        bomb("polygon.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4000000000 0 1 2\n"),
        bomb("many.stl", [&[0u8; 80][..], &[0xff; 4], &[0; 50]].concat()),
        Bomb {
            may_pass: true,
            ..bomb("chain.gltf", gltf(&(nodes + "{\"mesh\":0}"), "\"bufferView\":0,\"count\":3,"))
        },
        bomb("accessor.gltf", gltf("{\"mesh\":0}", "\"bufferView\":0,\"count\":4000000000,")),
        bomb("zeros.gltf", gltf("{\"mesh\":0}", "\"count\":4000000000,")),
        bomb(
            "circle.gltf",
            gltf("{\"children\":[1]},{\"children\":[0],\"mesh\":0}", "\"bufferView\":0,\"count\":3,"),
        ),
        bomb("brackets.gltf", "[".repeat(2_000_000)),
        bomb("length.glb", glb),
    ]
}

/// A data folder of three sound objects.
fn sound_data(data: &Path) {
    for number in 0..3 {
        write(&data.join(format!("solid/train/sound{number}.off")), solid(0, number));
    }
}

/// Prepares the folder below the limit; the three sound objects must be written, and `name` told of unless it may pass.
fn defuse(folder: &Folder, name: &str, may_pass: bool) -> Option<String> {
    let (data, out) = (folder.path("data"), folder.path("out"));
    remove(&out);
    let ran = limited(LIMIT, &prepare_args(&data, &out, &[]), LONG);
    if let Some(death) = ran.death() {
        return Some(format!("{name}: {death}"));
    }
    let read = |file: &str| std::fs::read_to_string(out.join(file)).unwrap_or_default();
    let (quarantine, manifest) = (read("quarantine.jsonl"), read("manifest.json"));
    let is_told = quarantine.contains(name);
    let sound = ["sound0", "sound1", "sound2"].iter().filter(|sound| quarantine.contains(**sound)).count();
    if sound > 0 || manifest.is_empty() {
        return Some(format!("{name}: the sound objects are not written: {}", ran.ending()));
    }
    (!is_told && !may_pass).then(|| format!("{name}: accepted: {}", ran.ending()))
}

fn defuse_all(topic: &str, bombs: Vec<Bomb>) {
    let folder = Folder::new("bombs");
    let mut findings = Findings::new(topic);
    for Bomb { name, bytes, may_pass } in bombs {
        remove(&folder.path("data"));
        sound_data(&folder.path("data"));
        write(&folder.path("data").join("solid/train").join(name), &bytes);
        findings.note(defuse(&folder, name, may_pass));
    }
    findings.conclude();
}

/// The archives are what they seem: a small one is read.
#[test]
#[ignore = "long: make test-hostile"]
fn a_small_archive_is_read() {
    let folder = Folder::new("bombs");
    write(&folder.path("data/solid/train/small.npz"), npz(300));
    let ran = jepa3d(&prepare_args(&folder.path("data"), &folder.path("out"), &[])).expect_done();
    assert!(ran.says("1 samples, 0 quarantined"), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
#[ignore = "long: make test-hostile"]
fn bombs_in_archives() {
    defuse_all("bombs in archives", archives());
}

#[test]
#[ignore = "long: make test-hostile"]
fn bombs_in_clouds() {
    defuse_all("bombs in clouds", clouds());
}

#[test]
#[ignore = "long: make test-hostile"]
fn bombs_in_meshes() {
    defuse_all("bombs in meshes", meshes());
}

/// A mesh of one square for each of `count` textures of `side` x `side` pixels.
fn textured(folder: &Path, count: usize, side: u32) {
    let picture = black_png(side, side);
    let (mut obj, mut mtl) = ("mtllib textured.mtl\nvt 0 0\nvt 1 0\nvt 0 1\n".to_owned(), String::new());
    for i in 0..count {
        write(&folder.join(format!("textures/{i}.png")), &picture);
        mtl += &format!("newmtl m{i}\nKd 1 1 1\nmap_Kd textures/{i}.png\n");
        let corner = 3 * i;
        obj += &format!(
            "v {i} 0 0\nv {i} 1 0\nv {i} 0 1\nusemtl m{i}\nf {}/1 {}/2 {}/3\n",
            corner + 1,
            corner + 2,
            corner + 3
        );
    }
    write(&folder.join("textured.obj"), obj);
    write(&folder.join("textured.mtl"), mtl);
}

#[test]
#[ignore = "long: make test-hostile"]
fn forty_textures_of_192_megabytes() {
    let folder = Folder::new("textures");
    let mut findings = Findings::new("40 textures of 8000 x 8000");
    // The same with small pictures is read: the files are what they seem.
    for (count, side, may_pass) in [(2, 64, true), (40, 8000, false)] {
        remove(&folder.path("data"));
        sound_data(&folder.path("data"));
        textured(&folder.path("data/solid/train"), count, side);
        let name = if may_pass { "textured (small)" } else { "textured" };
        // Quarantined, or read with a warning that is kept.
        let fault = defuse(&folder, name, true);
        let stats = jepa3d(&strings(&["stats", text(&folder.path("out")), "--json"]));
        let quarantine = std::fs::read_to_string(folder.path("out/quarantine.jsonl")).unwrap_or_default();
        let is_told = quarantine.contains("textured") || stats.says("texture-");
        findings.note(fault.or_else(|| {
            (is_told == may_pass).then(|| format!("{name}: told: {is_told}, {}", stats.ending()))
        }));
    }
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn all_bombs_at_once() {
    let folder = Folder::new("bombs");
    let mut findings = Findings::new("all bombs in one folder");
    sound_data(&folder.path("data"));
    textured(&folder.path("data/solid/train"), 40, 8000);
    for Bomb { name, bytes, .. } in archives().into_iter().chain(clouds()).chain(meshes()) {
        write(&folder.path("data/solid/train").join(name), bytes);
    }
    findings.note(defuse(&folder, "zeros.npz", false));
    let verified = jepa3d(&strings(&["verify", text(&folder.path("out"))]));
    findings.check(verified.is_done(), || format!("verify: {}", verified.ending()));
    // The same command again has nothing to do.
    let again = limited(LIMIT, &prepare_args(&folder.path("data"), &folder.path("out"), &[]), LONG);
    findings.note(again.death());
    findings.conclude();
}
