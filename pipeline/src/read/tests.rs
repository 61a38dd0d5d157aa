//! A reader that fails for the machine's sake, at times for good: what becomes of the run, and of the next one.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use jepa3d_datasets::{Budget, Dataset};
use jepa3d_schemas::{Object, UpAxis};

use super::*;
use crate::config::PrepareConfig;
use crate::quarantine::QUARANTINE_FILE;
use crate::request::{PlanPart, PrepareReport, PrepareRequest};
use crate::run::run;

const NO_HANDLES_LEFT: i32 = 24;
const DISK_FAILS: i32 = 5;
const NOT_ALLOWED: i32 = 13;
const NOT_THERE: i32 = 2;

/// What happens when that object is read.
#[derive(Clone, Copy)]
enum Failure {
    /// The system refuses with this number.
    System(i32),
    Panic,
}

/// A dataset of which one object fails so many times.
struct FailingDataset {
    inner: Box<dyn Dataset>,
    /// The object.
    failing: usize,
    failure: Failure,
    times: AtomicUsize,
}

impl Dataset for FailingDataset {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn id(&self, index: usize) -> &str {
        self.inner.id(index)
    }

    fn split(&self, index: usize) -> &str {
        self.inner.split(index)
    }

    fn source(&self, index: usize) -> String {
        self.inner.source(index)
    }

    fn classes(&self) -> &[String] {
        self.inner.classes()
    }

    fn up_axis(&self) -> UpAxis {
        self.inner.up_axis()
    }

    fn get_within(
        &self,
        index: usize,
        budget: &Budget,
    ) -> std::result::Result<Object, jepa3d_datasets::Error> {
        let left = |times: usize| times.checked_sub(1);
        let is_left = self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        match self.failure {
            _ if index != self.failing => {
                // Only the reads of that object count.
                self.times.fetch_add(usize::from(is_left), Ordering::Relaxed);
                self.inner.get_within(index, budget)
            }
            _ if !is_left => self.inner.get_within(index, budget),
            Failure::Panic => panic!("the file is odd"),
            Failure::System(code) => Err(jepa3d_datasets::Error::Io {
                path: "raw/9.obj".into(),
                source: io::Error::from_raw_os_error(code),
            }),
        }
    }
}

fn healthy_plan(sets: &[&str]) -> PreparePlan {
    let small = [
        "dataset.count=12",
        "cloud.points=128",
        "groups.points=64",
        "groups.centers=8",
        "groups.neighbors=8",
        "shards.rows=2",
        "shards.row_group=1",
    ];
    let sets: Vec<String> = small.iter().chain(sets).map(|set| (*set).to_owned()).collect();
    PreparePlan::new(PrepareConfig::load(None, &sets).unwrap(), Path::new("")).unwrap()
}

fn failing_plan(sets: &[&str], failure: Failure, times: usize) -> PreparePlan {
    let mut plan = healthy_plan(sets);
    // In the last shard but one, so that others are finished before.
    let failing = plan.tasks[plan.tasks.len() - 2].objects[0];
    plan.dataset = Box::new(FailingDataset { inner: plan.dataset, failing, failure, times: times.into() });
    plan
}

fn prepare(plan: &PreparePlan, out: &Path) -> Result<PrepareReport> {
    run(plan, out, PrepareRequest { part: PlanPart::Whole, only_views: false, threads: 2 }, &mut |_| {})
}

/// Fingerprint of the points, and of the views where there are any.
fn fingerprints(report: &PrepareReport) -> [String; 2] {
    let manifest = report.manifest.as_ref().unwrap();
    let views = manifest.views.as_ref().map(|views| views.fingerprint.clone());
    [manifest.fingerprint.clone(), views.unwrap_or_default()]
}

fn undisturbed(sets: &[&str]) -> [String; 2] {
    fingerprints(&prepare(&healthy_plan(sets), tempfile::tempdir().unwrap().path()).unwrap())
}

#[test]
fn what_passes_leaves_no_trace() {
    let out = tempfile::tempdir().unwrap();
    let report = prepare(&failing_plan(&[], Failure::System(DISK_FAILS), 2), out.path()).unwrap();
    assert_eq!((report.progress.written, report.progress.quarantined), (12, 0));
    assert_eq!(fingerprints(&report), undisturbed(&[]));
}

#[test]
fn what_stays_ends_the_run_and_the_next_one_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let error =
        prepare(&failing_plan(&[], Failure::System(NO_HANDLES_LEFT), usize::MAX), out.path()).unwrap_err();
    assert!(matches!(error, Error::Machine { tries: 4, .. }), "{error}");
    assert!(error.to_string().starts_with("raw/9.obj: cannot read: "), "{error}");
    for file in ["manifest.json", QUARANTINE_FILE, "catalog.parquet"] {
        assert!(!out.path().join(file).exists(), "{file}");
    }
    let report = prepare(&healthy_plan(&[]), out.path()).unwrap();
    assert!(report.tasks_skipped > 0 && report.tasks_done > 0, "{report:?}");
    assert_eq!((report.manifest.as_ref().unwrap().written(), fingerprints(&report)), (12, undisturbed(&[])));
}

#[test]
fn views_that_are_added_wait_for_the_machine_too() {
    let views = ["views.size=32", "views.rig={kind=\"fibonacci\", views=2}"];
    let out = tempfile::tempdir().unwrap();
    prepare(&healthy_plan(&[]), out.path()).unwrap();
    let error =
        prepare(&failing_plan(&views, Failure::System(DISK_FAILS), usize::MAX), out.path()).unwrap_err();
    assert!(matches!(error, Error::Machine { .. }), "{error}");
    let report = prepare(&failing_plan(&views, Failure::System(DISK_FAILS), 1), out.path()).unwrap();
    assert_eq!(report.manifest.as_ref().unwrap().views.as_ref().unwrap().failures, 0);
    assert_eq!(fingerprints(&report), undisturbed(&views));
}

#[test]
fn what_is_of_the_file_is_quarantined() {
    for (failure, stage) in [
        (Failure::System(NOT_ALLOWED), "read"),
        (Failure::System(NOT_THERE), "read"),
        (Failure::Panic, "panic"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let report = prepare(&failing_plan(&[], failure, usize::MAX), out.path()).unwrap();
        assert_eq!((report.progress.written, report.progress.quarantined), (11, 1));
        let quarantine = std::fs::read_to_string(out.path().join(QUARANTINE_FILE)).unwrap();
        assert!(quarantine.contains(&format!("\"stage\":\"{stage}\"")), "{quarantine}");
    }
}

#[test]
fn raw_data_that_went_away_are_not_quarantined_file_by_file() {
    let (raw, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut plan = failing_plan(&[], Failure::System(NOT_THERE), usize::MAX);
    plan.data = Some(raw.path().to_owned());
    let error = prepare(&plan, out.path()).unwrap_err();
    assert!(matches!(error, Error::DataGone { .. }), "{error}");
    // A disk that is still there has lost that file alone.
    std::fs::write(raw.path().join("8.obj"), "").unwrap();
    assert_eq!(prepare(&plan, out.path()).unwrap().manifest.unwrap().quarantined(), 1);
}
