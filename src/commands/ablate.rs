//! `jepa3d ablate`: one pretraining run after the other over the variants of a plan, probed, and compared in one table.

mod outcome;
mod plan;
mod trial;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use jepa3d_inspect::write_report;
use jepa3d_loader::{DataShare, DatasetMix, PreparedDataset};
use jepa3d_probe::{Extent, ProbeConfig};
use jepa3d_schemas::{FolderLock, printable, remove_temporaries, write_atomically};
use jepa3d_train::{Pooling, PretrainConfig, config_differences, read_run_config, try_first_input};

use super::report_folder::{check_report_folder, describe_process};
use super::{Conclusion, MachineArgs, print, print_json, tell};
use crate::presets::{self, Verb};
use outcome::{AblationLine, AblationOutcome};
use plan::{AblationPlan, Variant};
use trial::{Bench, JudgedSet, Trial, TrialData, TrialResult};

/// Everything that was found, for programs.
const OUTCOME_FILE: &str = "ablation.json";
/// What a process that writes the folder holds.
const LOCK_FILE: &str = ".lock";
/// The folder of random weights.
const RANDOM: &str = "random-weights";

/// Arguments of `ablate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of a plan that is built in (`jepa3d presets` lists them) or path of a .toml file.
    plan: PathBuf,
    /// Folder of a prepared dataset, or DIR:WEIGHT (repeatable): what every run learns from, as `pretrain` takes it.
    #[arg(long, value_name = "DIR[:WEIGHT]", required = true)]
    data: Vec<DataShare>,
    /// Probe on this prepared dataset, whose clouds are grouped as each encoder learned. Default: on the one of --data.
    #[arg(long, value_name = "DIR")]
    probe_data: Option<PathBuf>,
    /// Folder of all runs and of the report; the same command continues in it.
    #[arg(long)]
    out: PathBuf,
    /// Override a key of every run, before what its variant sets (repeatable).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Matrix products of every run in bf16, emulated where the CPU has no unit for it; not needed where it has.
    #[arg(long)]
    emulate_bf16: bool,
    /// Check the plan and list its runs; train nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    machine: MachineArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    let plan = AblationPlan::parse(&presets::resolve(Verb::Ablate, &args.plan)?)?;
    let (base, variants) = plan.spread(&all_sets(args))?;
    let mix = DatasetMix::open(&args.data)?;
    let judged = JudgedSet::open(args, &mix)?;
    let threads = super::threads(args.machine.threads);
    jepa3d_train::use_threads(threads);
    for variant in &variants {
        try_first_input(&variant.config, &mix).with_context(|| format!("variant {:?}", variant.name))?;
        check_earlier(args, &plan, variant)?;
    }
    if args.dry_run {
        print(list(&plan, &variants))?;
        return Ok(Conclusion::Done);
    }
    check_report_folder("--out", &args.out)?;
    let _lock = FolderLock::take(&args.out, &args.out.join(LOCK_FILE))?;
    remove_temporaries(&args.out)?;
    let stop = super::pretrain::stop_on_signals()?;
    let bench = open_bench(args, &plan, TrialData { mix, judged }, &stop)?;
    let Some(found) = run_all(args, &plan, &base, &variants, &bench)? else {
        tell(format_args!("stopped; the same command continues {}", args.out.display()));
        return Ok(Conclusion::Failed);
    };
    finish(args, &found, &bench, threads)
}

/// What of every run is set, before what its variant sets.
fn all_sets(args: &Args) -> Vec<String> {
    let precision = args.emulate_bf16.then(|| "run.precision=bf16".to_owned());
    args.sets.iter().cloned().chain(precision).collect()
}

fn open_bench<'a>(
    args: &'a Args,
    plan: &AblationPlan,
    data: TrialData,
    stop: &'a AtomicBool,
) -> anyhow::Result<Bench<'a>> {
    let pooling = plan.probe.pool()?.map(Pooling::from);
    let probe = ProbeConfig {
        extent: if plan.probe.light { Extent::Light } else { Extent::Full },
        label_counts: plan.probe.labels.clone(),
        ..ProbeConfig::default()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (device, emulates_bf16) = (args.machine.device.as_str(), args.emulate_bf16);
    Ok(Bench { data, shares: &args.data, probe, pooling, device, emulates_bf16, cores, stop })
}

impl JudgedSet {
    /// The set of `--probe-data`, or the one that runs learn from.
    fn open(args: &Args, mix: &DatasetMix) -> anyhow::Result<Self> {
        match &args.probe_data {
            Some(folder) => Ok(Self { dataset: Arc::new(PreparedDataset::open(folder)?), is_another: true }),
            None if mix.is_mixed() => {
                bail!("--probe-data: expected a prepared dataset with several --data, found none")
            }
            None => Ok(Self { dataset: Arc::clone(mix.first()), is_another: false }),
        }
    }
}

/// The config of a variant with a seed.
fn seeded(config: &PretrainConfig, seed: u64) -> PretrainConfig {
    let mut config = config.clone();
    config.run.seed = seed;
    config
}

/// Refuses a variant whose folder holds runs of another config, with both values.
fn check_earlier(args: &Args, plan: &AblationPlan, variant: &Variant) -> anyhow::Result<()> {
    for &seed in &plan.seeds {
        let out = args.out.join(&variant.folder).join(format!("seed-{seed}"));
        // Of a damaged one the trainer says what is wrong, and compares the checkpoint.
        let Ok(earlier) = read_run_config(&out) else { continue };
        let differences = config_differences(&earlier, &seeded(&variant.config, seed));
        if !differences.is_empty() {
            let (name, out) = (&variant.name, out.display());
            bail!(
                "{out}: variant {name:?}: expected the config it was started with, found {}",
                differences.join(", ")
            );
        }
    }
    Ok(())
}

/// Runs that a plan means, a line each.
fn list(plan: &AblationPlan, variants: &[Variant]) -> String {
    let seeds: Vec<String> = plan.seeds.iter().map(u64::to_string).collect();
    let mut text =
        format!("{}: {} runs, seeds {}\n", plan.name, variants.len() * seeds.len(), seeds.join(", "));
    for Variant { name, differs, .. } in variants {
        let differs = if differs.is_empty() { "nothing".to_owned() } else { differs.join(", ") };
        text += &format!("{name}: differs from the base in {differs}\n");
    }
    text
}

/// All runs, a seed after the other; none if they were asked to stop.
fn run_all(
    args: &Args,
    plan: &AblationPlan,
    base: &PretrainConfig,
    variants: &[Variant],
    bench: &Bench<'_>,
) -> anyhow::Result<Option<AblationOutcome>> {
    let mut random: Vec<TrialResult> = Vec::new();
    let mut runs: Vec<Vec<TrialResult>> = vec![Vec::new(); variants.len()];
    let total = variants.len() * plan.seeds.len();
    for (round, &seed) in plan.seeds.iter().enumerate() {
        let trial = |config: &PretrainConfig, folder: &str| Trial {
            config: seeded(config, seed),
            out: args.out.join(folder).join(format!("seed-{seed}")),
            is_random: folder == RANDOM,
        };
        random.extend(trial(base, RANDOM).run(bench));
        for (at, variant) in variants.iter().enumerate() {
            let number = round * variants.len() + at + 1;
            tell(format_args!("[{number}/{total}] {}, seed {seed}", printable(&variant.name)));
            if bench.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match trial(&variant.config, &variant.folder).run(bench) {
                Some(result) => runs[at].push(result),
                None => return Ok(None),
            }
        }
    }
    let mut lines = vec![AblationLine::new("random weights", RANDOM, &[], random)];
    lines.extend(
        variants
            .iter()
            .zip(runs)
            .map(|(variant, runs)| AblationLine::new(&variant.name, &variant.folder, &variant.differs, runs)),
    );
    Ok(Some(gather(plan, bench, lines)))
}

/// The lines, with what they were made from.
fn gather(plan: &AblationPlan, bench: &Bench<'_>, lines: Vec<AblationLine>) -> AblationOutcome {
    AblationOutcome {
        name: plan.name.clone(),
        base: plan.base.display().to_string(),
        seeds: plan.seeds.clone(),
        fingerprint: bench.data.mix.fingerprint(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        measured: bench.describe_measures(),
        lines,
    }
}

/// Writes and prints what was found.
fn finish(
    args: &Args,
    found: &AblationOutcome,
    bench: &Bench<'_>,
    threads: usize,
) -> anyhow::Result<Conclusion> {
    let json = serde_json::to_string_pretty(found)? + "\n";
    write_atomically(&args.out.join(OUTCOME_FILE), json.as_bytes())?;
    let provenance = describe_process(&bench.data.judged.dataset, &[], &found.seeds, threads);
    write_report(&args.out, &found.report(provenance))?;
    if args.machine.json {
        print_json(found)?;
    } else {
        print(found.print())?;
    }
    Ok(if found.is_whole() { Conclusion::Done } else { Conclusion::Failed })
}
