//! Material, texture and buffer files outside the data folder, in every spelling: what stands in them changes no byte of the
//! set, and that they were not read is told and kept.

use std::path::{Path, PathBuf};

use super::archives::{data_uri, plain_png};
use super::files::{Folder, Tree, read_timeless, remove, text, write};
use super::findings::Findings;
use super::fixture::{prepare_args, strings};
use super::harness::{Ran, jepa3d};

/// Which companion of which file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Companion {
    Texture,
    MaterialFile,
    GltfImage,
    GltfBuffer,
}

const COMPANIONS: [Companion; 4] =
    [Companion::Texture, Companion::MaterialFile, Companion::GltfImage, Companion::GltfBuffer];

impl Companion {
    fn file(self) -> &'static str {
        match self {
            Self::Texture | Self::GltfImage => "secret.png",
            Self::MaterialFile => "secret.mtl",
            Self::GltfBuffer => "secret.bin",
        }
    }
}

const SQUARE: [[f32; 3]; 4] = [[0., 0., 0.], [1., 0., 0.], [1., 1., 0.], [0., 1., 0.5]];

fn positions(shift: f32) -> Vec<u8> {
    SQUARE.iter().flat_map(|p| [p[0] + shift * p[1], p[1], p[2]]).flat_map(f32::to_le_bytes).collect()
}

/// Texture coordinates and two triangles.
fn rest_of_buffer() -> Vec<u8> {
    let coordinates = [0f32, 0., 1., 0., 1., 1., 0., 1.].into_iter().flat_map(f32::to_le_bytes);
    coordinates.chain([0u16, 1, 2, 0, 2, 3].into_iter().flat_map(u16::to_le_bytes)).collect()
}

/// The files outside, of one of two kinds.
fn write_secrets(folder: &Path, is_second: bool) {
    let color = if is_second { [10, 220, 40] } else { [230, 20, 130] };
    write(&folder.join("secret.png"), plain_png(color));
    let [r, g, b] = color.map(|channel| f32::from(channel) / 255.0);
    write(&folder.join("secret.mtl"), format!("newmtl m\nKd {r} {g} {b}\n"));
    write(
        &folder.join("secret.bin"),
        [positions(if is_second { 0.7 } else { 0.2 }), rest_of_buffer()].concat(),
    );
}

fn write_obj(folder: &Path, library: &str, texture: Option<&str>) {
    let vertices: String = SQUARE.iter().map(|p| format!("v {} {} {}\n", p[0], p[1], p[2])).collect();
    let rest = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3 4/4\n";
    write(&folder.join("square.obj"), format!("mtllib {library}\n{vertices}{rest}"));
    if let Some(texture) = texture {
        write(&folder.join(library), format!("newmtl m\nKd 0.5 0.5 0.5\nmap_Kd {texture}\n"));
    }
}

fn write_gltf(folder: &Path, buffer: &str, image: &str) {
    let image = image.replace('\\', "\\\\").replace('"', "\\\"");
    let buffer = buffer.replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!(
        "{{\"asset\":{{\"version\":\"2.0\"}},\"scene\":0,\"scenes\":[{{\"nodes\":[0]}}],\"nodes\":[{{\"mesh\":0}}],\
         \"meshes\":[{{\"primitives\":[{{\"attributes\":{{\"POSITION\":0,\"TEXCOORD_0\":1}},\"indices\":2,\"material\":0}}]}}],\
         \"materials\":[{{\"pbrMetallicRoughness\":{{\"baseColorTexture\":{{\"index\":0}}}}}}],\
         \"textures\":[{{\"source\":0}}],\"images\":[{{\"uri\":\"{image}\"}}],\
         \"accessors\":[{{\"bufferView\":0,\"componentType\":5126,\"count\":4,\"type\":\"VEC3\",\"min\":[0,0,0],\"max\":[2,1,1]}},\
         {{\"bufferView\":1,\"componentType\":5126,\"count\":4,\"type\":\"VEC2\"}},\
         {{\"bufferView\":2,\"componentType\":5123,\"count\":6,\"type\":\"SCALAR\"}}],\
         \"bufferViews\":[{{\"buffer\":0,\"byteLength\":48}},{{\"buffer\":0,\"byteOffset\":48,\"byteLength\":32}},\
         {{\"buffer\":0,\"byteOffset\":80,\"byteLength\":12}}],\
         \"buffers\":[{{\"byteLength\":92,\"uri\":\"{buffer}\"}}]}}"
    );
    write(&folder.join("square.gltf"), text);
}

/// A data folder whose one object names `spelling` as its companion, below `data/things/train`.
fn write_object(data: &Path, companion: Companion, spelling: &str) {
    let folder = data.join("things/train");
    remove(data);
    write(&folder.join("inside.png"), plain_png([120, 130, 140]));
    match companion {
        Companion::Texture => write_obj(&folder, "square.mtl", Some(spelling)),
        Companion::MaterialFile => write_obj(&folder, spelling, None),
        Companion::GltfImage => {
            let buffer = data_uri(&[positions(0.4), rest_of_buffer()].concat());
            write_gltf(&folder, &buffer, spelling);
        }
        Companion::GltfBuffer => write_gltf(&folder, spelling, "inside.png"),
    }
}

/// Ways to say `secret/FILE` from `data/things/train`, beside the data folder.
fn spellings(secret: &Path, file: &str) -> Vec<String> {
    let absolute = text(&secret.join(file)).to_owned();
    let relative = format!("../../../secret/{file}");
    vec![
        relative.clone(),
        relative.replace('/', "\\"),
        relative.replacen('/', "\\", 1),
        absolute.clone(),
        absolute.replace('/', "\\"),
        format!("./{relative}"),
        format!(".//..//../../secret/{file}"),
        format!("inside/../{relative}"),
        format!("..{}", &absolute.replacen('/', "/../../../../../../../../../../", 1)),
        relative.replace("..", "%2e%2e"),
        relative.replace("..", "%2E."),
        relative.replace('/', "%2f"),
        relative.replace('/', "%5C"),
        format!("file://{absolute}"),
        format!("file:{absolute}"),
        format!("FILE://localhost{absolute}"),
        format!("file:{relative}"),
        format!("/{absolute}"),
        format!("\"{relative}\""),
        format!("'{relative}'"),
        format!(" {relative} "),
        format!("{relative}\0.png"),
        format!("{relative}?x=1"),
        format!("{relative}#x"),
        format!("-clamp on {relative}"),
        relative.replace("secret/", "SECRET/../secret/"),
        "../../../secret/".to_owned(),
        "../../..".to_owned(),
        "..".to_owned(),
        String::new(),
    ]
}

/// Where everything stands.
struct Stage {
    folder: Folder,
}

impl Stage {
    fn secret(&self) -> PathBuf {
        self.folder.path("secret")
    }

    /// Prepares the data with one or the other files outside.
    fn prepare(&self, is_second: bool) -> (Ran, Tree) {
        write_secrets(&self.secret(), is_second);
        let out = self.folder.path("out");
        remove(&out);
        let ran = jepa3d(&prepare_args(&self.folder.path("data"), &out, &["--json"]));
        (ran, read_timeless(&out))
    }

    /// What differs with the files outside; and whether something is told of them in the end.
    fn compare(&self) -> Result<bool, String> {
        let ((first, a), (second, b)) = (self.prepare(false), self.prepare(true));
        if let Some(death) = first.death().or_else(|| second.death()) {
            return Err(death);
        }
        if a != b {
            return Err("what stands outside changed the set".to_owned());
        }
        let quarantine = a.get("quarantine.jsonl").cloned().unwrap_or_default();
        let stats = jepa3d(&strings(&["stats", text(&self.folder.path("out")), "--json"]));
        let kept = [&first, &stats].iter().all(|ran| has_warnings(&ran.stdout));
        Ok(kept || !quarantine.is_empty())
    }
}

/// Whether a report in JSON counts warnings.
fn has_warnings(json: &str) -> bool {
    let dense: String = json.split_whitespace().collect();
    dense.split("\"warnings\":").skip(1).any(|rest| {
        (rest.starts_with('{') && !rest.starts_with("{}"))
            || (rest.starts_with('[') && !rest.starts_with("[]"))
    })
}

#[test]
#[ignore = "long: make test-hostile"]
fn nothing_outside_the_data_is_read() {
    let stage = Stage { folder: Folder::new("companions") };
    let mut findings = Findings::new("companions outside the data folder");
    for companion in COMPANIONS {
        for spelling in spellings(&stage.secret(), companion.file()) {
            write_object(&stage.folder.path("data"), companion, &spelling);
            let fault = match stage.compare() {
                Err(fault) => Some(fault),
                Ok(is_told) => (!is_told).then(|| "no warning is kept".to_owned()),
            };
            findings.note(fault.map(|fault| format!("{companion:?} {spelling:?}: {fault}")));
        }
    }
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn what_stands_inside_is_read() {
    let stage = Stage { folder: Folder::new("companions") };
    let mut findings = Findings::new("companions inside the data folder");
    for companion in COMPANIONS {
        let file = companion.file();
        for spelling in
            [file.to_owned(), format!("./{file}"), format!("../{file}"), format!("../../deep/{file}")]
        {
            let data = stage.folder.path("data");
            let made = [false, true].map(|is_second| {
                write_object(&data, companion, &spelling);
                ["things/train", "things", "deep"]
                    .iter()
                    .for_each(|folder| write_secrets(&data.join(folder), is_second));
                stage.prepare(is_second).1
            });
            let is_read = made[0] != made[1] && !made[0].is_empty() && !made[1].is_empty();
            findings.check(is_read, || format!("{companion:?} {spelling:?} is not read"));
        }
    }
    findings.conclude();
}
