//! `jepa3d completions`: what a shell needs to complete verbs and options.

use clap_complete::Shell;

use super::{Conclusion, print_raw};

/// Arguments of `completions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For which shell; e.g. `jepa3d completions bash > ~/.local/share/bash-completion/completions/jepa3d`.
    shell: Shell,
}

/// Prints the script of a shell for a command line.
pub(crate) fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<Conclusion> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "jepa3d", &mut script);
    print_raw(String::from_utf8_lossy(&script))?;
    Ok(Conclusion::Done)
}
