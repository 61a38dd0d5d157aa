//! `--rerun` of the commands that train: a recording that grows while they do.

use std::path::Path;

use jepa3d_inspect::{LeftOut, LiveEnd, LiveFacts, LiveRecording, LiveTarget};
use jepa3d_train::{Event, SamplePlan};

use super::tell;

/// Steps from one whose clouds are recorded to the next.
const EVERY: u64 = 100;
/// Clouds of such a step.
const CLOUDS: usize = 4;
/// Share of a run's time that clouds may take, unless their steps are asked for.
const SHARE: f64 = 0.01;

/// Arguments of a recording.
#[derive(clap::Args)]
pub(crate) struct LiveArgs {
    /// Record for the rerun viewer while it trains: save=F.rrd, serve, or connect[=HOST:PORT] to a viewer that is open.
    #[arg(long, value_name = "WHERE")]
    rerun: Option<LiveTarget>,
    /// Steps from one whose clouds are recorded to the next; default: 100, or as many as keep them below 1 % of the time.
    #[arg(long, value_name = "STEPS", requires = "rerun", value_parser = clap::value_parser!(u64).range(1..))]
    rerun_every: Option<u64>,
}

impl LiveArgs {
    /// Which clouds the trainer hands out.
    pub(crate) fn plan(&self) -> Option<SamplePlan> {
        let every = self.rerun_every.unwrap_or(EVERY);
        self.rerun.is_some().then_some(SamplePlan { every, clouds: CLOUDS })
    }

    /// Begins the recording, if one is asked for.
    ///
    /// # Errors
    /// Fails as [`LiveRecording::open`] does.
    pub(crate) fn open(&self, facts: LiveFacts) -> anyhow::Result<Option<LiveRecording>> {
        let Some(target) = &self.rerun else { return Ok(None) };
        let share = self.rerun_every.is_none().then_some(SHARE);
        let live = LiveRecording::open(target, facts, share)?;
        match target {
            LiveTarget::Serve => tell(format_args!("open {} while the run lasts", live.place())),
            _ => tell(format_args!("recording to {}", live.place())),
        }
        Ok(Some(live))
    }
}

/// What tells a run from others: where it stands.
pub(crate) fn identify(kind: &str, out: &Path) -> String {
    format!("{kind} {}", std::path::absolute(out).unwrap_or_else(|_| out.to_owned()).display())
}

/// Hands what training reports to the recording, where it is asked for.
pub(crate) fn record(live: &mut Option<LiveRecording>, event: &Event) {
    let Some(live) = live else { return };
    match event {
        Event::Record(scalars) | Event::Probe(scalars) => live.scalars(scalars.clone()),
        Event::Samples(samples) => live.samples((**samples).clone()),
        _ => {}
    }
}

/// Ends the recording and says what it lacks.
pub(crate) fn finish(live: Option<LiveRecording>) {
    let Some(live) = live else { return };
    let place = live.place().to_owned();
    let LiveEnd { left_out: LeftOut { records, samples, costly }, failure } = live.finish();
    let counts = [
        (records, "records that found no room, or the recording ended"),
        (samples, "steps with clouds that did"),
        (
            costly,
            "steps with clouds that would have cost too much (--rerun-every STEPS records them nevertheless)",
        ),
    ];
    let lacks: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    let lacks = if lacks.is_empty() { String::new() } else { format!("; left out: {}", lacks.join(", ")) };
    match failure {
        None => tell(format_args!("recorded: {place}{lacks}")),
        Some(failure) => tell(format_args!("warning: {place}: the recording is not whole: {failure}{lacks}")),
    }
}
