//! What a command may do with a damaged file: refuse it by name, or make the very bytes that it makes of a sound one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::{Tree, describe_difference, read_timeless, remove, text};
use super::findings::Findings;
use super::fixture::{Fixture, embed_args, pretrain_args, probe_args, sheet_args, strings, teacher_args};
use super::harness::{Ran, Random, jepa3d};

/// What is asked of a command that meets damage.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// It is there to find damage.
    Finds,
    /// It refuses, or makes what it makes of a sound file because it does not read this one or repairs it.
    RefusesOrRepeats,
    /// Damage in a mere record stops nothing: it works, says which file lost what, and goes on to the same; only what is drawn
    /// of the record lacks what was lost.
    WorksAndTells,
}

/// A command, and what it makes.
#[derive(Clone)]
pub(crate) struct Reader {
    pub name: &'static str,
    pub args: Vec<String>,
    /// A file or folder; what is printed counts as well where that holds no times.
    pub makes: Option<PathBuf>,
    pub rule: Rule,
    /// Whether `makes` was there before and is continued.
    pub continues: bool,
}

impl Reader {
    /// One that makes `makes` anew each time.
    pub(crate) fn new(name: &'static str, args: Vec<String>, makes: Option<&Path>) -> Self {
        let makes = makes.map(Path::to_owned);
        Self { name, args, makes, rule: Rule::RefusesOrRepeats, continues: false }
    }

    /// Runs the command; what it made.
    pub(crate) fn read(&self) -> (Ran, Tree) {
        if let Some(path) = self.makes.as_ref().filter(|_| !self.continues) {
            remove(path);
        }
        let ran = jepa3d(&self.args);
        let mut made = self.makes.as_ref().map_or_else(Tree::new, |path| read_timeless(path));
        if self.makes.is_none() {
            made.insert("what is printed".to_owned(), ran.stdout.clone().into_bytes());
        }
        (ran, made)
    }
}

/// How often what happened to one kind of file under one command.
#[derive(Default)]
pub(crate) struct Counts {
    tried: usize,
    named: usize,
    same: usize,
}

/// A table of counts by kind of file and command.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(String, &'static str), Counts>);

impl Tally {
    /// Judges a call on a damaged file; `file` must be named. `Some` is a fault.
    pub(crate) fn judge(
        &mut self,
        kind: &str,
        reader: &Reader,
        file: &str,
        outcome: (&Ran, &Tree, &Tree),
    ) -> Option<String> {
        let (ran, made, expected) = outcome;
        let counts = self.0.entry((kind.to_owned(), reader.name)).or_default();
        counts.tried += 1;
        let is_named = ran.says(file);
        let draws_record = reader.rule == Rule::WorksAndTells && !reader.continues && is_named;
        let difference = describe_difference(made, expected).filter(|_| !draws_record);
        let fault = match (ran.death(), ran.is_done()) {
            (Some(death), _) => death,
            (None, false) if !is_named => format!("refused without its name: {}", ran.ending()),
            (None, false) if reader.rule == Rule::WorksAndTells => format!("refused: {}", ran.ending()),
            (None, true) if reader.rule == Rule::Finds => "not found".to_owned(),
            (None, true) if difference.is_some() => {
                format!(
                    "done, with {}{}",
                    difference.unwrap_or_default(),
                    if is_named { " (told)" } else { "" }
                )
            }
            (None, true) if reader.rule == Rule::WorksAndTells && !is_named => "nothing told".to_owned(),
            (None, is_done) => {
                // What is done may print the name for other reasons.
                if is_done && reader.rule == Rule::RefusesOrRepeats {
                    counts.same += 1;
                } else {
                    counts.named += 1;
                }
                return None;
            }
        };
        Some(format!("{} on {file} ({kind}): {fault}", reader.name))
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<26} {:<24} {:>6} {:>6} {:>6} {:>6}",
            "file", "command", "tried", "named", "same", "faults"
        );
        for ((kind, reader), counts) in &self.0 {
            let Counts { tried, named, same } = counts;
            println!("{kind:<26} {reader:<24} {tried:>6} {named:>6} {same:>6} {:>6}", tried - named - same);
        }
    }
}

/// Every command that reads a prepared set, for the set at `set`.
pub(crate) fn set_readers(here: &Fixture, set: &Path) -> Vec<Reader> {
    let out = |name: &str| here.folder.path(name);
    let (sheet, features, two) = (out("sheet.png"), out("features.parquet"), set.join("teachers/two"));
    let mut readers = vec![
        Reader { rule: Rule::Finds, ..Reader::new("verify", strings(&["verify", text(set)]), None) },
        Reader::new("stats", strings(&["stats", text(set), "--json"]), None),
        Reader::new("inspect", sheet_args(set, &sheet), Some(&sheet)),
        Reader::new("embed", embed_args(&here.run(), set, &features), Some(&features)),
        Reader::new("probe", probe_args(&here.run(), set), None),
    ];
    for (name, preset) in [
        ("pretrain", "point-jepa-region-small"),
        ("pretrain (teacher)", "cross-jepa-small"),
        ("pretrain (views)", "cross-jepa-hybrid-small"),
    ] {
        let fresh = out("fresh");
        let args = pretrain_args(preset, set, &fresh, &["--set", "run.max_steps=4"]);
        readers.push(Reader::new(name, args, Some(&fresh)));
    }
    readers.push(Reader::new("teacher (new)", teacher_args(set, &["--name", "two"]), Some(&two)));
    readers
}

/// Every command that reads a run, for the run at `run`.
pub(crate) fn run_readers(here: &Fixture, run: &Path) -> Vec<Reader> {
    let out = |name: &str| here.folder.path(name);
    let (curves, masks, features) = (out("curves.png"), out("masks.png"), out("features.parquet"));
    let (last, best, set) = (run.join("last.safetensors"), run.join("best.safetensors"), here.set());
    let resume = pretrain_args("point-jepa-region-small", &set, run, &["--resume"]);
    let look = |flag: &str, out: &Path| {
        strings(&[
            "inspect",
            text(run),
            "--data",
            text(&set),
            "--limit",
            "1",
            "--draws",
            "1",
            flag,
            text(out),
        ])
    };
    vec![
        Reader { continues: true, ..Reader::new("pretrain --resume", resume, Some(&last)) },
        Reader::new("embed", embed_args(run, &set, &features), Some(&features)),
        Reader::new("embed (best)", embed_args(&best, &set, &features), Some(&features)),
        Reader::new("probe", probe_args(run, &set), None),
        Reader::new("inspect --curves", look("--curves", &curves), Some(&curves)),
        Reader::new("inspect (masks)", look("--contact-sheet", &masks), Some(&masks)),
    ]
}

/// Flips one bit of a file; half of the flips hit the last tenth, where Parquet has its footer.
pub(crate) fn flip_bit(path: &Path, random: &mut Random) {
    let mut bytes = std::fs::read(path).unwrap();
    let start = if random.below(2) == 0 { bytes.len() - bytes.len().div_ceil(10) } else { 0 };
    let at = start + random.below(bytes.len() - start);
    bytes[at] ^= 1 << random.below(8);
    std::fs::write(path, bytes).unwrap();
}

/// What every reader makes of the sound files.
pub(crate) fn expect_sound(
    readers: &[Reader],
    findings: &mut Findings,
    mut renew: impl FnMut(),
) -> Vec<Tree> {
    let read = |reader: &Reader| {
        renew();
        let (ran, made) = reader.read();
        findings.check(ran.is_done(), || format!("{} on sound files: {}", reader.name, ran.ending()));
        made
    };
    readers.iter().map(read).collect()
}
