//! Names that lead to files, to nothing, and out of the data folder.

use super::*;

/// `data/{Images/A.PNG, models/m.mtl}` and `secret.png` beside the root.
fn folders() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    fs::create_dir_all(root.join("models")).unwrap();
    fs::create_dir_all(root.join("Images")).unwrap();
    fs::write(root.join("Images/A.PNG"), b"a").unwrap();
    fs::write(root.join("models/m.mtl"), b"m").unwrap();
    fs::write(dir.path().join("secret.png"), b"s").unwrap();
    (dir, root)
}

#[test]
fn names_are_found_as_other_systems_write_them() {
    let (_dir, root) = folders();
    let (path, budget) = (root.join("models/a.obj"), Budget::default());
    let companions = Companions::new(&path, Some(&root), &budget);
    let locate = |name: &[u8]| companions.locate(companions.folder, name).unwrap();
    let image = Located::At(root.join("Images/A.PNG"));
    for name in ["../images/a.png", "..\\Images\\A.PNG", "gone/.././../Images/A.PNG"] {
        assert_eq!(locate(name.as_bytes()), image, "{name}");
    }
    let absolute = format!("file://{}", root.join("Images/A.PNG").display());
    assert_eq!(locate(absolute.as_bytes()), image);
    let library = Located::At(root.join("models/m.mtl"));
    for name in ["m.mtl", "./M.MTL ", "C:\\work\\m.mtl", "/home/x/m.mtl", "gone/m.mtl"] {
        assert_eq!(locate(name.as_bytes()), library, "{name}");
    }
    for name in ["n.mtl", "", ".", "..", "../models"] {
        assert_eq!(locate(name.as_bytes()), Located::Missing, "{name}");
    }
}

#[test]
fn nothing_outside_the_root_is_found() {
    let (dir, root) = folders();
    let (path, budget) = (root.join("models/a.obj"), Budget::default());
    let mut companions = Companions::new(&path, Some(&root), &budget);
    let absolute = dir.path().join("secret.png").display().to_string();
    let file = format!("file://{absolute}");
    for name in [
        "../../secret.png",
        "..\\..\\secret.png",
        "x/../../../secret.png",
        "../../data/../secret.png",
        "../../data/Images/A.PNG",
        &absolute,
        &file,
        "/etc/passwd",
        "C:\\secret.png",
        "//server/share/secret.png",
    ] {
        let place = companions.locate(companions.folder, name.as_bytes()).unwrap();
        assert_eq!(place, Located::Outside, "{name}");
        let Companion::Unread(unread) = companions.read(&place).unwrap() else { panic!() };
        let warning = unread.warn(WarningKind::TextureMissing, format!("x {}", unread.why));
        assert_eq!(warning, Warning::new(WarningKind::CompanionOutside, "x lies outside the data folder"));
    }
    // Without a root the folder of the file is all there is.
    let alone = Companions::new(&path, None, &budget);
    assert_eq!(alone.locate(alone.folder, b"../Images/A.PNG").unwrap(), Located::Outside);
}

#[cfg(unix)]
#[test]
fn links_inside_the_root_may_lead_out_but_not_together_with_dots() {
    let (dir, root) = folders();
    let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    fs::create_dir_all(dir.path().join("store/deep")).unwrap();
    fs::write(dir.path().join("store/b.png"), b"b").unwrap();
    link(&dir.path().join("store"), "models/linked");
    link(&dir.path().join("secret.png"), "models/known.png");
    let (path, budget) = (root.join("models/a.obj"), Budget::default());
    let mut companions = Companions::new(&path, Some(&root), &budget);
    for (name, bytes) in [("linked/b.png", b"b"), ("known.png", b"s")] {
        let place = companions.locate(companions.folder, name.as_bytes()).unwrap();
        let Companion::Read(found) = companions.read(&place).unwrap() else { panic!("{name}") };
        assert_eq!(*found, bytes, "{name}");
    }
    // As text that is `models/secret.png`; the system would follow the link first.
    let place = companions.locate(companions.folder, b"linked/../secret.png").unwrap();
    assert_eq!(place, Located::Missing);
}

#[cfg(unix)]
#[test]
fn pipes_are_no_companions_and_names_are_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let (_dir, root) = folders();
    let name = b"\xba\xec\\\xce\xc6.png";
    fs::write(root.join(OsStr::from_bytes(name)), b"red").unwrap();
    std::os::unix::net::UnixListener::bind(root.join("socket.png")).unwrap();
    let (path, budget) = (root.join("a.obj"), Budget::default());
    let mut companions = Companions::new(&path, Some(&root), &budget);
    let place = companions.locate(&root, name).unwrap();
    assert!(matches!(companions.read(&place).unwrap(), Companion::Read(_)));
    let place = companions.locate(&root, b"socket.png").unwrap();
    let Companion::Unread(Unread { why, .. }) = companions.read(&place).unwrap() else { panic!() };
    assert!(why.starts_with("cannot be read: "), "{why}");
}

#[test]
fn companions_are_charged_to_the_object() {
    let (_dir, root) = folders();
    let (path, budget) = (root.join("models/a.obj"), Budget::new(0));
    let mut companions = Companions::new(&path, Some(&root), &budget);
    let place = companions.locate(companions.folder, b"m.mtl").unwrap();
    let error = companions.read(&place).err().unwrap().to_string();
    assert!(error.contains("m.mtl") && error.contains("run.max_object_mb"), "{error}");
}
