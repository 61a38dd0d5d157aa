//! Manifests that someone else wrote: names that lead out of the set or to devices, numbers that cannot be, texts without end.
//! Every command must end soon, refuse or not care, and touch nothing outside.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::damage::{Reader, Rule, Tally, expect_sound, set_readers};
use super::files::{Tree, copy_tree, names_below, read_tree, remove, text, write};
use super::findings::Findings;
use super::fixture::{Fixture, prepare_args, strings, teacher_args};
use super::harness::{jepa3d, limited, soon};
use super::manifest_text::{quote, read_unsigned, replace_in_shard, replace_value};

/// The set, a folder beside it that nobody may touch, and the commands.
struct Stage {
    here: Fixture,
    set: PathBuf,
    outside: PathBuf,
    precious: Tree,
    readers: Vec<Reader>,
    expected: Vec<Tree>,
    findings: Findings,
    tally: Tally,
}

impl Stage {
    fn new(topic: &str, tables: &[&str]) -> Self {
        let here = Fixture::new("manifests");
        let (set, outside) = (here.copy("set", "hostile"), here.folder.path("outside"));
        for table in tables {
            copy_tree(&here.set().join(table), &outside.join(table));
        }
        write(&outside.join("precious.txt"), "nobody's business");
        symlink("/dev/zero", outside.join("zero")).unwrap();
        let mut readers = set_readers(&here, &set);
        let continued = Reader {
            continues: true,
            ..Reader::new("teacher", teacher_args(&set, &[]), Some(&set.join("teachers/hog")))
        };
        readers.push(continued);
        let mut findings = Findings::new(topic);
        let expected = expect_sound(&readers, &mut findings, || copy_tree(&here.set(), &set));
        let precious = read_tree(&outside);
        Self { here, set, outside, precious, readers, expected, findings, tally: Tally::default() }
    }

    /// The first shard of a table.
    fn shard(&self, table: &str) -> String {
        let names = names_below(&self.here.set());
        names.into_iter().find(|name| name.starts_with(&format!("{table}/train-00000"))).unwrap()
    }

    fn manifest(&self) -> PathBuf {
        self.set.join("manifest.json")
    }

    /// Every command on the set that `make` leaves, which starts from a sound copy: it must refuse and name `file`, or make
    /// what it makes of a sound set.
    fn face(&mut self, case: &str, file: &str, make: &dyn Fn(&Self)) {
        for (reader, expected) in self.readers.iter().zip(&self.expected) {
            copy_tree(&self.here.set(), &self.set);
            make(self);
            let (ran, made) = reader.read();
            self.findings.note(self.tally.judge(case, reader, file, (&ran, &made, expected)));
            self.findings
                .check(!ran.says("\u{1b}"), || format!("{} prints escape codes of {case}", reader.name));
        }
        self.prepare(case, make);
    }

    /// Every command on a set whose manifest is odd, but could be: it must end by itself.
    fn bear(&mut self, case: &str, must_find: bool, make: &dyn Fn(&Self)) {
        for reader in &self.readers {
            copy_tree(&self.here.set(), &self.set);
            make(self);
            let (ran, _) = reader.read();
            let is_missed = must_find && reader.rule == Rule::Finds && ran.is_done();
            let fault = ran.death().or_else(|| is_missed.then(|| "not found".to_owned()));
            self.findings.note(fault.map(|fault| format!("{} with {case}: {fault}", reader.name)));
            self.findings
                .check(!ran.says("\u{1b}"), || format!("{} prints escape codes of {case}", reader.name));
        }
        self.prepare(case, make);
    }

    /// Two preparations into the set: of other views, and the one that made it.
    fn prepare(&mut self, case: &str, make: &dyn Fn(&Self)) {
        for more in [&["--only", "views", "--set", "views.size=24"][..], &[]] {
            copy_tree(&self.here.set(), &self.set);
            make(self);
            let ran = jepa3d(&prepare_args(&self.here.data(), &self.set, more));
            let name = format!("prepare {} with {case}", more.first().unwrap_or(&""));
            self.findings.note(ran.death().map(|death| format!("{name}: {death}")));
            let verified = || jepa3d(&strings(&["verify", text(&self.set)]));
            self.findings.check(
                !ran.is_done() || !more.is_empty() || verified().is_done() || ran.says("complete already"),
                || format!("{name}: done, but verify says {}", verified().ending()),
            );
        }
        self.look_outside(case);
    }

    fn look_outside(&mut self, case: &str) {
        let found = read_tree(&self.outside);
        let is_linked = self.outside.join("zero").is_symlink();
        self.findings
            .check(found == self.precious && is_linked, || format!("files outside were changed by {case}"));
        for (name, bytes) in &self.precious {
            write(&self.outside.join(name), bytes);
        }
        remove(&self.outside.join("zero"));
        symlink("/dev/zero", self.outside.join("zero")).unwrap();
    }

    fn conclude(self) {
        self.tally.print();
        self.findings.conclude();
    }
}

fn make_fifo(path: &Path) {
    remove(path);
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo {}", path.display());
}

/// What stands in the place of the shard `file`: a name, and the preparation of the file that it leads to.
fn hostile_names(stage: &Stage, file: &str) -> Vec<(&'static str, String)> {
    let (table, name) = file.split_once('/').unwrap();
    let other = stage.shard(if table == "points" { "views" } else { "points" });
    vec![
        ("absolute path", text(&stage.outside.join(file)).to_owned()),
        ("path with ..", format!("../outside/{file}")),
        ("path with .. inside", format!("{table}/../../outside/{file}")),
        ("path with . inside", format!("{table}/./{name}")),
        ("path with two slashes", format!("{table}//{name}")),
        ("backslash", format!("{table}\\{name}")),
        // Never the device itself: a command that removes what a manifest names would remove it from the system.
        ("absolute link to a device", text(&stage.outside.join("zero")).to_owned()),
        ("named pipe", format!("{table}/pipe.parquet")),
        ("link to a device", format!("{table}/zero.parquet")),
        ("folder", table.to_owned()),
        ("empty name", String::new()),
        ("zero byte", format!("{table}/{name}\0")),
        ("escape codes", format!("{table}/\u{1b}]0;owned\u{7}.parquet")),
        ("shard of another table", other),
        ("the manifest itself", "manifest.json".to_owned()),
    ]
}

fn face_names(stage: &mut Stage, table: &str, json: &'static str) {
    let file = stage.shard(table);
    for (case, name) in hostile_names(stage, &file) {
        let make = |stage: &Stage| {
            let path = stage.set.join(json);
            let folder = stage.set.join(table);
            make_fifo(&folder.join("pipe.parquet"));
            symlink("/dev/zero", folder.join("zero.parquet")).unwrap();
            write(&path, replace_in_shard(&read_unsigned(&path), &file, "file", &quote(&name)));
        };
        stage.face(&format!("{table}: {case}"), json, &make);
    }
}

#[test]
#[ignore = "long: make test-hostile"]
fn names_of_points_lead_nowhere_else() {
    let mut stage = Stage::new("hostile names of points", &["points", "views"]);
    face_names(&mut stage, "points", "manifest.json");
    stage.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn names_of_views_lead_nowhere_else() {
    let mut stage = Stage::new("hostile names of views", &["points", "views"]);
    face_names(&mut stage, "views", "manifest.json");
    stage.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn names_of_embeddings_lead_nowhere_else() {
    let mut stage = Stage::new("hostile names of embeddings", &["teachers/hog"]);
    face_names(&mut stage, "teachers/hog", "teachers/hog/teacher.json");
    stage.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn numbers_and_types_that_cannot_be() {
    let mut stage = Stage::new("hostile numbers", &["points"]);
    let [points, views] = ["points", "views"].map(|table| stage.shard(table));
    for shard in [&points, &views] {
        for (key, value) in wrong_values() {
            let make = |stage: &Stage| {
                let text = read_unsigned(&stage.manifest());
                write(&stage.manifest(), replace_in_shard(&text, shard, key, value));
            };
            stage.bear(&format!("{shard}: {key} = {value}"), true, &make);
        }
    }
    let keys = [
        "schema_version",
        "up_axis",
        "dataset",
        "fingerprint",
        "S",
        "R",
        "N",
        "G",
        "K",
        "V",
        "H",
        "W",
        "written",
    ];
    for key in keys {
        for value in ["-1", "1000000000000000", "{}", "\"\\u001b[2J\""] {
            let make = |stage: &Stage| {
                write(&stage.manifest(), replace_value(&read_unsigned(&stage.manifest()), key, value));
            };
            stage.bear(&format!("{key} = {value}"), false, &make);
        }
    }
    stage.conclude();
}

/// What no entry of a shard can say of the files of the fixture.
fn wrong_values() -> Vec<(&'static str, &'static str)> {
    let numbers = ["-1", "1000000000000000000", "1.5", "\"12\"", "null", "0"];
    let numbers = ["rows", "bytes"].into_iter().flat_map(|key| numbers.map(|value| (key, value)));
    let texts = [("hash", "\"\""), ("hash", "7"), ("split", "\"\\u001b[2J\""), ("split", "null")];
    numbers.chain(texts).collect()
}

/// Texts in the place of the manifest.
fn hostile_texts(sound: &str) -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| open.repeat(200_000) + &close.repeat(200_000);
    let with_config = |value: &str| {
        let (start, rest) = sound.split_once("\"config\": {").unwrap();
        format!("{start}\"config\": {value}, \"more\": {{{rest}").into_bytes()
    };
    vec![
        ("nothing", Vec::new()),
        ("half of it", sound.as_bytes()[..sound.len() / 2].to_vec()),
        ("a list", b"[]".to_vec()),
        ("a number", b"1e999".to_vec()),
        ("bytes that are no text", vec![0xff; 4096]),
        ("UTF-16", sound.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("lists in lists", deep("[", "]").into_bytes()),
        ("lists in lists inside", with_config(&deep("[", "]"))),
        ("objects in objects inside", with_config(&deep("{\"a\":", "}").replacen(":}", ":0}", 1))),
        ("100 MB of text inside", with_config(&format!("\"{}\"", "a".repeat(100_000_000)))),
        ("100 MB of brackets", vec![b'['; 100_000_000]),
    ]
}

#[test]
#[ignore = "long: make test-hostile"]
fn texts_that_are_no_manifest() {
    let mut stage = Stage::new("hostile texts", &["points"]);
    let sound = read_unsigned(&stage.manifest());
    for (case, bytes) in hostile_texts(&sound) {
        stage.face(case, "manifest.json", &|stage| write(&stage.manifest(), &bytes));
    }
    // The last of two counts, as in any JSON; the sound one comes last.
    let twice = sound.replacen("\"shards\": [", "\"shards\": [], \"shards\": [", 1);
    stage.bear("a key twice", false, &|stage| write(&stage.manifest(), &twice));
    stage.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn tables_that_are_no_files() {
    let mut stage = Stage::new("tables that are no regular files", &["points"]);
    let names =
        ["manifest.json", "catalog.parquet", "config.toml", "quarantine.jsonl", "teachers/hog/teacher.json"];
    let [points, views] = ["points", "views"].map(|table| stage.shard(table));
    for name in names.into_iter().chain([points.as_str(), views.as_str()]) {
        stage.face(&format!("a named pipe as {name}"), name, &|stage| make_fifo(&stage.set.join(name)));
        stage.face(&format!("a link to /dev/zero as {name}"), name, &|stage| {
            remove(&stage.set.join(name));
            symlink("/dev/zero", stage.set.join(name)).unwrap();
        });
        stage.face(&format!("a folder as {name}"), name, &|stage| {
            remove(&stage.set.join(name));
            std::fs::create_dir(stage.set.join(name)).unwrap();
        });
    }
    stage.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_manifest_of_three_gigabytes_is_no_abort() {
    let here = Fixture::new("huge");
    let mut findings = Findings::new("a sparse file of 3 GB in the place of a table");
    for name in ["manifest.json", "catalog.parquet", "quarantine.jsonl", "teachers/hog/teacher.json"] {
        let set = here.copy("set", "hostile");
        std::fs::File::options().write(true).open(set.join(name)).unwrap().set_len(3 << 30).unwrap();
        for reader in set_readers(&here, &set)
            .into_iter()
            .filter(|reader| reader.rule == Rule::Finds || reader.name == "stats")
        {
            let ran = limited("ulimit -v 2097152", &reader.args, soon());
            let fault = ran.death().or_else(|| (!ran.says(name) && !ran.is_done()).then(|| ran.ending()));
            findings.note(fault.map(|fault| format!("{} on {name}: {fault}", reader.name)));
        }
    }
    findings.conclude();
}
