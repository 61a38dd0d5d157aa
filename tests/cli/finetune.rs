//! `finetune` with the real binary: a run, a scratch, few labels; stopped and continued to the same bytes; reports; episodes.

use std::path::Path;

use super::harness::{Run, jepa3d, text};
use super::pretrain::Place;

/// Sizes that a tiny set serves.
const TINY: [&str; 6] = [
    "run.epochs=2",
    "length.min_steps=0",
    "head.hidden=8",
    "labels.select_every=1",
    "labels.selection=0.5",
    "optim.batch=8",
];

fn finetune(place: &Place, out: &Path, args: &[&str]) -> Run {
    let (data, run) = (place.path("data"), place.path("run"));
    let mut all = vec!["finetune", "modelnet40-small", "--data", text(&data), "--out", text(out)];
    if !args.contains(&"--from") {
        all.extend(["--from", text(&run)]);
    }
    TINY.iter().for_each(|set| all.extend(["--set", set]));
    jepa3d(&[&all, args].concat())
}

#[test]
fn a_pretrained_encoder_is_tuned_in_one_piece_or_two() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let whole = finetune(&place, &place.path("whole"), &["--json"]).expect(0).json();
    let result = &whole["runs"][0];
    let counts = result["last"]["confusion"]["counts"].as_array().unwrap();
    let judged: u64 =
        counts.iter().flat_map(|row| row.as_array().unwrap()).map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(result["n_evaluation"], judged);
    assert_eq!(result["vote"]["looks"].as_array().unwrap().len(), 10);
    let stopped = finetune(&place, &place.path("two"), &["--set", "run.stop_after=2"]).expect(0).stderr;
    assert!(stopped.contains("stopped; the same command with --resume continues"), "{stopped}");
    let refused = finetune(&place, &place.path("two"), &[]).expect(2).stderr;
    assert!(refused.contains("--resume continues it"), "{refused}");
    finetune(&place, &place.path("two"), &["--resume"]).expect(0);
    for file in ["last.safetensors", "best.safetensors", "result.json"] {
        let read = |out: &str| std::fs::read(place.path(out).join(file)).unwrap();
        assert!(read("whole") == read("two"), "{file}");
    }
    let page = std::fs::read_to_string(place.path("whole").join("report.html")).unwrap();
    assert!(page.contains("Which class was taken for which"));
    // A recording leaves no trace in the run.
    let seen = format!("save={}", text(&place.path("seen.rrd")));
    finetune(&place, &place.path("seen"), &["--rerun", &seen, "--rerun-every", "1"]).expect(0);
    let read = |out: &str| std::fs::read(place.path(out).join("last.safetensors")).unwrap();
    assert!(read("whole") == read("seen"));
    assert!(std::fs::metadata(place.path("seen.rrd")).unwrap().len() > 1000);
    // A folder that holds another kind of run is refused, and stays as it is.
    let config = || std::fs::read(place.path("run/config.toml")).unwrap();
    let before = config();
    let refused = finetune(&place, &place.path("run"), &["--resume"]).expect(2).stderr;
    assert!(refused.contains("expected the state of jepa3d.finetune, found jepa3d"), "{refused}");
    assert!(config() == before);
    // What a fine-tuning run leaves is no encoder to begin with, and says so.
    let tuned = place.path("whole");
    let refused = finetune(&place, &place.path("other"), &["--from", text(&tuned)]).expect(2).stderr;
    assert!(refused.contains("expected the checkpoint of a pretraining run"), "{refused}");
}

#[test]
fn seeds_and_budgets_are_printed_with_what_they_are() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=1"]).expect(0);
    let said = finetune(&place, &place.path("few"), &["--labels", "1", "--seeds", "1,2"]).expect(0).stdout;
    assert!(said.contains("(labels: 1); nothing selected"), "{said}");
    assert!(said.contains("over 2 seeds"), "{said}");
    assert!(place.path("few/seed-2/result.json").exists());
    let refused = finetune(&place, &place.path("none"), &["--labels", "none"]).expect(2).stderr;
    assert!(refused.contains("expected \"all\", a share like \"5%\""), "{refused}");
    let refused = finetune(&place, &place.path("none"), &["--test-split", "absent"]).expect(2).stderr;
    assert!(refused.contains("expected one of"), "{refused}");
}
