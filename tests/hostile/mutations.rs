//! Shards and catalogs with many wrong bytes and a right hash, as an attacker would hand them over: whatever a command makes
//! of them, it must end by itself, without a panic.

use std::path::Path;

use super::damage::{Reader, set_readers};
use super::files::{names_below, read_tree, remove, text, write};
use super::findings::Findings;
use super::fixture::{Fixture, strings};
use super::harness::{Random, count_from, jepa3d};
use super::manifest_text::{read_unsigned, replace_in_shard};

fn mutations() -> usize {
    count_from("JEPA3D_HOSTILE_MUTATIONS", 40)
}

/// Changes bytes in one of several ways; half of the places are in the footer.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len();
    let place = |random: &mut Random| {
        let start = if random.below(2) == 0 { length - length.min(4096) } else { 0 };
        start + random.below(length - start)
    };
    let (a, b) = (place(random), place(random));
    let size = 1 + random.below(64).min(length - a.max(b) - 1);
    match random.below(6) {
        0 => (0..=random.below(16)).for_each(|_| bytes[place(random)] = random.next() as u8),
        1 => bytes.truncate(a),
        2 => bytes.copy_within(a..a + size, b),
        3 => bytes[a..a + size].fill(if random.below(2) == 0 { 0 } else { 0xff }),
        4 => drop(bytes.drain(a..a + size)),
        // The length of the footer, and what stands before it.
        _ => bytes[length - 8 - random.below(24)] = random.next() as u8,
    }
}

/// Words of 64 hexadecimal digits.
fn hashes(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Makes a manifest that states the size and the hash of the file as it is: `verify` tells the hash.
fn resign(set: &Path, json: &str, file: &str) -> bool {
    let path = set.join(json);
    let bytes = std::fs::metadata(set.join(file)).unwrap().len();
    let text_now = replace_in_shard(&read_unsigned(&path), file, "bytes", &bytes.to_string());
    write(&path, &text_now);
    let ran = jepa3d(&strings(&["verify", text(set)]));
    let said = format!("{}\n{}", ran.stdout, ran.stderr);
    let found = said
        .lines()
        .filter(|line| line.contains(file))
        .flat_map(hashes)
        .find(|hash| !text_now.contains(hash));
    if let Some(hash) = found {
        write(&path, replace_in_shard(&text_now, file, "hash", &format!("\"{hash}\"")));
    }
    found.is_some()
}

/// A catalog without the hash in its footer, as older versions wrote it: same length, other names.
fn unsign_catalog(bytes: &mut [u8]) {
    let marker = b"self_hash";
    for at in 0..bytes.len().saturating_sub(marker.len()) {
        if bytes[at..].starts_with(marker) {
            bytes[at + marker.len() - 1] = b'_';
        }
    }
}

/// The readers that decode whole files.
fn decoders(here: &Fixture, set: &Path) -> Vec<Reader> {
    let names =
        ["verify", "stats", "inspect", "embed", "pretrain (teacher)", "pretrain (views)", "teacher (new)"];
    set_readers(here, set).into_iter().filter(|reader| names.contains(&reader.name)).collect()
}

fn mutate_files(prefix: &str, json: Option<&str>) {
    let here = Fixture::new("mutations");
    let mut findings = Findings::new(&format!("mutated {prefix}*.parquet with right hashes"));
    let set = here.copy("set", "hostile");
    let readers = decoders(&here, &set);
    let mut signed = 0;
    let mut files = names_below(&set);
    files.retain(|name| name.starts_with(prefix) && name.ends_with(".parquet"));
    for number in 0..mutations() {
        let mut random = Random::new(prefix, number);
        let file = &files[random.below(files.len())];
        let mut bytes = std::fs::read(set.join(file)).unwrap();
        if json.is_none() {
            unsign_catalog(&mut bytes);
        }
        mutate(&mut bytes, &mut random);
        write(&set.join(file), bytes);
        signed += usize::from(json.is_none_or(|json| resign(&set, json, file)));
        for reader in &readers {
            let (ran, _) = reader.read();
            findings.note(
                ran.death().map(|death| format!("{} on {file}, mutation {number}: {death}", reader.name)),
            );
        }
        for restored in [Some(file.as_str()), json].into_iter().flatten() {
            std::fs::copy(here.set().join(restored), set.join(restored)).unwrap();
        }
        remove(&set.join("teachers/two"));
    }
    println!("{prefix}: {signed} of {} with a right hash", mutations());
    findings.check(read_tree(&set) == read_tree(&here.set()), || "a command changed the set".to_owned());
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn mutated_points() {
    mutate_files("points/", Some("manifest.json"));
}

#[test]
#[ignore = "long: make test-hostile"]
fn mutated_views() {
    mutate_files("views/", Some("manifest.json"));
}

#[test]
#[ignore = "long: make test-hostile"]
fn mutated_embeddings() {
    mutate_files("teachers/hog/", Some("teachers/hog/teacher.json"));
}

#[test]
#[ignore = "long: make test-hostile"]
fn mutated_catalogs() {
    mutate_files("catalog", None);
}
