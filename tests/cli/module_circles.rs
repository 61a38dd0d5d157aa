//! No two files of a crate import each other, directly or around a corner: read from the sources.
//!
//! A file and the one that declares it as a module are one thing here: what a parent says of its children, and
//! children of their parents, is no import between neighbours. Names that a parent hands on (`pub use child::Name`) are
//! followed to the child that defines them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::{members, production_code, rust_files};

/// A module path within a crate: `crate::masking::runs` is `["masking", "runs"]`.
type ModulePath = Vec<String>;

#[derive(Default)]
struct Sources {
    /// Code of each module, without its inline tests.
    code: BTreeMap<ModulePath, String>,
    /// What each module hands on: name to the path that it stands for.
    handed_on: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
}

fn module_of(file: &Path, src: &Path) -> ModulePath {
    let inside = file.strip_prefix(src).unwrap().with_extension("");
    let mut path: ModulePath = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

/// Every path in `tree` (`a::{b, c::D as E}`), with the name that it gets.
fn flatten(tree: &str, prefix: &[String], out: &mut Vec<(ModulePath, String)>) {
    let tree = tree.trim();
    if let Some(inner) = tree.strip_prefix('{').and_then(|tree| tree.strip_suffix('}')) {
        let (mut depth, mut start) = (0, 0);
        for (at, letter) in inner.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    flatten(&inner[start..at], prefix, out);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return flatten(&inner[start..], prefix, out);
    }
    if let Some((head, rest)) = tree.split_once("::") {
        let prefix = [prefix, &[head.trim().to_owned()]].concat();
        return flatten(rest, &prefix, out);
    }
    let (name, alias) = tree.split_once(" as ").unwrap_or((tree, tree));
    match name.trim() {
        "" | "*" => {}
        "self" => out.push((prefix.to_vec(), prefix.last().cloned().unwrap_or_default())),
        name => out.push(([prefix, &[name.to_owned()]].concat(), alias.trim().to_owned())),
    }
}

/// The trees that begin with `root` (`crate::` or `super::`) in the code of a module, wherever they stand.
fn trees<'a>(code: &'a str, root: &str) -> Vec<&'a str> {
    let starts = code
        .match_indices(root)
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
    starts
        .map(|(at, _)| {
            let mut depth = 0;
            let is_end = |letter: char| {
                match letter {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                let is_inside =
                    depth > 0 || letter == '}' || letter.is_alphanumeric() || "_:{".contains(letter);
                !is_inside
            };
            let rest = &code[at..];
            &rest[..rest.find(is_end).unwrap_or(rest.len())]
        })
        .collect()
}

impl Sources {
    fn read(src: &Path) -> Self {
        let files = rust_files(src);
        let mut sources = Self::default();
        for file in files.iter().filter(|file| !file.to_string_lossy().ends_with("tests.rs")) {
            let text = std::fs::read_to_string(file).unwrap();
            sources.code.insert(module_of(file, src), production_code(&text));
        }
        let modules: Vec<ModulePath> = sources.code.keys().cloned().collect();
        for module in modules {
            let mut names = BTreeMap::new();
            for statement in sources.code[&module].split(';').filter_map(|s| s.trim().split_once("use ")) {
                let mut paths = Vec::new();
                if statement.0.trim_end().ends_with("pub") || statement.0.trim_end().ends_with(')') {
                    flatten(statement.1, &[], &mut paths);
                }
                names.extend(paths.into_iter().map(|(path, name)| (name, sources.absolute(&module, &path))));
            }
            sources.handed_on.insert(module, names);
        }
        sources
    }

    /// A path as it stands in `module`, from the crate's root.
    fn absolute(&self, module: &ModulePath, path: &[String]) -> ModulePath {
        match path.first().map(String::as_str) {
            Some("crate") => path[1..].to_vec(),
            Some("super") => {
                let parent = &module[..module.len().saturating_sub(1)].to_vec();
                self.absolute_in(parent, &path[1..])
            }
            Some("self") => self.absolute_in(module, &path[1..]),
            _ => self.absolute_in(module, path),
        }
    }

    fn absolute_in(&self, module: &ModulePath, rest: &[String]) -> ModulePath {
        if rest.first().is_some_and(|part| part == "super") {
            return self.absolute(module, rest);
        }
        [module.as_slice(), rest].concat()
    }

    /// The module that defines what `path` names.
    fn owner(&self, path: &[String]) -> Option<ModulePath> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let known = (0..=path.len()).rev().find(|&n| self.code.contains_key(&path[..n]))?;
            let module = path[..known].to_vec();
            let Some(name) = path.get(known) else { return Some(module) };
            match self.handed_on.get(&module).and_then(|names| names.get(name)) {
                Some(next) if *next != path => path = [next.as_slice(), &path[known + 1..]].concat(),
                _ => return Some(module),
            }
        }
        None
    }

    /// Which modules each module imports, but for those above and below it.
    fn edges(&self) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
        let edges_of = |(module, code): (&ModulePath, &String)| {
            let mut paths = Vec::new();
            for tree in ["crate::", "super::"].iter().flat_map(|root| trees(code, root)) {
                flatten(tree, &[], &mut paths);
            }
            let owners = paths.iter().filter_map(|(path, _)| self.owner(&self.absolute(module, path)));
            let is_neighbour = |other: &ModulePath| !other.starts_with(module) && !module.starts_with(other);
            (module.clone(), owners.filter(is_neighbour).collect())
        };
        self.code.iter().map(edges_of).collect()
    }
}

/// A way from `from` back to it.
fn circle(edges: &BTreeMap<ModulePath, BTreeSet<ModulePath>>, from: &ModulePath) -> Option<Vec<ModulePath>> {
    let (mut ways, mut seen) = (vec![vec![from.clone()]], BTreeSet::new());
    while let Some(way) = ways.pop() {
        for next in edges.get(way.last()?).into_iter().flatten() {
            if next == from {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

fn circles(src: &Path) -> BTreeSet<String> {
    let edges = Sources::read(src).edges();
    let found = edges.keys().filter_map(|module| circle(&edges, module));
    let named = |mut way: Vec<ModulePath>| {
        let least = (0..way.len()).min_by_key(|&i| way[i].clone()).unwrap_or(0);
        way.rotate_left(least);
        way.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" -> ")
    };
    found.map(named).collect()
}

#[test]
fn no_files_import_each_other() {
    for member in members() {
        let found = circles(&member.join("src"));
        assert!(found.is_empty(), "{}: files that import each other:\n{found:#?}", member.display());
    }
}

#[test]
fn a_circle_is_found_around_a_corner() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use c::Third;\n");
    write("a.rs", "use crate::b::{self, Second};\npub struct First;\n");
    write("b/mod.rs", "mod inner;\npub(crate) use inner::Second;\n");
    write("b/inner.rs", "use super::super::Third;\npub struct Second(Third);\n");
    write(
        "c.rs",
        "// use crate::a::First;\npub struct Third;\n#[cfg(test)]\nmod tests {\n    use crate::a::First;\n}\n",
    );
    assert_eq!(circles(folder.path()), BTreeSet::new(), "comments and tests do not count");
    write("c.rs", "pub struct Third(Option<Box<crate::a::First>>);\n");
    let found = circles(folder.path());
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a -> b::inner -> c"]);
}
