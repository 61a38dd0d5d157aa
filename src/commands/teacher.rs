//! `jepa3d teacher`: embeddings of the stored views, cached beside them.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::bail;
use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::printable;
use jepa3d_teachers::{CacheReport, MeanStd, PosResample, Teacher, TokenPool, VitConfig, cache_teacher};
use serde::Serialize;

use super::progress::Meter;
use super::{Conclusion, print, print_json, threads};

/// Arguments of `teacher`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the prepared dataset; it must have views.
    folder: PathBuf,
    /// Which frozen image encoder.
    #[arg(long, value_enum)]
    teacher: TeacherName,
    /// Weights of `vit`: a safetensors file in timm's or DINOv2's naming.
    #[arg(long, value_name = "F.safetensors", required_if_eq("teacher", "vit"))]
    weights: Option<PathBuf>,
    /// Folder of the cache below teachers/; default: the kind of teacher.
    #[arg(long)]
    name: Option<String>,
    /// Numbers of an embedding of `hog`; default 384.
    #[arg(long)]
    dim: Option<usize>,
    /// Which token of `vit` is the embedding.
    #[arg(long, value_enum, default_value_t = TokenChoice::Cls)]
    pool: TokenChoice,
    /// How `vit` makes positions of another grid than the one it was trained on.
    #[arg(long, value_enum, default_value_t = PositionResampling::Timm)]
    pos_resample: PositionResampling,
    /// Colour statistics that `vit` was trained with.
    #[arg(long, value_enum, default_value_t = ColourStatistics::Imagenet)]
    mean_std: ColourStatistics,
    /// Attention heads of `vit`; default: its width / 64.
    #[arg(long)]
    heads: Option<usize>,
    /// Threads; default: all cores. The bytes do not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Print the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// A frozen image encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TeacherName {
    /// Histograms of oriented gradients; needs no weights.
    Hog,
    /// A plain vision transformer.
    Vit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TokenChoice {
    /// The class token.
    Cls,
    /// The mean of the patches.
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PositionResampling {
    /// Bicubic with antialiasing.
    Timm,
    /// Bicubic without, as DINOv2's models without registers.
    Dinov2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ColourStatistics {
    /// ImageNet's (DINOv2).
    Imagenet,
    /// 0.5 and 0.5 (many timm models).
    Half,
}

#[derive(Serialize)]
struct TeacherReport<'a> {
    teacher: &'static str,
    name: &'a str,
    #[serde(flatten)]
    cache: CacheReport,
    seconds: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    jepa3d_train::use_threads(threads(args.threads));
    let dataset = PreparedDataset::open(&args.folder)?;
    let kind = match args.teacher {
        TeacherName::Hog => "hog",
        TeacherName::Vit => "vit",
    };
    let name = args.name.as_deref().unwrap_or(kind);
    let teacher = teacher(args)?;
    let start = Instant::now();
    let mut meter = Meter::new("views");
    let cached =
        cache_teacher(&dataset, &teacher, name, &mut |progress| meter.count(progress.done, progress.total));
    meter.finish();
    let report =
        TeacherReport { teacher: kind, name, cache: cached?, seconds: start.elapsed().as_secs_f64() };
    match args.json {
        true => print_json(&report)?,
        false => print(line(args, &report))?,
    }
    Ok(Conclusion::Done)
}

fn teacher(args: &Args) -> anyhow::Result<Teacher> {
    match (args.teacher, &args.weights) {
        (TeacherName::Hog, Some(_)) => bail!("--weights: expected none, because hog has no weights"),
        (TeacherName::Hog, None) => Ok(Teacher::hog(args.dim.unwrap_or(384))?),
        (TeacherName::Vit, _) if args.dim.is_some() => {
            bail!("--dim: expected none, because vit is as wide as its weights")
        }
        (TeacherName::Vit, None) => bail!("--weights: expected a safetensors file for vit, found none"),
        (TeacherName::Vit, Some(weights)) => Ok(Teacher::vit(weights, vit_config(args))?),
    }
}

fn vit_config(args: &Args) -> VitConfig {
    VitConfig {
        pool: match args.pool {
            TokenChoice::Cls => TokenPool::Cls,
            TokenChoice::Mean => TokenPool::Mean,
        },
        pos_resample: match args.pos_resample {
            PositionResampling::Timm => PosResample::Timm,
            PositionResampling::Dinov2 => PosResample::Dinov2,
        },
        mean_std: match args.mean_std {
            ColourStatistics::Imagenet => MeanStd::Imagenet,
            ColourStatistics::Half => MeanStd::Half,
        },
        heads: args.heads,
    }
}

fn line(args: &Args, report: &TeacherReport<'_>) -> String {
    let TeacherReport { name, cache, seconds, .. } = report;
    let kept = match (cache.shards_written, cache.shards_kept) {
        (0, _) => "complete already, ".to_owned(),
        (_, 0) => String::new(),
        (_, kept) => format!("{kept} shards kept, "),
    };
    format!(
        "{}/teachers/{name}: {kept}{} views, {} valid, {} numbers each, {:.1} MB, {seconds:.1} s\n",
        printable(&args.folder.display().to_string()),
        cache.views,
        cache.valid,
        cache.width,
        cache.bytes as f64 / 1e6,
    )
}
