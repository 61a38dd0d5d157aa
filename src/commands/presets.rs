//! `jepa3d presets`: which configs are built in, or one of them to edit.

use super::{Conclusion, print};
use crate::presets::{PRESETS, find};

/// Arguments of `presets`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print this one, to edit; without a name, list all with a line each.
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Conclusion> {
    match &args.name {
        Some(name) => print(find(name)?.toml)?,
        None => print(list())?,
    }
    Ok(Conclusion::Done)
}

/// Verb, name and summary of each, in columns.
fn list() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or_default();
    let line = |preset: &crate::presets::Preset| {
        let verb = preset.verb.to_string();
        format!("{verb:<8}  {:<width$}  {}\n", preset.name, preset.summary())
    };
    PRESETS.iter().map(line).collect()
}
