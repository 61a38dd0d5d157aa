//! Odd things in the data folder and on the command line: pipes, devices, sockets, links in circles, names that are no text
//! or would steer a terminal, folders that may not be read, hundreds of threads.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::files::{Folder, remove, text, write};
use super::findings::Findings;
use super::fixture::{
    Fixture, embed_args, prepare_args, pretrain_args, probe_args, solid, strings, teacher_args,
};
use super::harness::{Ran, Running, binary, jepa3d, soon};

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success()));
}

fn sound(folder: &Path, count: usize) {
    (0..count).for_each(|i| write(&folder.join(format!("sound{i}.off")), solid(1, i)));
}

/// Objects that were written and that were quarantined, as the manifest counts them.
fn counts(out: &Path) -> (usize, usize) {
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap_or_default();
    let sum = |key: &str| {
        let marker = format!("\"{key}\": ");
        let values = manifest.split(&marker).skip(1);
        values.filter_map(|rest| rest.split([',', '\n']).next()?.trim().parse::<usize>().ok()).sum()
    };
    (sum("written"), sum("quarantined"))
}

/// Prepares `data`, where `sounds` objects are sound; all of them must be written.
fn survive(folder: &Folder, sounds: usize, findings: &mut Findings, case: &str) -> Ran {
    let out = folder.path("out");
    remove(&out);
    let ran = jepa3d(&prepare_args(&folder.path("data"), &out, &["-v"]));
    findings.note(ran.death().map(|death| format!("{case}: {death}")));
    let written = counts(&out).0;
    findings.check(written >= sounds, || {
        format!("{case}: {written} of {sounds} sound objects written: {}", ran.ending())
    });
    findings.check(!ran.says("\u{1b}"), || format!("{case}: prints escape codes"));
    ran
}

/// Something odd under a name, and whether it must be told of.
type Oddity = (&'static str, &'static str, fn(&Path));

const ODDITIES: [Oddity; 9] = [
    ("a named pipe", "odd.off", make_fifo),
    ("a named pipe for ever written", "odd.ply", |path| {
        make_fifo(path);
        // Holds it open, so that a reader would wait for bytes.
        let path = path.to_owned();
        std::thread::spawn(move || {
            std::fs::File::options().read(true).write(true).open(path).map(std::mem::forget)
        });
    }),
    ("a socket", "odd.stl", |path| std::mem::forget(UnixListener::bind(path))),
    ("a link to an endless device", "odd.off", |path| symlink("/dev/zero", path).unwrap()),
    ("a link to a terminal", "odd.xyz", |path| symlink("/dev/tty", path).unwrap()),
    ("a link to nothing", "odd.obj", |path| symlink("nowhere.obj", path).unwrap()),
    ("a link to itself", "odd.pcd", |path| symlink("odd.pcd", path).unwrap()),
    ("a folder", "odd.npy", |path| std::fs::create_dir(path).unwrap()),
    ("a link to its own folder", "odd", |path| symlink(".", path).unwrap()),
];

#[test]
#[ignore = "long: make test-hostile"]
fn what_is_no_regular_file_is_quarantined() {
    let folder = Folder::new("inputs");
    let mut findings = Findings::new("no regular files in the data folder");
    for (case, name, make) in ODDITIES {
        for place in ["things/train", "things", "", "odd/train"] {
            let data = folder.path("data");
            remove(&data);
            sound(&data.join("things/train"), 3);
            std::fs::create_dir_all(data.join(place)).unwrap();
            make(&data.join(place).join(name));
            let case = format!("{case} in data/{place}");
            let ran = survive(&folder, 3, &mut findings, &case);
            let quarantine = std::fs::read_to_string(folder.path("out/quarantine.jsonl")).unwrap_or_default();
            // Folders, and links to folders, are no files to be told of.
            let is_told = ["odd", "odd.npy"].contains(&name) || ran.says("odd") || quarantine.contains("odd");
            findings.check(is_told, || format!("{case}: nothing is told of it"));
        }
    }
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn companions_that_are_no_regular_files_are_warned_of() {
    let folder = Folder::new("inputs");
    let mut findings = Findings::new("companions that are no regular files");
    for (case, _, make) in ODDITIES {
        for companion in ["odd.mtl", "odd.png", "odd.bin"] {
            let data = folder.path("data");
            remove(&data);
            sound(&data.join("things/train"), 3);
            let here = data.join("things/train");
            let obj = "mtllib odd.mtl\nmtllib good.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n";
            write(&here.join("thing.obj"), obj);
            write(&here.join("good.mtl"), "newmtl m\nKd 1 0 0\nmap_Kd odd.png\n");
            let gltf =
                "{\"asset\":{\"version\":\"2.0\"},\"buffers\":[{\"byteLength\":36,\"uri\":\"odd.bin\"}]}";
            write(&here.join("thing.gltf"), gltf);
            make(&here.join(companion));
            survive(&folder, 3, &mut findings, &format!("{case} as {companion}"));
        }
    }
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn names_that_are_no_text_lose_nothing() {
    let folder = Folder::new("inputs");
    let mut findings = Findings::new("names that are not UTF-8");
    let data = folder.path("data");
    sound(&data.join("things/train"), 2);
    let names: [&[u8]; 4] = [b"caf\xe9.off", b"caf\xe8.off", b"\xff\xfe.off", b"broken\x80.off"];
    for (i, name) in names.into_iter().enumerate() {
        let bytes = if i == 3 { "nothing".to_owned() } else { solid(0, i) };
        write(&data.join("things/train").join(OsStr::from_bytes(name)), bytes);
    }
    write(&data.join(OsStr::from_bytes(b"cl\xe4ss/train/one.off")), solid(1, 7));
    let ran = survive(&folder, 2, &mut findings, "names that are not UTF-8");
    let (written, quarantined) = counts(&folder.path("out"));
    findings.check(written + quarantined == 7, || {
        format!("7 files, {written} written, {quarantined} quarantined: {}", ran.ending())
    });
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn names_do_not_steer_the_terminal() {
    let folder = Folder::new("inputs");
    let mut findings = Findings::new("escape codes in names and keys");
    let (data, out) = (folder.path("data"), folder.path("out"));
    let name = "a\u{1b}]0;owned\u{7}\u{9b}2Jb\r\n";
    sound(&data.join("things/train"), 2);
    write(&data.join(format!("things/train/{name}.off")), solid(0, 9));
    write(&data.join(format!("things/train/{name}broken.off")), "nothing");
    write(&data.join(format!("{name}/train/one.off")), solid(1, 3));
    let prepared = survive(&folder, 2, &mut findings, "escape codes in names");
    let (sheet, missing) = (folder.path("sheet.png"), folder.path(name));
    let calls = [
        vec!["verify", text(&out)],
        vec!["stats", text(&out)],
        vec!["inspect", text(&out), "--sample", name, "--contact-sheet", text(&sheet)],
        vec!["inspect", text(&out), "--contact-sheet", text(&missing)],
        vec!["verify", text(&missing)],
        vec!["prepare", name, "--out", text(&missing)],
        vec!["prepare", "synthetic", "--out", text(&out), "--set", "a\u{1b}[2J.b=1"],
        vec!["prepare", "synthetic", "--out", text(&out), "--set", "dataset.count=\"\u{1b}[2J\""],
        vec!["pretrain", "point-jepa-small", "--data", text(&missing), "--out", text(&missing)],
        vec!["embed", text(&missing), "--data", text(&out), "--out", text(&sheet)],
    ];
    let ran = calls.iter().map(|args| (format!("{args:?}"), jepa3d(&strings(args))));
    for (case, ran) in [("prepare".to_owned(), prepared)].into_iter().chain(ran) {
        findings.note(ran.death().map(|death| format!("{case}: {death}")));
        let is_raw = ['\u{1b}', '\u{7}', '\u{9b}', '\r'].iter().any(|code| ran.says(&code.to_string()));
        findings.check(!is_raw, || format!("{case}: prints control codes"));
    }
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn a_folder_that_may_not_be_read_costs_only_itself() {
    let folder = Folder::new("inputs");
    let mut findings = Findings::new("a folder without rights");
    let data = folder.path("data");
    sound(&data.join("things/train"), 3);
    sound(&data.join("closed/train"), 2);
    let set_mode = |name: &str, mode| {
        std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("data/closed", 0o000);
    // Rights do not bind root, unless it gives up its own.
    let mut call = Command::new("setpriv");
    call.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(binary());
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut call = if is_root { call } else { Command::new(binary()) };
    call.args(prepare_args(&data, &folder.path("out"), &[]));
    let ran = Running::start(call).finish(soon());
    set_mode("data/closed", 0o755);
    let is_told = ran.says("closed") || ran.says("Permission denied");
    findings.note(ran.death());
    findings.check(is_told, || format!("nothing is told of the folder: {}", ran.ending()));
    let written = counts(&folder.path("out")).0;
    findings.check(written == 3, || format!("{written} of 3 sound objects written: {}", ran.ending()));
    findings.conclude();
}

#[test]
#[ignore = "long: make test-hostile"]
fn hundreds_of_threads_are_bounded() {
    let here = Fixture::new("threads");
    let mut findings = Findings::new("hundreds of threads");
    let set = here.set();
    for threads in ["0", "500", "100000", "18446744073709551615", "-1"] {
        let out = |name: &str| here.folder.path(name);
        ["out", "fresh", "set/teachers/two"].iter().for_each(|name| remove(&here.folder.path(name)));
        let calls = [
            prepare_args(&here.data(), &out("out"), &[]),
            strings(&["verify", text(&set), "--threads", "1"]),
            teacher_args(&set, &["--name", "two"]),
            pretrain_args("point-jepa-region-small", &set, &out("fresh"), &[]),
            embed_args(&here.run(), &set, &out("features.parquet")),
            probe_args(&here.run(), &set),
        ];
        for mut args in calls {
            let place = args.iter().position(|arg| arg == "--threads").unwrap();
            threads.clone_into(&mut args[place + 1]);
            let begin = Instant::now();
            let ran = jepa3d(&args);
            let seconds = begin.elapsed().as_secs_f64();
            let case = format!("{} --threads {threads}", args[0]);
            findings.note(ran.death().map(|death| format!("{case}: {death}")));
            findings.check(seconds < 5.0, || format!("{case}: {seconds:.1} s"));
            let many = threads.len() > 2 && ran.is_done();
            findings.check(!many || ran.says("threads"), || format!("{case}: no word of the bound"));
        }
    }
    findings.conclude();
}
