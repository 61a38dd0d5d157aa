//! Run folders that someone else wrote or a disk ruined: checkpoints, configs and records that are no such thing. Every command
//! ends by itself; a ruined record does not keep a whole checkpoint from being continued.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::damage::{Reader, expect_sound, run_readers};
use super::files::{Tree, copy_tree, describe_difference, remove, write};
use super::findings::Findings;
use super::fixture::Fixture;

/// What stands in the place of a file of the run.
enum Ruin {
    Bytes(Vec<u8>),
    NamedPipe,
    EndlessLink,
    Folder,
    Nothing,
    /// The file with zeros up to 3 GB behind it.
    Sparse,
}

impl Ruin {
    fn put(&self, path: &Path) {
        if !matches!(self, Self::Sparse) {
            remove(path);
        }
        match self {
            Self::Bytes(bytes) => write(path, bytes),
            Self::NamedPipe => {
                assert!(Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success()))
            }
            Self::EndlessLink => symlink("/dev/zero", path).unwrap(),
            Self::Folder => std::fs::create_dir(path).unwrap(),
            Self::Nothing => {}
            Self::Sparse => {
                std::fs::File::options().write(true).open(path).unwrap().set_len(3 << 30).unwrap()
            }
        }
    }
}

/// Ruins that any file can meet.
fn common(sound: &[u8]) -> Vec<(&'static str, Ruin)> {
    vec![
        ("a named pipe", Ruin::NamedPipe),
        ("a link to an endless device", Ruin::EndlessLink),
        ("a folder", Ruin::Folder),
        ("no file", Ruin::Nothing),
        ("an empty file", Ruin::Bytes(Vec::new())),
        ("half of it", Ruin::Bytes(sound[..sound.len() / 2].to_vec())),
        ("it twice", Ruin::Bytes([sound, sound].concat())),
        ("zeros in its place", Ruin::Bytes(vec![0; sound.len()])),
        ("bytes that are no text", Ruin::Bytes(vec![0xff; 4096])),
        ("3 GB of zeros behind it", Ruin::Sparse),
    ]
}

/// A safetensors file of a header and some data.
fn safetensors(length: u64, header: &str) -> Ruin {
    Ruin::Bytes([&length.to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat())
}

fn checkpoints() -> Vec<(&'static str, Ruin)> {
    let of = |header: &str| safetensors(header.len() as u64, header);
    vec![
        ("a header of 2^63 bytes", safetensors(1 << 63, "{}")),
        ("a header of all bits", safetensors(u64::MAX, "{}")),
        ("a header of 90 MB", safetensors(90_000_000, "{}")),
        ("brackets in brackets", of(&"[".repeat(200_000))),
        (
            "tensors that overlap",
            of(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,32]},\"b\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[16,48]}}",
            ),
        ),
        (
            "a shape that overflows",
            of("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,64]}}"),
        ),
        (
            "offsets that overflow",
            of(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[18446744073709551600,18446744073709551615]}}",
            ),
        ),
    ]
}

fn texts(sound: &str) -> Vec<(&'static str, Ruin)> {
    let long = format!("{sound}{{\"step\":99,\"a\":\"{}\"}}\n", "x".repeat(50_000_000));
    vec![
        ("lists in lists", Ruin::Bytes("[".repeat(200_000).into_bytes())),
        ("one more line of 50 MB", Ruin::Bytes(long.into_bytes())),
        ("Windows line ends", Ruin::Bytes(sound.replace('\n', "\r\n").into_bytes())),
        ("no last line end", Ruin::Bytes(sound.trim_end().as_bytes().to_vec())),
        (
            "lines in disorder",
            Ruin::Bytes(sound.lines().rev().map(|line| format!("{line}\n")).collect::<String>().into_bytes()),
        ),
        ("escape codes", Ruin::Bytes(format!("{sound}\u{1b}]0;owned\u{7}\n").into_bytes())),
    ]
}

/// Whether a command must work although a record is ruined: one that is a regular file holds no run up.
fn must_work(file: &str, ruin: &Ruin, reader: &Reader) -> bool {
    let is_record = file == "metrics.jsonl" && matches!(ruin, Ruin::Bytes(_) | Ruin::Nothing | Ruin::Sparse);
    is_record && reader.name != "inspect --curves"
}

#[test]
#[ignore = "long: make test-hostile"]
fn runs_that_are_none() {
    let here = Fixture::new("runs");
    let mut findings = Findings::new("ruined run folders");
    let run = here.folder.path("ruined");
    let readers = run_readers(&here, &run);
    let expected = expect_sound(&readers, &mut findings, || copy_tree(&here.run(), &run));
    for file in ["last.safetensors", "best.safetensors", "config.toml", "metrics.jsonl"] {
        let sound = std::fs::read(here.run().join(file)).unwrap();
        let special = match file.ends_with(".safetensors") {
            true => checkpoints(),
            false => texts(&String::from_utf8_lossy(&sound)),
        };
        for (case, ruin) in common(&sound).into_iter().chain(special) {
            for (reader, expected) in readers.iter().zip(&expected) {
                copy_tree(&here.run(), &run);
                ruin.put(&run.join(file));
                let (ran, made) = reader.read();
                let fault =
                    ran.death().or_else(|| judge(&ran, must_work(file, &ruin, reader), &made, expected));
                findings.note(fault.map(|fault| format!("{} with {case} as {file}: {fault}", reader.name)));
                findings.check(!ran.says("\u{1b}"), || {
                    format!("{} with {case} as {file} prints escape codes", reader.name)
                });
            }
        }
    }
    findings.conclude();
}

/// What is wrong with a call that ended by itself.
fn judge(ran: &super::harness::Ran, must_work: bool, made: &Tree, expected: &Tree) -> Option<String> {
    if must_work && !ran.is_done() {
        return Some(format!("stopped by a record: {}", ran.ending()));
    }
    let difference = describe_difference(made, expected).filter(|_| ran.is_done() && must_work);
    difference.map(|difference| format!("done, with {difference}"))
}
