//! Disks that run full under what follows pretraining: the file is named, what was written stays, and the same command goes on.

use std::path::{Path, PathBuf};

use super::harness::{Run, files_below, jepa3d, text, write};
use super::output_folder::SmallDisk;
use super::pretrain::Place;

/// Bytes of the disk of [`SmallDisk`].
const SIZE: u64 = 2 << 20;

/// Takes all room but some; what is written there is the only thing to be removed for the rest to fit.
fn fill(at: &Path, spare: u64) -> PathBuf {
    let page = |bytes: u64| bytes.div_ceil(4096) * 4096;
    let used: u64 = files_below(at).iter().map(|path| page(path.metadata().unwrap().len())).sum();
    let filler = at.join("filler");
    write(&filler, vec![0; (SIZE - used - page(spare)) as usize]);
    filler
}

fn assert_full(run: &Run, out: &Path) {
    assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
    assert!(run.stderr.contains(text(out)), "names the file: {}", run.stderr);
    let left = files_below(out);
    assert!(left.iter().all(|path| !text(path).ends_with(".tmp")), "{left:?}");
}

/// `verb` with tiny sizes, into a folder.
fn tune(place: &Place, verb: &[&str], out: &Path, args: &[&str]) -> Run {
    let (run, data) = (place.path("run"), place.path("data"));
    let mut all = [verb, &["--from", text(&run), "--data", text(&data), "--out", text(out)]].concat();
    let sets = ["run.epochs=2", "length.min_steps=0", "head.hidden=8", "segment.upsampling=8"];
    let more = ["optim.batch=8", "labels.selection=0.5", "run.checkpoint_every=1", "votes.looks=2"];
    sets.iter().chain(&more).for_each(|set| all.extend(["--set", set]));
    jepa3d(&[&all[..], args].concat())
}

#[test]
fn runs_that_follow_pretraining_keep_their_checkpoint_and_go_on() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=1"]).expect(0);
    for verb in [["finetune", "modelnet40-small"], ["segment", "parts-small"]] {
        let at = place.path(verb[0]);
        let Some(disk) = SmallDisk::mount(&at) else {
            eprintln!("skipped: no right to mount a small file system");
            return;
        };
        let (out, straight) = (at.join("run"), place.path(&format!("straight-{}", verb[0])));
        tune(&place, &verb, &straight, &[]).expect(0);
        tune(&place, &verb, &out, &["--set", "run.stop_after=2"]).expect(0);
        let last = || std::fs::read(out.join("last.safetensors")).unwrap();
        let kept = last();
        // Room for some lines of the record, not for another checkpoint.
        let filler = fill(&at, kept.len() as u64 / 2);
        let full = tune(&place, &verb, &out, &["--resume"]).expect(2);
        assert_full(&full, &out);
        let says = format!("the same command with --resume continues {}", out.display());
        assert!(full.stderr.contains(&says), "{}", full.stderr);
        assert!(last() == kept);
        std::fs::remove_file(filler).unwrap();
        disk.enlarge();
        tune(&place, &verb, &out, &["--resume"]).expect(0);
        for file in ["last.safetensors", "best.safetensors", "result.json"] {
            let read = |out: &Path| std::fs::read(out.join(file)).unwrap();
            assert!(read(&out) == read(&straight), "{}: {file}", verb[0]);
        }
    }
}

#[test]
fn reports_that_do_not_fit_leave_the_one_that_is_there() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=1"]).expect(0);
    let at = place.path("disk");
    let Some(_disk) = SmallDisk::mount(&at) else {
        eprintln!("skipped: no right to mount a small file system");
        return;
    };
    let (run, data) = (place.path("run"), place.path("data"));
    let few = ["fewshot", "--ways", "2", "--shots", "1", "--queries", "1", "--folds", "1"];
    let rough = ["robustness", "--corruptions", "jitter", "--severities", "1"];
    for verb in [&["retrieve", "--queries", "1"][..], &rough, &few] {
        let out = at.join(verb[0]);
        let report = || {
            let common = ["--data", text(&data), "--out", text(&out), text(&run)];
            jepa3d(&[verb, &common].concat())
        };
        let read = || files_below(&out).iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
        report().expect(0);
        let whole = read();
        let filler = fill(&at, 0);
        assert_full(&report().expect(2), &out);
        assert!(read() == whole, "{}", verb[0]);
        std::fs::remove_file(filler).unwrap();
        report().expect(0);
        assert!(read() == whole, "{}", verb[0]);
    }
}
