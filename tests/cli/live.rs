//! `pretrain --rerun`: a recording beside a run that it leaves no trace in; continued, refused, on a full disk.

use super::harness::text;
use super::output_folder::SmallDisk;
use super::pretrain::{Place, assert_same};

#[test]
fn a_recorded_run_has_the_same_bytes_and_every_recording_is_kept() {
    let place = Place::new();
    place.pretrain("plain", &[]).expect(0);
    let file = place.path("run.rrd");
    let save = format!("save={}", text(&file));
    let record = ["--resume", "--rerun", &save, "--rerun-every", "10"];
    let begun = place.pretrain("run", &[&record[..], &["--set", "run.stop_after=30"]].concat()).expect(0);
    assert!(begun.stderr.contains(&format!("recorded: {}", text(&file))), "{}", begun.stderr);
    let first = std::fs::read(&file).unwrap();
    place.pretrain("run", &record).expect(0);
    assert_same(&place.path("run"), &place.path("plain"));
    assert!(std::fs::read(&file).unwrap() == first, "the earlier recording is kept");
    assert!(place.path("run-2.rrd").metadata().unwrap().len() > 1000);
    for (to, expected) in [
        ("file.rrd", "expected save=F.rrd, serve, connect"),
        ("connect=127.0.0.1:1", "a viewer that listens"),
    ] {
        let refused = place.pretrain("other", &["--rerun", to]).expect(2);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_run() {
    let place = Place::new();
    let at = place.path("disk");
    let Some(_disk) = SmallDisk::mount(&at) else {
        eprintln!("skipped: no right to mount a small file system");
        return;
    };
    std::fs::write(at.join("others"), vec![1; 1_900_000]).unwrap();
    let save = format!("save={}", text(&at.join("run.rrd")));
    place.pretrain("plain", &[]).expect(0);
    let run = place.pretrain("run", &["--rerun", &save, "--rerun-every", "1"]).expect(0);
    assert!(run.stderr.contains("the recording is not whole"), "{}", run.stderr);
    assert_same(&place.path("run"), &place.path("plain"));
}
