//! Recordings that grow: whole files, earlier files kept, full disks, queues that are full.

#![allow(clippy::unwrap_used, reason = "tests, of a build with the feature `rerun` alone")]

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jepa3d_fixtures::viewed_set::write_dataset;
use jepa3d_loader::MaskKind;
use jepa3d_train::{Event, PretrainRequest, SamplePlan, Scalars, TrainedLabels, TrainedSamples, Trainer};

use super::writer::encode;
use super::*;
use crate::recording_tests::rrd;
use crate::run_tests;

struct LivePlace {
    dir: tempfile::TempDir,
}

impl LivePlace {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_dataset(&dir.path().join("set"), true);
        Self { dir }
    }

    fn facts(&self) -> LiveFacts {
        LiveFacts {
            kind: "pretrain",
            name: "tiny".into(),
            config: "a = 1".into(),
            identity: "here".into(),
            data: self.dir.path().join("set"),
            is_one_set: true,
            up_axis: None,
        }
    }

    /// What a tiny run hands out.
    fn events(&self) -> Vec<Event> {
        let mut config = run_tests::config(MaskKind::Runs);
        (config.run.max_steps, config.monitor.probe_every) = (6, 0);
        let shown = Some(SamplePlan { every: 3, clouds: 2 });
        let (data, out, device) = (
            vec![self.dir.path().join("set").as_path().into()],
            self.dir.path().join("run"),
            "cpu".to_owned(),
        );
        let request =
            PretrainRequest { config, data, out, resume: false, device, emulates_bf16: false, shown };
        let mut events = Vec::new();
        let stop = AtomicBool::new(false);
        Trainer::new(request).unwrap().run(&stop, &mut |event| events.push(event)).unwrap();
        events
    }
}

fn give(live: &mut LiveRecording, events: Vec<Event>) {
    for event in events {
        match event {
            Event::Record(scalars) => live.scalars(scalars),
            Event::Samples(samples) => {
                live.samples(*samples);
                wait_until_taken(live);
            }
            _ => {}
        }
    }
}

/// Clouds that are handed over faster than they are recorded are left out.
fn wait_until_taken(live: &LiveRecording) {
    while live.counts.waiting.load(Ordering::Relaxed) > 0 {
        std::thread::yield_now();
    }
}

fn scalars(step: u64) -> Scalars {
    Scalars { step, epoch: 0.0, values: vec![("loss", 1.0 / step as f64)] }
}

#[test]
fn a_file_holds_curves_and_clouds_and_an_earlier_one_is_kept() {
    let place = LivePlace::new();
    let mut events = place.events();
    let view = jepa3d_train::TrainedView { number: 1, errors: vec![0.5], ..Default::default() };
    for event in &mut events {
        if let Event::Samples(samples) = event {
            samples.views.push(view.clone());
            let points = vec![[0.0; 3], [1.0; 3]];
            samples.labels.push(TrainedLabels {
                cloud: 1,
                points,
                truth: vec![2, -1],
                predicted: vec![1, 1],
            });
            let (truth, predicted) = (vec![3], vec![4]);
            samples.labels.push(TrainedLabels { cloud: 0, points: Vec::new(), truth, predicted });
        }
    }
    let target = LiveTarget::Save(place.dir.path().join("run.rrd"));
    for name in ["run.rrd", "run-2.rrd"] {
        let mut live = LiveRecording::open(&target, place.facts(), None).unwrap();
        assert!(live.place().ends_with(name), "{}", live.place());
        give(&mut live, events.clone());
        assert_eq!(live.finish(), LiveEnd { left_out: LeftOut::default(), failure: None });
        let file = place.dir.path().join(name);
        let Some(_) = rrd(&["verify"], &file) else { continue };
        let text = rrd(&["print", "-vv"], &file).unwrap();
        let mut expected = vec!["/metrics/loss/loss".to_owned(), "/metrics/std/pred_std".into()];
        expected.extend(["/clouds", "/run", "/errors/2/points", "/masks/1/context"].map(str::to_owned));
        expected.extend(["/views/1/image", "/views/1/points", "/labels/2/wrong"].map(str::to_owned));
        for path in expected {
            assert!(text.contains(&path), "{path} is missing in\n{text}");
        }
    }
}

/// A disk with room for some bytes.
struct SmallFile(usize);

impl Write for SmallFile {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(part.len()).ok_or_else(|| std::io::Error::other("no space left"))?;
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_is_named() {
    let place = LivePlace::new();
    for room in [3000, 20_000] {
        let sink = |failure: &_| Ok((encode(Box::new(SmallFile(room)), true, failure)?, "small".to_owned()));
        let writer = LiveWriter::begin(sink, place.facts()).unwrap();
        let mut live = LiveRecording::start(writer, None).unwrap();
        for step in 1..200 {
            live.scalars(scalars(step));
            let ids = vec!["a0".into(), "b".into()];
            let (patches, centers) = (vec![0.5; 1200], vec![0.1; 12]);
            live.samples(TrainedSamples {
                step,
                ids,
                patches,
                centers,
                units: vec![1.0; 2],
                ..Default::default()
            });
        }
        let LiveEnd { failure, .. } = live.finish();
        assert!(failure.as_ref().is_some_and(|text| text.contains("no space left")), "{failure:?}");
    }
}

/// A disk that takes nothing while it is stuck.
struct StuckFile(Arc<AtomicBool>);

impl Write for StuckFile {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        while self.0.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_does_not_fit_is_counted_and_nothing_waits() {
    let place = LivePlace::new();
    let is_stuck = Arc::new(AtomicBool::new(false));
    let file = StuckFile(Arc::clone(&is_stuck));
    let open = |failure: &_| Ok((encode(Box::new(file), true, failure)?, "stuck".to_owned()));
    let writer = LiveWriter::begin(open, place.facts()).unwrap();
    let mut live = LiveRecording::start(writer, None).unwrap();
    is_stuck.store(true, Ordering::Relaxed);
    let sample = || TrainedSamples {
        ids: vec!["a0".into()],
        units: vec![1.0],
        centers: vec![0.0; 3],
        patches: vec![0.0; 3],
        ..Default::default()
    };
    // The thread takes one, and waits for the disk; two more wait.
    live.samples(sample());
    wait_until_taken(&live);
    let start = Instant::now();
    (0..5).for_each(|_| live.samples(sample()));
    (0..2000).for_each(|step| live.scalars(scalars(step + 1)));
    assert!(start.elapsed() < Duration::from_secs(5), "the run waited");
    let expected = LeftOut { records: 2000 - (QUEUE as u64 - SAMPLES), samples: 3, costly: 0 };
    assert_eq!(live.left_out, expected);
    is_stuck.store(false, Ordering::Relaxed);
    assert_eq!(live.finish(), LiveEnd { left_out: expected, failure: None });
}

#[test]
fn clouds_stay_below_their_share_of_the_time() {
    let place = LivePlace::new();
    let target = LiveTarget::Save(place.dir.path().join("run.rrd"));
    let mut live = LiveRecording::open(&target, place.facts(), Some(0.01)).unwrap();
    // Of 100 seconds one is allowed: 0.6 are gone, in one step or in three.
    live.opened -= Duration::from_secs(100);
    live.counts.busy.store(600_000, Ordering::Relaxed);
    live.counts.shown.store(1, Ordering::Relaxed);
    live.samples(TrainedSamples::default());
    let expected = LeftOut { costly: 1, ..LeftOut::default() };
    assert_eq!(live.left_out, expected);
    live.counts.shown.store(3, Ordering::Relaxed);
    live.samples(TrainedSamples::default());
    assert_eq!(live.left_out, expected, "0.8 seconds are within their share");
}

#[test]
fn a_viewer_that_is_not_there_is_named_before_the_run() {
    let place = LivePlace::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = LiveRecording::open(&LiveTarget::Connect(closed.to_string()), place.facts(), None);
    let error = error.err().unwrap().to_string();
    assert!(error.contains(&format!("connect={closed}: expected a viewer that listens there")), "{error}");
    let gone = LiveTarget::Save(place.dir.path().join("gone/run.rrd"));
    let error = LiveRecording::open(&gone, place.facts(), None).err().unwrap().to_string();
    assert!(error.contains("gone/run.rrd: No such file"), "{error}");
}
