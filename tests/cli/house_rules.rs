//! Rules of the house that the compiler does not know: parameters have names, a type name is used once, functions are
//! verbs, nothing is public that no other package names. Read from the sources; `JEPA3D_HOUSE=1` prints the counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sources::{is_test_file, members, production_code, rust_files};

/// A function as its first line tells it.
struct Signature {
    name: String,
    parameters: Vec<String>,
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What stands between the bracket at the start of `text` and the one that closes it.
fn inside(text: &str) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[1..at];
        }
    }
    ""
}

/// Parts between the commas that stand in no bracket.
fn parts(text: &str) -> Vec<String> {
    let (mut depth, mut out) = (0, vec![String::new()]);
    let mut before = ' ';
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            ',' if depth == 0 => {
                out.push(String::new());
                before = letter;
                continue;
            }
            _ => {}
        }
        before = letter;
        if let Some(last) = out.last_mut() {
            last.push(letter);
        }
    }
    out.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// All functions of some code; closures are none.
fn signatures(code: &str) -> Vec<Signature> {
    let starts = code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(is_word));
    starts
        .filter_map(|(at, _)| {
            let rest = &code[at + 3..];
            let name = &rest[..rest.find(|c| !is_word(c))?];
            let mut rest = &rest[name.len()..];
            if rest.starts_with('<') {
                let mut depth = 0;
                let mut before = ' ';
                let end = rest.find(|letter| {
                    match letter {
                        '<' => depth += 1,
                        '>' if before != '-' => depth -= 1,
                        _ => {}
                    }
                    before = letter;
                    depth == 0
                })?;
                rest = &rest[end + 1..];
            }
            (!name.is_empty() && rest.starts_with('('))
                .then(|| Signature { name: name.to_owned(), parameters: parts(inside(rest)) })
        })
        .collect()
}

/// Files of production code: package folder, file, code.
fn production() -> Vec<(PathBuf, PathBuf, String)> {
    let mut out = Vec::new();
    for member in members() {
        for file in rust_files(&member.join("src")).into_iter().filter(|file| !is_test_file(file)) {
            let code = production_code(&std::fs::read_to_string(&file).unwrap());
            out.push((member.clone(), file, code));
        }
    }
    out
}

fn report(what: &str, found: &[String]) {
    if std::env::var_os("JEPA3D_HOUSE").is_some() {
        println!("{what}: {}", found.len());
        found.iter().for_each(|line| println!("  {line}"));
    }
}

fn inside_workspace(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

#[test]
fn every_parameter_has_a_name() {
    let mut found = Vec::new();
    for (_, file, code) in production() {
        for Signature { name, parameters } in signatures(&code) {
            let is_pattern = |parameter: &&String| parameter.trim_start_matches('&').starts_with(['(', '[']);
            if parameters.iter().any(|parameter| is_pattern(&parameter)) {
                found.push(format!("{}: {name}", inside_workspace(&file)));
            }
        }
    }
    report("functions with tuple or array patterns as parameters", &found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn functions_are_verbs() {
    let found: Vec<String> = production()
        .iter()
        .flat_map(|(_, file, code)| {
            let nouns = signatures(code).into_iter().filter(|signature| signature.name == "of");
            nouns.map(|_| inside_workspace(file)).collect::<Vec<_>>()
        })
        .collect();
    report("functions called `of`", &found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_type_name_is_used_once() {
    // Every library has its own `Error` and `Result`, every command its own `Args`; `Served` and `LiveWriter` have stand-ins
    // for builds without rerun.
    let shared = BTreeSet::from(["Error", "Result", "Args", "Served", "LiveWriter"]);
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for (_, file, code) in production() {
        for keyword in ["struct ", "enum ", "trait ", "type "] {
            let definitions = code.match_indices(keyword).filter(|(at, _)| {
                let line = &code[code[..*at].rfind('\n').map_or(0, |end| end + 1)..*at];
                let is_definition = line.is_empty() || (line.starts_with("pub") && line.ends_with(' '));
                is_definition && !code[..*at].ends_with(is_word)
            });
            for (at, _) in definitions {
                let rest = &code[at + keyword.len()..];
                let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
                places.entry(name.to_owned()).or_default().push(inside_workspace(&file));
            }
        }
    }
    let twice = places.into_iter().filter(|(name, at)| at.len() > 1 && !shared.contains(name.as_str()));
    let found: Vec<String> = twice.map(|(name, at)| format!("{name}: {}", at.join(", "))).collect();
    report("type names used more than once", &found);
    assert!(found.is_empty(), "{found:#?}");
}

/// The words of a package's sources in some of its folders.
fn words(member: &Path, folders: &[&str]) -> BTreeSet<String> {
    let files = folders.iter().flat_map(|folder| rust_files(&member.join(folder)));
    // The root's tests hold a package of their own.
    let is_own = |file: &PathBuf| member.ends_with("fixtures") || !file.starts_with(fixtures());
    let texts = files.filter(is_own).map(|file| std::fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.split(|c| !is_word(c)).map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Names that a `lib.rs` hands on.
fn public_names(code: &str) -> Vec<String> {
    let statements = code.split(';').filter_map(|statement| statement.trim().strip_prefix("pub use "));
    let names = |statement: &str| match statement.rsplit_once("::{") {
        Some((_, names)) => parts(names.trim_end_matches('}')),
        None => vec![statement.rsplit("::").next().unwrap_or_default().to_owned()],
    };
    statements.flat_map(names).collect()
}

/// Words that a package's public fields and functions are declared with: whoever names those may need these.
fn words_of_public_signatures(member: &Path) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for file in rust_files(&member.join("src")) {
        let code = production_code(&std::fs::read_to_string(file).unwrap());
        for (at, _) in code.match_indices("pub ") {
            let rest = &code[at + 4..];
            let is_definition = ["use ", "mod ", "struct ", "enum ", "type ", "trait ", "const "]
                .iter()
                .any(|keyword| rest.starts_with(keyword));
            let end = rest.find(['{', ';']).unwrap_or(rest.len());
            let end = if rest.contains("fn ") { end } else { rest.find('\n').unwrap_or(end) };
            if !is_definition {
                // A function's own name does not count.
                let declared = &rest[..end];
                let declared = declared.split_once("fn ").map_or(declared, |(_, function)| {
                    function.find(['<', '(']).map_or("", |name| &function[name..])
                });
                words.extend(declared.split(|c| !is_word(c)).map(str::to_owned));
            }
        }
    }
    words
}

#[test]
fn what_is_public_is_used_by_another_package() {
    // A package's own integration tests and benches see it as a stranger does.
    let strangers = |member: &Path| words(member, &["tests", "benches", "examples"]);
    let all: BTreeMap<PathBuf, BTreeSet<String>> = members()
        .into_iter()
        .map(|member| (member.clone(), words(&member, &["src", "tests", "benches", "examples"])))
        .collect();
    let mut found = Vec::new();
    for (member, _, code) in production().into_iter().filter(|(_, file, _)| file.ends_with("src/lib.rs")) {
        let mut own = strangers(&member);
        own.extend(words_of_public_signatures(&member));
        let others = || all.iter().filter(|(other, _)| **other != member);
        let is_unused =
            |name: &String| !own.contains(name) && !others().any(|(_, words)| words.contains(name));
        let unused = public_names(&code).into_iter().filter(is_unused);
        found.extend(unused.map(|name| format!("{}: {name}", inside_workspace(&member))));
    }
    report("public names that nothing outside names", &found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn signatures_are_read_as_they_stand() {
    let code = "pub(crate) fn a<T: Fn(u8) -> u8, const N: usize>((x, y): (u8, u8), z: &[T; N]) -> u8 {}\nfn b(self, &[p, q]: &[u8; 2]) {}\nfn c() {}";
    let found: Vec<_> = signatures(code).into_iter().map(|s| (s.name, s.parameters.len())).collect();
    assert_eq!(found, [("a".to_owned(), 2), ("b".to_owned(), 2), ("c".to_owned(), 0)]);
}
