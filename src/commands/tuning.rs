//! What `finetune` and `segment` share: their arguments, one run a seed, and what each leaves.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use jepa3d_inspect::{LiveFacts, Provenance};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::MeanDeviation;
use jepa3d_schemas::write_atomically;
use jepa3d_train::{
    DownstreamConfig, DownstreamFacts, DownstreamRequest, DownstreamRun, EncoderSource, EncoderWeights,
    PretrainConfig, RunOutcome,
};
use serde::Serialize;

use super::encoder::read_preset;
use super::live::{self, LiveArgs};
use super::pretrain::{show, stop_on_signals};
use super::report_folder::describe_process;
use super::{MachineArgs, bound_threads, print, print_json, tell, threads};
use crate::presets::{self, Verb};

/// What a run folder holds when its run is done.
const RESULT_FILE: &str = "result.json";
/// The value of --from that means random weights.
const SCRATCH: &str = "scratch";

/// A run that follows pretraining, as its command asks for it.
pub(crate) trait TuningRun: DownstreamRun<Found: Serialize> {
    /// The command that asks for it.
    const VERB: Verb;

    /// How it was made, and on what.
    fn facts(found: &Self::Found) -> &DownstreamFacts;
    /// What it found, for people.
    fn describe(found: &Self::Found) -> String;
    /// Leaves a report in its folder.
    fn write_report(out: &Path, found: &Self::Found, provenance: Provenance) -> anyhow::Result<()>;
}

/// What `--json` prints.
#[derive(Serialize)]
struct RunResults<'a, R> {
    /// One a seed.
    runs: &'a [R],
}

/// Arguments of `finetune` and `segment`.
#[derive(clap::Args)]
pub(crate) struct TuningArgs {
    /// Name of a preset (`jepa3d presets` lists them) or path of a .toml file.
    config: PathBuf,
    /// Where the encoder comes from: a run folder, a checkpoint, or `scratch` for random weights.
    #[arg(long, value_name = "RUN|CHECKPOINT|scratch")]
    from: PathBuf,
    /// What the encoder is where the checkpoint does not say (one that `convert` made), and what is trained from scratch instead
    /// of the config's `encoder`: a preset or a .toml file.
    #[arg(long, value_name = "NAME")]
    preset: Option<PathBuf>,
    /// Folder of the prepared dataset.
    #[arg(long)]
    data: PathBuf,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    /// Continue the run in --out; starts it if there is none.
    #[arg(long)]
    resume: bool,
    /// How many labels: all, a share of every class like 5%, or a number of every class like 20.
    #[arg(long, value_name = "LABELS")]
    labels: Option<String>,
    /// Judge on this split instead of the fixed fifth of the training split.
    #[arg(long, value_name = "NAME")]
    test_split: Option<String>,
    /// Several runs, one a seed, into seed-N below --out: mean and deviation over them are printed at the end.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Override a key of the config, e.g. optim.lr=3e-4 (repeatable).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print the resolved config, train nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    machine: MachineArgs,
}

/// One run of those that the arguments ask for.
struct SeedRun {
    /// Its seed, where several were named.
    seed: Option<u64>,
    /// Its folder.
    out: PathBuf,
}

/// Runs what is asked for, for every seed, and prints what each found; none if one was asked to stop before its end, only the
/// config was asked for, or all is printed as JSON.
pub(crate) fn run_seeds<R: TuningRun>(args: &TuningArgs) -> anyhow::Result<Option<Vec<R::Found>>> {
    let places = args.runs();
    if args.dry_run {
        places.iter().try_for_each(|place| print(args.config::<R>(place)?.to_toml()))?;
        return Ok(None);
    }
    let stop = stop_on_signals()?;
    jepa3d_train::use_threads(threads(args.machine.threads));
    let dataset = Arc::new(PreparedDataset::open(&args.data)?);
    let mut results = Vec::new();
    for place in &places {
        let request = args.request::<R>(place, &dataset)?;
        let ended = run_seed::<R>(args, request, &stop);
        let Some(found) = ended.inspect_err(|error| tell_of_full_disk(error, &place.out))? else {
            tell(format_args!("stopped; the same command with --resume continues {}", place.out.display()));
            return Ok(None);
        };
        results.push(found);
    }
    if args.machine.json {
        print_json(&RunResults { runs: &results })?;
        return Ok(None);
    }
    results.iter().try_for_each(|found| print(R::describe(found)))?;
    Ok(Some(results))
}

/// Trains and judges one run; none if it was asked to stop before its end.
fn run_seed<R: TuningRun>(
    args: &TuningArgs,
    request: DownstreamRequest,
    stop: &AtomicBool,
) -> anyhow::Result<Option<R::Found>> {
    let (preset, out, dataset) =
        (request.config.preset.clone(), request.out.clone(), Arc::clone(&request.dataset));
    let facts = describe_live(R::VERB, &request);
    let mut run = R::new(request)?;
    run.notes().iter().for_each(|note| tell(format_args!("note: {note}")));
    let mut live = args.live.open(facts)?;
    let outcome = run.run(stop, &mut |event| {
        live::record(&mut live, &event);
        show(&preset, event);
    });
    live::finish(live);
    if outcome? == RunOutcome::Stopped {
        return Ok(None);
    }
    let found = run.judge()?;
    let text = serde_json::to_string_pretty(&found)? + "\n";
    write_atomically(&out.join(RESULT_FILE), text.as_bytes())?;
    let facts = R::facts(&found);
    let threads = threads(args.machine.threads);
    let provenance = describe_process(&dataset, std::slice::from_ref(&facts.encoder), &[facts.seed], threads);
    R::write_report(&out, &found, provenance)?;
    Ok(Some(found))
}

/// A word on what to do, where a run ended for want of room.
fn tell_of_full_disk(error: &anyhow::Error, out: &Path) {
    let is_full = |cause: &io::Error| cause.kind() == io::ErrorKind::StorageFull;
    if error.chain().filter_map(|cause| cause.downcast_ref()).any(is_full) {
        tell(format_args!(
            "note: what is written stays; once there is room, the same command with --resume continues {}",
            out.display()
        ));
    }
}

/// What a recording says of a run.
fn describe_live(verb: Verb, request: &DownstreamRequest) -> LiveFacts {
    let kind = verb.name();
    LiveFacts {
        kind,
        name: request.config.preset.clone(),
        config: request.config.to_toml(),
        identity: live::identify(kind, &request.out),
        data: request.dataset.folder().to_owned(),
        is_one_set: true,
        up_axis: request.config.data.up_axis,
    }
}

/// Under which conditions a run was judged, for people; `points` says which points of a sample were.
pub(crate) fn describe_judgement(facts: &DownstreamFacts, points: &str) -> String {
    let selection = match facts.n_selection {
        0 => "nothing selected".to_owned(),
        count => format!("the selected step is the best on {count} others of the training split"),
    };
    format!(
        "judged once, at the end, on {} samples ({}){points}; trained on {} (labels: {}); {selection}\n{}; seed {}\n",
        facts.n_evaluation, facts.evaluated, facts.n_train, facts.labels, facts.encoder, facts.seed
    )
}

/// Mean and deviation over seeds; nothing for one.
pub(crate) fn describe_spread(measures: &[(&str, Vec<f64>)]) -> String {
    let mut text = String::new();
    for (name, values) in measures.iter().filter(|(_, values)| values.len() > 1) {
        let MeanDeviation { mean, deviation } = MeanDeviation::measure(values);
        let _ = writeln!(text, "{name}: {mean:.1} +- {deviation:.1} % over {} seeds", values.len());
    }
    text
}

impl TuningArgs {
    /// The runs that are asked for, one after the other.
    fn runs(&self) -> Vec<SeedRun> {
        let seed_run = |&seed: &u64| SeedRun { seed: Some(seed), out: self.out.join(format!("seed-{seed}")) };
        match self.seeds.is_empty() {
            true => vec![SeedRun { seed: None, out: self.out.clone() }],
            false => self.seeds.iter().map(seed_run).collect(),
        }
    }

    /// The config of a run.
    fn config<R: TuningRun>(&self, place: &SeedRun) -> anyhow::Result<DownstreamConfig> {
        let mut sets = self.sets.clone();
        sets.extend(place.seed.map(|seed| format!("run.seed={seed}")));
        sets.extend(self.labels.as_ref().map(|labels| format!("labels.budget=\"{labels}\"")));
        sets.extend(self.test_split.as_ref().map(|split| format!("labels.test_split=\"{split}\"")));
        Ok(DownstreamConfig::parse(&presets::resolve(R::VERB, &self.config)?, &sets)?)
    }

    /// The request of a run.
    fn request<R: TuningRun>(
        &self,
        place: &SeedRun,
        dataset: &Arc<PreparedDataset>,
    ) -> anyhow::Result<DownstreamRequest> {
        let mut config = self.config::<R>(place)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        config.data.threads = bound_threads("data.threads", config.data.threads, cores);
        let (source, device) = (self.encoder(&config)?, self.machine.device.clone());
        let encoder = Arc::new(EncoderWeights::open(&source, dataset, &device, &config)?);
        Ok(DownstreamRequest {
            config,
            encoder,
            episode: None,
            dataset: Arc::clone(dataset),
            out: place.out.clone(),
            resume: self.resume,
            device,
            shown: self.live.plan(),
        })
    }

    fn encoder(&self, config: &DownstreamConfig) -> anyhow::Result<EncoderSource> {
        let preset = self.preset.as_deref().map(read_preset).transpose()?.map(Box::new);
        if self.from != Path::new(SCRATCH) {
            return Ok(EncoderSource::Pretrained { path: self.from.clone(), preset });
        }
        if self.from.exists() {
            bail!(
                "--from {SCRATCH}: expected random weights, found a file of this name: write ./{SCRATCH} for it"
            );
        }
        let of_config = || -> anyhow::Result<Box<PretrainConfig>> {
            let text = presets::resolve(Verb::Pretrain, Path::new(&config.encoder)).context("encoder")?;
            Ok(Box::new(PretrainConfig::parse(&text, &[])?))
        };
        Ok(EncoderSource::Scratch(preset.map_or_else(of_config, Ok)?))
    }
}
