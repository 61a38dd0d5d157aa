//! The workspace's own sources, as the tests of the house's rules read them.

use std::path::{Path, PathBuf};

/// Folders of the workspace's packages, the root's among them.
pub(crate) fn members() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let list = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members: Vec<PathBuf> = list.split('"').skip(1).step_by(2).map(|member| root.join(member)).collect();
    assert!(members.len() >= 10, "{members:?}");
    members.into_iter().chain([root.to_owned()]).collect()
}

/// Every Rust file below `folder`, in a fixed order.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let is_rust = |path: &Path| path.extension().is_some_and(|ending| ending == "rs");
    let below = |path: PathBuf| match path.is_dir() {
        true => rust_files(&path),
        false if is_rust(&path) => vec![path],
        false => vec![],
    };
    paths.into_iter().flat_map(below).collect()
}

/// Without comments, and cut at the inline tests, which stand at the end of a file.
pub(crate) fn production_code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a file holds tests alone.
pub(crate) fn is_test_file(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with("tests.rs") || name.contains("/tests/") || name.ends_with("tests_of_patches.rs")
}
