//! `jepa3d pretrain`: shards to a pretrained encoder; the same command with --resume continues.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use jepa3d_inspect::LiveFacts;
use jepa3d_loader::DataShare;
use jepa3d_train::{
    Event, PretrainConfig, PretrainRequest, Processes, ProductPrecision, RunOutcome, Scalars, Trainer,
    choose_loader_threads,
};

use super::live::{self, LiveArgs};
use super::{Conclusion, bound_threads, print, tell, threads};
use crate::presets::{self, Verb};

/// Arguments of `pretrain`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of a preset (`jepa3d presets` lists them) or path of a .toml file.
    config: PathBuf,
    /// Folder of a prepared dataset, or DIR:WEIGHT (repeatable). All are mixed in every batch; of a set with weight 0.3 an epoch
    /// shows 30 % of the samples, others in the next one, with weight 2 it shows each twice.
    #[arg(long, value_name = "DIR[:WEIGHT]", required = true)]
    data: Vec<DataShare>,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    /// Continue the run in --out; starts it if there is none.
    #[arg(long)]
    resume: bool,
    /// Where tensors live: cpu, or cuda:N in a build with the feature `cuda`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Matrix products in bf16, the same as --set run.precision=bf16: CUDA, or a CPU with AMX.
    #[arg(long)]
    bf16: bool,
    /// As --bf16, where the CPU has no unit for it: emulated, to the same bits.
    #[arg(long)]
    emulate_bf16: bool,
    /// Threads of the training kernels; default: all cores.
    #[arg(long)]
    threads: Option<usize>,
    /// End the run with exit code 1 when a collapse is reported.
    #[arg(long)]
    abort_on_collapse: bool,
    /// Override a key of the config, e.g. optim.lr=3e-4 (repeatable).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    live: LiveArgs,
    /// Print the resolved config, train nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    let processes = if args.dry_run { Processes::alone() } else { Processes::join()? };
    match train(args, &processes) {
        Err(error) if processes.world() > 1 => {
            let (rank, world) = (processes.rank(), processes.world());
            let reason = crate::message(&error);
            tell(format_args!("error: process {rank} of {world}: {reason}"));
            processes.give_up(&reason);
            // MPI is not left in order: another process may be gone.
            std::process::exit(2)
        }
        done => done,
    }
}

fn train(args: &Args, processes: &Processes) -> anyhow::Result<Conclusion> {
    let mut config = read_config(args)?;
    if args.dry_run {
        print(config.to_toml())?;
        return Ok(Conclusion::Done);
    }
    let preset = config.preset.clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = choose_loader_threads(config.data.threads, &config, &args.device, cores);
    config.data.threads = bound_threads("data.threads", asked, cores);
    jepa3d_train::use_threads(threads(args.threads));
    let facts = describe_run(args, &config);
    let (precision, parts) = (config.run.precision, config.parts);
    let request = PretrainRequest {
        config,
        data: args.data.clone(),
        out: args.out.clone(),
        resume: args.resume,
        device: args.device.clone(),
        emulates_bf16: args.emulate_bf16,
        shown: processes.is_first().then(|| args.live.plan()).flatten(),
    };
    let stop = stop_on_signals()?;
    let mut trainer = Trainer::join(request, processes.clone())?;
    if !processes.is_first() {
        let outcome = trainer.run(&stop, &mut |_| {})?;
        return Ok(conclude(outcome));
    }
    if processes.world() > 1 {
        tell(format_args!("{} processes train together, {parts} parts of a batch", processes.world()));
    }
    if precision == ProductPrecision::Bf16 {
        let is_emulated = args.emulate_bf16 && args.device == "cpu";
        tell(format_args!("products in bf16{}", if is_emulated { ", emulated" } else { "" }));
    }
    let mut live = args.live.open(facts)?;
    let outcome = trainer.run(&stop, &mut |event| {
        live::record(&mut live, &event);
        show(&preset, event);
    });
    live::finish(live);
    Ok(finish(args, outcome?))
}

fn read_config(args: &Args) -> anyhow::Result<PretrainConfig> {
    let mut sets = args.sets.clone();
    if args.bf16 || args.emulate_bf16 {
        sets.push("run.precision=bf16".to_owned());
    }
    if args.abort_on_collapse {
        sets.push("monitor.abort_on_collapse=true".to_owned());
    }
    Ok(PretrainConfig::parse(&presets::resolve(Verb::Pretrain, &args.config)?, &sets)?)
}

/// What a recording says of the run.
fn describe_run(args: &Args, config: &PretrainConfig) -> LiveFacts {
    LiveFacts {
        kind: "pretrain",
        name: config.preset.clone(),
        config: config.to_toml(),
        identity: live::identify("pretrain", &args.out),
        data: args.data[0].folder.clone(),
        is_one_set: args.data.len() == 1,
        up_axis: config.data.up_axis,
    }
}

fn finish(args: &Args, outcome: RunOutcome) -> Conclusion {
    let out = args.out.display();
    match outcome {
        RunOutcome::Done => tell(format_args!("done: {out}")),
        RunOutcome::Stopped => tell(format_args!("stopped; the same command with --resume continues {out}")),
        RunOutcome::Collapsed => {
            tell(format_args!("stopped: collapse reported (monitor.abort_on_collapse); {out} is kept"));
        }
    }
    conclude(outcome)
}

fn conclude(outcome: RunOutcome) -> Conclusion {
    match outcome {
        RunOutcome::Done | RunOutcome::Stopped => Conclusion::Done,
        RunOutcome::Collapsed => Conclusion::Failed,
    }
}

/// SIGINT and SIGTERM ask for a checkpoint and a clean end; a second one ends at once.
pub(crate) fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, stop.clone()).context("signals")?;
        signal_hook::flag::register(signal, stop.clone()).context("signals")?;
    }
    Ok(stop)
}

/// Tells what a run reports.
pub(crate) fn show(preset: &str, event: Event) {
    match event {
        Event::Begin { parameters, samples, steps_per_epoch, step, steps } => {
            let from = if step > 0 { format!(", continued after step {step}") } else { String::new() };
            tell(format_args!(
                "{preset}: {:.2} M trained parameters, {samples} samples, {steps_per_epoch} steps an epoch, {steps} steps{from}",
                parameters as f64 / 1e6
            ));
        }
        Event::Header(line) => tell(line),
        Event::Step(Scalars { step, epoch, values }) => {
            tell(format_args!("step {step}  epoch {epoch:.1}  {}", line(&values)));
        }
        Event::Probe(Scalars { step, values, .. }) => {
            tell(format_args!("probe after step {step}: {}", line(&values)));
        }
        Event::Alarm(text) => tell(format_args!("ALARM {text}")),
        Event::Checkpoint(step) => tell(format_args!("checkpoint after step {step}")),
        Event::Record(_) | Event::Samples(_) => {}
    }
}

/// `name value` pairs; times and rates with one digit.
fn line(values: &[(&str, f64)]) -> String {
    let one = |&(name, value): &(&str, f64)| match name {
        "samples_per_s" | "data_ms" | "step_ms" | "rank" => format!("{name} {value:.1}"),
        "selection/score" => format!("{name} {:.1} %", 100.0 * value),
        "lr" => format!("{name} {value:.2e}"),
        "tau" => format!("{name} {value:.5}"),
        _ => format!("{name} {value:.4}"),
    };
    values.iter().map(one).collect::<Vec<_>>().join("  ")
}
