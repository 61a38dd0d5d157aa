//! SIGKILL at random moments over every command that writes: the same command afterwards makes the bytes of an undisturbed one
//! and leaves nothing else.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::{Tree, copy_tree, describe_difference, read_timeless, remove, text};
use super::findings::Findings;
use super::fixture::{Fixture, embed_args, prepare_args, pretrain_args, sheet_args, strings, teacher_args};
use super::harness::{Random, Running, command, count_from, jepa3d, soon};

/// A command that writes below a folder.
pub(crate) struct Job {
    pub name: &'static str,
    pub args: Vec<String>,
    /// The folder.
    pub makes: PathBuf,
    /// What it holds before, nothing if `None`.
    base: Option<PathBuf>,
}

impl Job {
    /// Brings the folder into the state before the command.
    pub(crate) fn begin(&self) {
        match &self.base {
            Some(base) => copy_tree(base, &self.makes),
            None => remove(&self.makes),
        }
        // What writes one file does not make its folder.
        if !["prepare", "pretrain"].contains(&self.name) {
            std::fs::create_dir_all(&self.makes).unwrap();
        }
    }

    /// What the folder must hold in the end.
    pub(crate) fn make_undisturbed(&self) -> Tree {
        self.begin();
        jepa3d(&self.args).expect_done();
        read_timeless(&self.makes)
    }

    /// Runs the command after trouble; what is wrong with the result.
    pub(crate) fn complete(&self, expected: &Tree) -> Option<String> {
        let ran = jepa3d(&self.args);
        match ran.is_done() {
            true => describe_difference(&read_timeless(&self.makes), expected),
            false => Some(format!("the same command: {}", ran.ending())),
        }
    }
}

/// Every command that writes, on the files of the fixture.
pub(crate) fn jobs(here: &Fixture) -> Vec<Job> {
    let (set, run) = (here.set(), here.run());
    let folder = |name: &str| here.folder.path(&format!("made/{name}"));
    let job = |name, args: Vec<String>, makes: &Path, base: Option<PathBuf>| Job {
        name,
        args,
        makes: makes.to_owned(),
        base,
    };
    let without = |part: &str, copy: &str| {
        let base = here.copy("set", copy);
        remove(&base.join(part));
        base
    };
    let (out, views, cache, fresh) = (folder("set"), folder("views"), folder("cache"), folder("run"));
    let (features, sheet, recording, plots) =
        (folder("features"), folder("sheet"), folder("recording"), folder("plots"));
    let other_views = without("teachers", "other-views");
    jepa3d(&prepare_args(&here.data(), &other_views, &["--only", "views", "--set", "views.size=24"]))
        .expect_done();
    let record = ["inspect", text(&set), "--limit", "2", "--save"];
    vec![
        job("prepare", prepare_args(&here.data(), &out, &[]), &out, None),
        job(
            "prepare --only views",
            prepare_args(&here.data(), &views, &["--only", "views"]),
            &views,
            Some(other_views),
        ),
        job("teacher", teacher_args(&cache, &[]), &cache, Some(without("teachers", "no-cache"))),
        job("pretrain", pretrain_args("point-jepa-region-small", &set, &fresh, &["--resume"]), &fresh, None),
        job("embed", embed_args(&run, &set, &features.join("a.parquet")), &features, None),
        job("inspect --contact-sheet", sheet_args(&set, &sheet.join("a.png")), &sheet, None),
        job(
            "inspect --save",
            [strings(&record), strings(&[text(&recording.join("a.rrd"))])].concat(),
            &recording,
            None,
        ),
        job("stats --plots", strings(&["stats", text(&set), "--plots", text(&plots)]), &plots, None),
    ]
}

/// Lets a call run for a while and kills it; whether it was still running.
fn kill_after(args: &[String], delay: Duration) -> bool {
    let mut running = Running::start(command(args));
    std::thread::sleep(delay);
    running.child.kill().unwrap();
    running.finish(soon()).signal == Some(9)
}

#[test]
#[ignore = "long: make test-kill"]
fn kills_at_random_moments() {
    let here = Fixture::new("kills");
    let mut findings = Findings::new("kills at random moments");
    let wanted = count_from("JEPA3D_KILLS", 12);
    for job in jobs(&here) {
        let begin = Instant::now();
        let expected = job.make_undisturbed();
        let duration = begin.elapsed();
        let (mut hits, mut late) = (0, 0);
        let mut random = Random::new(job.name, 0);
        while hits < wanted && late < 10 * wanted {
            job.begin();
            // One to three kills in a row, then the command to its end.
            for _ in 0..=random.below(3) {
                let part = random.below(1000) as f64 / 1000.0;
                let hit = kill_after(&job.args, duration.mul_f64(part));
                hits += usize::from(hit);
                late += usize::from(!hit);
            }
            findings.note(
                job.complete(&expected).map(|fault| format!("{} after {hits} kills: {fault}", job.name)),
            );
        }
        println!("{}: {hits} kills hit within {duration:.2?}, {late} came late", job.name);
    }
    findings.conclude();
}
