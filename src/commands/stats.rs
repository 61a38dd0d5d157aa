//! `jepa3d stats`: what is in a prepared dataset?

use std::path::PathBuf;

use jepa3d_schemas::remove_temporaries;

use super::{Conclusion, print, print_json, tell};

/// Arguments of `stats`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the prepared dataset.
    folder: PathBuf,
    /// Also write plots (PNG) into this folder.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Print the statistics as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    let stats = jepa3d_pipeline::stats(&args.folder)?;
    if args.json {
        print_json(&stats)?;
    } else {
        print(stats.to_string())?;
    }
    if let Some(out) = &args.plots {
        remove_temporaries(out)?;
        for plot in jepa3d_pipeline::plots(&args.folder, out)? {
            tell(format_args!("wrote {}", plot.display()));
        }
    }
    Ok(Conclusion::Done)
}
