//! `jepa3d convert`: official PyTorch checkpoints to ours, and back.

use std::path::PathBuf;

use jepa3d_schemas::printable;
use jepa3d_torch::{CheckpointHead, Conversion};

use super::{Conclusion, check_target, print, print_json, tell};

/// Arguments of `convert`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Checkpoint to read: Lightning's .ckpt, a .pth or .pt of torch.save, or .safetensors.
    checkpoint: PathBuf,
    /// File to write: .safetensors from PyTorch, or .ckpt, .pth or .pt from .safetensors.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print what was converted as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    check_target("--to", &args.to)?;
    let done = jepa3d_torch::convert(&args.checkpoint, &args.to)?;
    for warning in &done.changes.warnings {
        tell(format_args!("warning: {warning}"));
    }
    if args.json {
        print_json(&done)?
    } else {
        print(text(&done))?
    }
    Ok(Conclusion::Done)
}

/// What was converted, for people.
fn text(done: &Conversion) -> String {
    let sizes = &done.sizes;
    let million = |n: usize| n as f64 / 1e6;
    let mut text = format!(
        "wrote {}: {} tensors\n\
         encoder    {:.2} M parameters, width {}, {} blocks\n",
        printable(&done.to.display().to_string()),
        done.tensors,
        million(done.encoder_parameters),
        sizes.width,
        sizes.depth,
    );
    text += &describe_head(done);
    let changes = &done.changes;
    let lines = [
        (changes.dropped.len(), "dropped: teacher.online_model.*, the encoder once more"),
        (changes.added.len(), "added: teacher.online_model.*, the encoder once more"),
        (changes.renamed, "renamed: older names of the tokenizer"),
        (changes.counters, "added: counters of batches, 0"),
        (changes.moments, "left out: moments of the optimiser"),
        (changes.converted, "converted to 32-bit floats"),
    ];
    for (count, what) in lines.iter().filter(|line| line.0 > 0) {
        text += &format!("{count} tensors {what}\n");
    }
    text
}

/// What stands on the encoder.
fn describe_head(done: &Conversion) -> String {
    let million = |n: usize| n as f64 / 1e6;
    let sizes = &done.sizes;
    match done.head {
        CheckpointHead::Predictor => format!(
            "predictor  {:.2} M parameters, width {}, {} blocks\n",
            million(done.predictor_parameters),
            sizes.predictor_width,
            sizes.predictor_depth,
        ),
        CheckpointHead::Classes { classes, .. } => {
            format!("head       {:.2} M parameters, {classes} classes\n", million(done.head_parameters))
        }
        CheckpointHead::Parts { classes, parts, .. } => {
            let count = million(done.head_parameters);
            format!("head       {count:.2} M parameters, {parts} parts of {classes} classes\n")
        }
    }
}
