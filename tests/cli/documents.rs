//! What the documents say: links that lead somewhere, a README that stays short, tables that are made from the figures.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::text;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Folders that hold what is built or written, or belong to git.
const SKIPPED: [&str; 5] = ["target", "out", ".git", "shared", "found"];

/// Every Markdown file of the checkout.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !SKIPPED.contains(&name) {
            found.extend(documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// Targets of `](target)`.
fn links(markdown: &str) -> impl Iterator<Item = &str> {
    markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
}

/// The anchors of a document: its headings as a browser names them.
fn anchors(markdown: &str) -> Vec<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || *c == '-' || *c == '_';
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .map(|line| line.chars().filter(kept).collect())
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let documents = documents(Path::new(ROOT));
    assert!(documents.len() > 10, "{documents:?}");
    for document in documents {
        let markdown = std::fs::read_to_string(&document).unwrap();
        for link in links(&markdown).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", text(&document));
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.iter().any(|a| a == anchor), "{}: {link}: {there:?}", text(&document));
            }
        }
    }
}

#[test]
fn the_readme_is_short_and_names_every_preset() {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    assert!(readme.lines().count() <= 160, "{} lines", readme.lines().count());
    for line in super::harness::jepa3d(&["presets"]).expect(0).stdout.lines() {
        let name = line.split_whitespace().nth(1).unwrap();
        let names = [name, name.trim_end_matches("-small")];
        let is_named = names.iter().any(|name| readme.contains(&format!("`{name}`")));
        assert!(is_named, "{name}");
    }
}

#[test]
fn the_tables_of_the_benchmarks_are_made_from_the_figures() {
    let script = Path::new(ROOT).join("scripts/figures.py");
    let Ok(run) = Command::new("python3").arg(script).arg("check").output() else {
        eprintln!("skipped: no python3");
        return;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
