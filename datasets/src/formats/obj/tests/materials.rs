//! OBJ files on disk with material files and textures beside them.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{Mesh, NO_INDEX, Shape, TextureWrap, WarningKind};

use crate::budget::Budget;
use crate::error::Error;
use crate::formats::textures::tests::png;
use crate::formats::{ColumnSpec, Loaded, ReadOptions, read_columns};

const BLUE: [f32; 3] = [0.0, 0.0, 1.0];

/// A folder of files, the OBJ being `a.obj` in `models/`: two triangles.
struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/models")).unwrap();
        let case = Self { dir };
        case.write("models/t.png", &png(&[&[[255, 0, 0], [0, 0, 255]]]));
        case
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        std::fs::write(self.root().join(name), bytes).unwrap();
        self
    }

    /// Reads the square whose first triangle has material `first`, and the second `second`.
    fn read(&self, library: &[u8], first: &[u8], second: &[u8]) -> Loaded {
        let rows = b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0.25 0.5\nvt 1 1\n";
        let parts: [&[u8]; 7] =
            [library, rows, first, b"\nf 1/1 2/2 3/1\n", second, b"\nf 1/1 3/2 4/2\n", b""];
        self.try_read(&parts.concat(), &Budget::default()).unwrap()
    }

    fn try_read(&self, obj: &[u8], budget: &Budget) -> Result<Loaded, Error> {
        self.write("models/a.obj", obj);
        let options = ReadOptions { textures: true, root: Some(self.root()) };
        read_columns(&self.root().join("models/a.obj"), &options, &ColumnSpec::default(), budget)
    }
}

fn mesh_of(loaded: &Loaded) -> &Mesh {
    match &loaded.shape {
        Shape::Mesh(mesh) => mesh,
        Shape::Points(_) => panic!("points"),
    }
}

/// The diffuse colour of each triangle.
fn colors(loaded: &Loaded) -> Vec<Option<[f32; 3]>> {
    let mesh = mesh_of(loaded);
    mesh.triangle_materials
        .iter()
        .map(|&m| (m != NO_INDEX).then(|| mesh.materials[m as usize].diffuse))
        .collect()
}

#[test]
fn names_of_any_encoding_are_compared_as_bytes() {
    let case = Case::new();
    // Two names of GBK that no UTF-8 can tell apart; the second ends in a backslash.
    let (red, blue) = (b"\xba\xec", b"\xc0\x5c");
    case.write(
        "models/m.mtl",
        &[b"newmtl ", &red[..], b"\nKd 1 0 0\nnewmtl ", &blue[..], b"\nKd 0 0 1\n"].concat(),
    );
    let used = |name: &[u8]| [b"usemtl ", name].concat();
    let loaded = case.read(b"mtllib m.mtl\n", &used(red), &used(blue));
    assert_eq!(colors(&loaded), [Some([1.0, 0.0, 0.0]), Some(BLUE)]);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn names_may_hold_blanks_quotes_and_escapes() {
    let case = Case::new();
    case.write("models/my file.mtl", b"newmtl my mat\nKd 0 0 1\nnewmtl \"b\"\nKd 0 0 1\nmap_Kd my\\ t.png\n");
    case.write("models/my t.png", &png(&[&[[0, 0, 255]]]));
    for library in ["mtllib my file.mtl\n", "mtllib my\\ file.mtl\n", "mtllib \"my file.mtl\"  \n"] {
        let loaded = case.read(library.as_bytes(), b"usemtl my\\ mat", b"usemtl b # comment");
        assert_eq!(colors(&loaded), [Some(BLUE); 2], "{library}");
        assert_eq!(loaded.warnings, [""; 0], "{library}");
        assert!(mesh_of(&loaded).materials[1].texture.is_some());
    }
    case.write("models/b.mtl", b"newmtl other\nKd 1 1 1\n");
    let loaded = case.read(b"mtllib \"my file.mtl\" b.mtl\n", b"usemtl other", b"usemtl my mat");
    assert_eq!(colors(&loaded), [Some([1.0; 3]), Some(BLUE)]);
}

#[test]
fn materials_that_no_file_gives_leave_no_colour() {
    let case = Case::new();
    case.write("models/m.mtl", b"newmtl known\nKd 0 0 1\nnewmtl bare\nNs 10\nnewmtl gone\nmap_Kd gone.png\n");
    for (library, name, told) in [
        ("", "known", vec!["1 materials are in no material file that could be read, first \"known\""]),
        (
            "mtllib gone.mtl\n",
            "known",
            vec![
                "material file \"gone.mtl\" is missing",
                "1 materials are in no material file that could be read, first \"known\"",
            ],
        ),
        (
            "mtllib m.mtl\n",
            "bare",
            vec!["1 materials have neither a colour nor a texture that was read, first \"bare\""],
        ),
        (
            "mtllib m.mtl\n",
            "gone",
            vec![
                "texture \"gone.png\" is missing",
                "1 materials have neither a colour nor a texture that was read, first \"gone\"",
            ],
        ),
    ] {
        let used = format!("usemtl {name}");
        let loaded = case.read(library.as_bytes(), used.as_bytes(), b"");
        assert_eq!(colors(&loaded), [], "{library} {name}");
        assert_eq!(loaded.warnings, told, "{library} {name}");
    }
    let loaded = case.read(b"mtllib m.mtl\n", b"", b"usemtl known");
    assert_eq!(colors(&loaded), [None, Some(BLUE)]);
    assert_eq!(
        loaded.warnings,
        ["1 of 2 triangles have no material whose colour is known; they are light grey"]
    );
}

#[test]
fn texture_options_move_and_clamp_the_texture() {
    let case = Case::new();
    case.write(
        "models/m.mtl",
        b"newmtl a\nKd 1 1 1\nmap_Kd -o 0.5 0 0 -s 2 1 1 t.png\nnewmtl b\nmap_Kd -clamp on -mm 0 0.5 t.png\n",
    );
    let loaded = case.read(b"mtllib m.mtl\n", b"usemtl a", b"usemtl b");
    let mesh = mesh_of(&loaded);
    let uvs = |t: usize| mesh.uv_corners[t].map(|i| mesh.uvs[i as usize]);
    assert_eq!(uvs(0), [[1.0, 0.5], [2.5, 1.0], [1.0, 0.5]]);
    assert_eq!(uvs(1), [[0.25, 0.5], [1.0, 1.0], [1.0, 1.0]]);
    let wraps = [0, 1].map(|m: usize| mesh.materials[m].texture.as_ref().unwrap().wrap[0]);
    assert_eq!(wraps, [TextureWrap::Repeat, TextureWrap::Clamp]);
    assert_eq!(loaded.warnings, ["material line 5: \"-mm\" of a texture is not honoured"]);
}

#[test]
fn a_black_material_shows_its_texture_and_unplaced_triangles_are_told_of() {
    let case = Case::new();
    case.write("models/m.mtl", b"newmtl a\nKd 0 0 0\nmap_Kd t.png\nnewmtl b\nKd 0.5 1 1\nmap_Kd t.png\n");
    let loaded = case.read(b"mtllib m.mtl\n", b"usemtl a", b"usemtl b\nf 1 2 3");
    assert_eq!(colors(&loaded), [Some([1.0; 3]), Some([0.5, 1.0, 1.0]), Some([0.5, 1.0, 1.0])]);
    let unplaced = "1 triangles of materials with a texture have no texture coordinates; they have the colour of their material";
    assert_eq!(loaded.warnings, ["material \"a\" is black, its texture is shown as it is", unplaced]);
}

#[test]
fn files_outside_the_data_folder_are_warnings() {
    let case = Case::new();
    let outside = case.dir.path().join("secret.png");
    std::fs::write(&outside, png(&[&[[1, 2, 3]]])).unwrap();
    std::fs::write(case.dir.path().join("secret.mtl"), "newmtl a\nKd 1 0 0\n").unwrap();
    let absolute = outside.display().to_string();
    for name in ["../../secret.png", "..\\..\\secret.png", "x/../../../secret.png", &absolute] {
        case.write("models/m.mtl", format!("newmtl a\nKd 0 0 1\nmap_Kd {name}\n").as_bytes());
        let loaded = case.read(b"mtllib m.mtl\n", b"usemtl a", b"");
        assert_eq!(colors(&loaded), [Some(BLUE); 2], "{name}");
        assert!(mesh_of(&loaded).materials[0].texture.is_none(), "{name}");
        let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
        assert_eq!(warning.kind, WarningKind::CompanionOutside);
        assert!(warning.text.ends_with("lies outside the data folder"), "{warning}");
    }
    let loaded = case.read(b"mtllib ../../secret.mtl\n", b"usemtl a", b"");
    assert_eq!(colors(&loaded), []);
    assert_eq!(loaded.warnings[0], "material file \"../../secret.mtl\" lies outside the data folder");
    // One level up is still inside.
    case.write("up.mtl", b"newmtl a\nKd 0 0 1\nmap_Kd models/t.png\n");
    let loaded = case.read(b"mtllib ..\\up.mtl\n", b"usemtl a", b"");
    assert!(mesh_of(&loaded).materials[0].texture.is_some());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn textures_beyond_the_budget_refuse_the_object() {
    let case = Case::new();
    let wide = png(&[&[[7; 3]; 5000]]);
    let mut library = String::new();
    let mut faces = String::from("mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\n");
    for i in 0..4 {
        case.write(&format!("models/{i}.png"), &wide);
        library += &format!("newmtl {i}\nmap_Kd {i}.png\n");
        faces += &format!("usemtl {i}\nf 1 2 3\n");
    }
    case.write("models/m.mtl", library.as_bytes());
    assert!(case.try_read(faces.as_bytes(), &Budget::new(70_000)).is_ok());
    let error = case.try_read(faces.as_bytes(), &Budget::new(50_000)).unwrap_err().to_string();
    let found = "texture \"3.png\" of 5000 x 1 pixels";
    assert!(error.contains(found) && error.contains("run.max_object_mb"), "{error}");
}

#[test]
fn meshes_beyond_the_budget_are_refused_as_they_grow() {
    let case = Case::new();
    let many = format!("v 0 0 0\nv 1 0 0\nv 1 1 0\n{}", "f 1 2 3\n".repeat(10_000));
    assert!(case.try_read(many.as_bytes(), &Budget::new(1 << 20)).is_ok());
    let error = case.try_read(many.as_bytes(), &Budget::new(100_000)).unwrap_err().to_string();
    assert!(error.contains("a.obj: expected at most 0 MiB") && error.contains("for the mesh"), "{error}");
    let wide = format!("v 0 0 0\nv 1 0 0\nv 1 1 0\nf {}\n", "1 2 3 ".repeat(20_000));
    assert!(case.try_read(wide.as_bytes(), &Budget::default()).is_ok());
    let error = case.try_read(wide.as_bytes(), &Budget::new(1 << 20)).unwrap_err().to_string();
    assert!(error.contains("for line 4"), "{error}");
}

/// A pipe beside the file would hold up a reader for ever.
#[cfg(unix)]
#[test]
fn a_texture_that_is_no_regular_file_is_a_warning() {
    let case = Case::new();
    let path: &Path = &case.root().join("models/pipe.png");
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    case.write("models/m.mtl", b"newmtl a\nKd 0 0 1\nmap_Kd pipe.png\n");
    let loaded = case.read(b"mtllib m.mtl\n", b"usemtl a", b"");
    assert_eq!(
        loaded.warnings,
        ["texture \"pipe.png\" cannot be read: expected a regular file, found a named pipe"]
    );
}
