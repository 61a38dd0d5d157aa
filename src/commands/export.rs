//! `jepa3d export`: a pretrained encoder as a folder of the Hugging Face hub, for PyTorch without this tool.

use std::path::PathBuf;

use anyhow::bail;
use jepa3d_schemas::printable;
use jepa3d_train::{NumberFormat, export_encoder, export_encoder_file};

use super::{Conclusion, check_target, print, print_json};

/// Arguments of `export`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run folder, a checkpoint inside one, or jepa3d-s, the encoder that this program carries.
    run: PathBuf,
    /// Folder to write config.json, model.safetensors and README.md to; or a .safetensors file: the encoder alone, which probe,
    /// embed and their kin take in place of a run.
    #[arg(long, value_name = "DIR|F.safetensors")]
    to: PathBuf,
    /// Round the weights of F.safetensors to 16 bits (IEEE half): a file of half the size. They are widened where it is read.
    #[arg(long)]
    half: bool,
    /// Print what was written as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    if args.to.join("metrics.jsonl").exists() {
        bail!("--to {}: expected a folder for the encoder alone, found a run", args.to.display());
    }
    let format = if args.half { NumberFormat::F16 } else { NumberFormat::F32 };
    let done = match args.to.extension().is_some_and(|kind| kind == "safetensors") {
        true => {
            check_target("--to", &args.to)?;
            export_encoder_file(&args.run, &args.to, format)?
        }
        false if args.half => bail!("--half: expected --to F.safetensors, found {}", args.to.display()),
        false => export_encoder(&args.run, &args.to)?,
    };
    if args.json {
        print_json(&done)?;
    } else {
        let million = done.parameters as f64 / 1e6;
        let (folder, source) = (done.folder.display(), &done.source);
        let line = format!("{folder}: {} tensors, {million:.2} M parameters, of {source}", done.tensors);
        print(printable(&line) + "\n")?;
    }
    Ok(Conclusion::Done)
}
