//! Ablations: every plan that is built in, runs that are killed and go on to the same bytes, plans that do not serve.

use std::path::Path;
use std::time::Duration;

use super::harness::{
    Run, SMALL, VIEWS, command, files_below, finish, jepa3d, prepare_command, prepare_small, text, write,
};
use super::pretrain::{Place, TINY};

/// Two widths, two seeds.
pub(super) const PLAN: &str = r#"
name = "two widths"
base = "point-jepa-region-small"
seeds = [1, 2]
[probe]
labels = [1]
light = true
[grid]
"predictor.width" = [8, 16]
"#;

pub(super) fn ablate(place: &Place, plan: &str, out: &Path, args: &[&str]) -> std::process::Command {
    ablate_on(&place.path("data"), plan, out, args)
}

fn ablate_on(data: &Path, plan: &str, out: &Path, args: &[&str]) -> std::process::Command {
    let mut command = command(&["ablate", plan, "--threads", "2", "--data"]);
    command.arg(data).arg("--out").arg(out);
    let (width, rest): (Vec<&str>, Vec<&str>) =
        TINY.iter().partition(|set| set.starts_with("predictor.width"));
    assert_eq!(width.len(), 1);
    for set in rest.iter().chain(&["run.epochs=2", "optim.warmup_epochs=1", "monitor.probe_every=2"]) {
        command.args(["--set", set]);
    }
    command.args(args);
    command
}

/// Everything that must not depend on the pieces a run was made in.
pub(super) fn bytes(out: &Path) -> Vec<(String, Vec<u8>)> {
    let is_kept = |name: &str| {
        ["ablation.json", "result.json", "last.safetensors"].iter().any(|kept| name.ends_with(kept))
    };
    let files = files_below(out).into_iter();
    let named =
        files.map(|file| (text(file.strip_prefix(out).unwrap()).to_owned(), std::fs::read(&file).unwrap()));
    named.filter(|(name, _)| is_kept(name)).collect()
}

#[test]
fn a_killed_ablation_goes_on_to_the_same_bytes_and_another_plan_is_refused() {
    let place = Place::new();
    let plan = place.path("plan.toml");
    write(&plan, PLAN);
    let run =
        |out: &str, args: &[&str]| -> Run { finish(ablate(&place, text(&plan), &place.path(out), args)) };
    let straight = run("straight", &[]).expect(0);
    for line in
        ["random weights", "predictor.width=8 ", "predictor.width=16", "mean +- deviation over seeds 1, 2"]
    {
        assert!(straight.stdout.contains(line), "{line}: {}", straight.stdout);
    }
    let out = place.path("pieces");
    for millis in [150, 400, 700] {
        let mut child = ablate(&place, text(&plan), &out, &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let found = run("pieces", &["--json"]).expect(0).json();
    assert_eq!(found["lines"].as_array().unwrap().len(), 3);
    let want = bytes(&place.path("straight"));
    assert!(want.len() == 1 + 2 + 4 * 2, "{}", want.len());
    assert!(bytes(&out) == want, "other bytes");
    // What is there is not made again; damage is.
    let result = out.join("predictor.width=8/seed-1/result.json");
    write(&result, "{}");
    run("pieces", &[]).expect(0);
    assert!(bytes(&out) == want, "other bytes");
    write(&plan, PLAN.replace("seeds = [1, 2]", "seeds = [1]\nset = [\"optim.lr=3e-4\"]"));
    let refused = run("pieces", &[]).expect(2);
    assert!(refused.stderr.contains("optim.lr 0.0003 instead of 0.001"), "{}", refused.stderr);
}

#[test]
fn a_run_that_cannot_run_on_is_named_and_the_others_go_on() {
    let place = Place::new();
    let plan = place.path("plan.toml");
    let wild = "\n[[variants]]\nname = \"tame\"\n[[variants]]\nname = \"wild\"\nset = [\"optim.lr=1e30\", \"optim.clip=0\"]\n";
    write(&plan, PLAN.split("[grid]").next().unwrap().to_owned() + wild);
    let run =
        finish(ablate(&place, text(&plan), &place.path("out"), &["--set", "predictor.width=8"])).expect(1);
    assert!(run.stdout.contains("wild: seed 2 failed: "), "{}", run.stdout);
    let tame = run.stdout.lines().find(|line| line.starts_with("tame")).unwrap();
    assert!(tame.contains(" +- ") && !tame.contains('('), "{tame}");
}

#[test]
fn every_plan_is_valid_and_what_a_set_does_not_serve_is_named_before_anything_runs() {
    let place = Place::new();
    let dry = |plan: &str, sets: &[&str]| {
        finish(ablate(&place, plan, &place.path("out"), &[&["--dry-run"], sets].concat()))
    };
    let narrow = ["--set", "predictor.width=8"];
    for (plan, sets) in
        [("masking", &narrow[..]), ("predictor-width", &[]), ("target", &narrow), ("groupings", &narrow)]
    {
        let list = dry(plan, sets).expect(0).stdout;
        assert!(list.contains("seeds 1, 2, 3"), "{plan}: {list}");
    }
    // It names blocks by their depth, and one of its lines learns from views.
    let views = place.path("views");
    prepare_small(&views, &VIEWS).expect(0);
    jepa3d(&["teacher", text(&views), "--teacher", "hog", "--dim", "24"]).expect(0);
    let sets =
        ["--dry-run", "--set", "predictor.width=8", "--set", "model.depth=4", "--set", "teacher.width=24"];
    let carried = finish(ablate_on(&views, "jepa3d-s-recipe", &place.path("out"), &sets)).expect(0).stdout;
    assert!(carried.contains("11 runs, seeds 1"), "{carried}");
    let refused = dry("masking", &["--set", "data.groupings=3"]).expect(2).stderr;
    let expected = "variant \"region 65\": config: data.groupings: expected at most 2 stored groupings";
    assert!(refused.contains(expected), "{refused}");
    let run = jepa3d(&[
        "ablate",
        "teacher",
        "--data",
        text(&place.path("data")),
        "--out",
        text(&place.path("out")),
    ]);
    assert!(run.expect(2).stderr.contains("variant \"hog\""));
    assert!(!place.path("out").exists(), "nothing was begun");
}

#[test]
fn several_sets_are_learned_from_and_another_one_is_judged_with_its_clouds_grouped_afresh() {
    let place = Place::new();
    let (plan, other, judged) = (place.path("plan.toml"), place.path("other"), place.path("judged"));
    write(&plan, PLAN.replace("[1, 2]", "[1]"));
    prepare_small(&other, &["--set", "dataset.seed=5"]).expect(0);
    finish(prepare_command(&judged, &[&SMALL[..], &["groups.points=32", "dataset.seed=6"]].concat(), &[]))
        .expect(0);
    let half = format!("{}:0.5", text(&other));
    let run = |args: &[&str]| finish(ablate(&place, text(&plan), &place.path("out"), args));
    let unsaid = run(&["--data", &half]).expect(2).stderr;
    assert!(unsaid.contains("--probe-data: expected a prepared dataset with several --data"), "{unsaid}");
    let args = ["--data", &half, "--probe-data", text(&judged), "--set", "data.patches_from=online"];
    let found = run(&[&args[..], &["--set", "data.points=48", "--json"]].concat()).expect(0).json();
    assert!(found["fingerprint"].as_str().unwrap().ends_with(":0.5"), "{found}");
    assert!(
        found["lines"].as_array().unwrap().iter().all(|line| line["summary"].as_array().unwrap().len() > 1)
    );
    // The same table from the run by `probe`, which groups the judged set in the same way.
    let folder = place.path("out").join("predictor.width=16/seed-1");
    let probed = jepa3d(
        &[
            &["probe", text(&folder), "--data", text(&judged), "--regroup", "--light"][..],
            &["--labels", "1", "--no-random", "--json"],
        ]
        .concat(),
    )
    .expect(0)
    .json();
    let lines = probed["pretrained"][0]["lines"].as_array().unwrap();
    for (line, measured) in lines.iter().zip(found["lines"][2]["summary"].as_array().unwrap()) {
        assert_eq!(line["name"], measured["name"]);
        let [want, mean] = [&line["value"], &measured["mean"]].map(|value| value.as_f64().unwrap());
        assert!((want - mean).abs() < 1e-6, "{line} {measured}");
    }
}
