//! Damage in the files of a run: every flipped bit of a checkpoint or config is found, and a damaged record stops no run.

use std::path::Path;

use jepa3d_schemas::Draws;

use super::harness::{VIEWS, finish, jepa3d, prepare_small, text};
use super::pretrain::{Place, last, record};

/// Damages one bit of a file in each of several ways, and gives it its bytes back.
fn flip_bits(path: &Path, count: usize, mut found: impl FnMut(usize)) {
    let whole = std::fs::read(path).unwrap();
    let mut draws = Draws::new(7, text(path.file_name().unwrap().as_ref()), "flips");
    for _ in 0..count {
        // Half of them in the first bytes: the header, if there is one.
        let bytes = if draws.chance(0.5) { whole.len().min(4000) } else { whole.len() };
        let bit = draws.index(8 * bytes);
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(path, &damaged).unwrap();
        found(bit);
    }
    std::fs::write(path, whole).unwrap();
}

#[test]
fn every_reader_finds_a_damaged_bit_of_a_checkpoint_or_config() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=8"]).expect(0);
    let (run, data) = (place.path("run"), place.path("data"));
    let [features, sheet, other] =
        ["f.parquet", "s.png", "o.ckpt"].map(|name| text(&place.path(name)).to_owned());
    let (run_text, data, checkpoint) = (text(&run), text(&data), run.join("last.safetensors"));
    let embed = ["embed", run_text, "--data", data, "--out", &features];
    let probe = ["probe", run_text, "--data", data, "--light", "--labels", "1", "--no-random"];
    let inspect = ["inspect", run_text, "--data", data, "--contact-sheet", &sheet];
    let convert = ["convert", text(&checkpoint), "--to", &other];
    let refused = |args: &[&str], file: &str, bit: usize| {
        let run = jepa3d(args).expect(2);
        assert!(run.stderr.contains(file), "bit {bit}: {args:?}: {}", run.stderr);
    };
    flip_bits(&checkpoint, 8, |bit| {
        for args in [&embed[..], &probe, &inspect, &convert] {
            refused(args, "last.safetensors: ", bit);
        }
        let resumed = place.pretrain("run", &["--resume"]).expect(2);
        assert!(resumed.stderr.contains("last.safetensors: "), "bit {bit}: {}", resumed.stderr);
    });
    flip_bits(&run.join("config.toml"), 8, |bit| {
        for args in [&embed[..], &probe, &inspect] {
            refused(args, "config.toml", bit);
        }
    });
    for path in [&features, &sheet, &other] {
        assert!(!Path::new(path).exists(), "{path}");
    }
    jepa3d(&embed).expect(0);
    // Another run's config, whole as it is, is not this one's.
    place.pretrain("other", &["--set", "run.stop_after=2", "--set", "data.group_size=4"]).expect(0);
    std::fs::copy(place.path("other/config.toml"), run.join("config.toml")).unwrap();
    let says = jepa3d(&embed).expect(2).stderr;
    assert!(
        says.contains("config.toml: expected the config that ") && says.contains("data.group_size"),
        "{says}"
    );
    // A checkpoint knows its config where none lies beside it.
    std::fs::remove_file(run.join("config.toml")).unwrap();
    jepa3d(&embed).expect(0);
}

#[test]
fn a_damaged_shard_is_not_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    prepare_small(&out, &VIEWS).expect(0);
    let sheet = dir.path().join("s.png");
    for folder in ["points", "views"] {
        // All samples are drawn, so that every shard is looked at.
        let shard = super::harness::files_below(&out.join(folder))[3].clone();
        let name = shard.file_name().unwrap().to_str().unwrap().to_owned();
        flip_bits(&shard, 20, |bit| {
            let args = ["inspect", text(&out), "--limit", "60", "--contact-sheet", text(&sheet)];
            let says = jepa3d(&args).expect(2).stderr;
            assert!(says.contains(&format!("{folder}/{name}: content hash: expected ")), "bit {bit}: {says}");
        });
    }
    assert!(!sheet.exists());
}

#[test]
fn a_damaged_record_stops_no_run() {
    let place = Place::new();
    place.pretrain("straight", &[]).expect(0);
    let out = place.path("run");
    finish(place.command(&out, &["--set", "run.stop_after=20"])).expect(0);
    let path = out.join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let whole = record(&out);
    lines[5] = format!("{}{}", &lines[5][..17], lines[6]);
    lines[8] = "\u{0}\u{1b}[2J\n".to_owned();
    lines.push(lines[12].clone());
    lines.push("{\"step\":".to_owned());
    let damaged = lines.concat();
    std::fs::write(&path, &damaged).unwrap();
    // Shown as far as it reads.
    let (curves, run) = (place.path("curves.png"), super::harness::text(&out).to_owned());
    let shown = jepa3d(&["inspect", &run, "--curves", super::harness::text(&curves)]).expect(0);
    assert!(shown.stderr.contains("metrics.jsonl: 2 lines cannot be read (6, 9)"), "{}", shown.stderr);
    std::fs::write(out.join("config.toml"), "preset = \"po").unwrap();
    let resumed = finish(place.command(&out, &["--resume"])).expect(0);
    let says = &resumed.stderr;
    assert!(
        says.contains("2 lines cannot be read (6, 9), 1 line of a step that was there before ("),
        "{says}"
    );
    assert!(says.contains("metrics.damaged-1.jsonl") && says.contains("config.damaged-1.toml"), "{says}");
    assert_eq!(std::fs::read_to_string(out.join("metrics.damaged-1.jsonl")).unwrap(), damaged);
    assert!(last(&out) == last(&place.path("straight")), "other bytes in last.safetensors");
    let kept = record(&out);
    assert_eq!(kept.len(), record(&place.path("straight")).len() - 2);
    assert!(!kept.contains(&whole[5]) && !kept.contains(&whole[8]) && kept.contains(&whole[6]));
}

#[test]
fn a_checkpoint_that_says_nothing_of_itself_is_read_as_a_preset() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=3"]).expect(0);
    let (run, data) = (place.path("run"), place.path("data"));
    let (foreign, config) = (place.path("weights/foreign.safetensors"), place.path("tiny.toml"));
    super::harness::write(&foreign, without_metadata(&last(&run)));
    std::fs::write(&config, place.pretrain("none", &["--dry-run"]).expect(0).stdout).unwrap();
    let features = |name: &str| place.path(name);
    let embed = |from: &Path, out: &str, more: &[&str]| {
        let out = features(out);
        jepa3d(&[&["embed", text(from), "--data", text(&data), "--out", text(&out)], more].concat())
    };
    let refused = embed(&foreign, "a.parquet", &[]).expect(2).stderr;
    assert!(refused.contains("foreign.safetensors: ") && refused.contains("--preset NAME"), "{refused}");
    let unknown = embed(&foreign, "a.parquet", &["--preset", "point-jepaa"]).expect(2).stderr;
    assert!(unknown.contains("near: point-jepa"), "{unknown}");
    let misfit = embed(&foreign, "a.parquet", &["--preset", "point-jepa"]).expect(2).stderr;
    assert!(misfit.contains("does not fit the model"), "{misfit}");
    let read = embed(&foreign, "a.parquet", &["--preset", text(&config)]).expect(0).stderr;
    assert!(read.contains("foreign.safetensors: carries no hash"), "{read}");
    let own = embed(&run, "b.parquet", &["--preset", text(&config)]).expect(0).stderr;
    assert!(own.contains("--preset is not used"), "{own}");
    let [a, b] =
        ["a.parquet", "b.parquet"].map(|name| jepa3d_schemas::read_features(&features(name)).unwrap().0);
    assert!(a == b, "the same features");
    let probe = ["probe", text(&foreign), "--data", text(&data), "--light", "--labels", "1", "--no-random"];
    jepa3d(&[&probe[..], &["--preset", text(&config)]].concat()).expect(0);
}

/// A safetensors file as another tool would write it.
fn without_metadata(file: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&file[8..8 + length]).unwrap();
    header.remove("__metadata__").unwrap();
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &file[8 + length..]].concat()
}
