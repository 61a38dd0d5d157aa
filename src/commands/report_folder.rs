//! What commands share that leave a report (`--out DIR`): the folder, and how the report was made.

use std::path::Path;

use anyhow::bail;
use jepa3d_inspect::{Provenance, REPORT_JSON, REPORT_PAGE, ReportFact, ReportTable};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::align_rows;
use jepa3d_schemas::printable;

use super::check_target;

/// Makes the folder of a report, and refuses one that could not be written in the end, before any work is done for it.
pub(crate) fn check_report_folder(option: &str, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() && !folder.is_dir() {
        bail!("{option} {}: expected a folder, found a file", folder.display());
    }
    std::fs::create_dir_all(folder).map_err(|e| jepa3d_schemas::Error::io(folder, e))?;
    check_target(option, &folder.join(REPORT_JSON))?;
    check_target(option, &folder.join(REPORT_PAGE))
}

/// How this process makes its report: its own line, what it read, and where it runs.
///
/// `encoders` are those that say where their weights come from.
pub(crate) fn describe_process(
    dataset: &PreparedDataset,
    encoders: &[String],
    seeds: &[u64],
    threads: usize,
) -> Provenance {
    let data = format!("{} (fingerprint {})", dataset.folder().display(), dataset.fingerprint());
    let mut inputs = vec![ReportFact::new("dataset", data)];
    inputs.extend(encoders.iter().map(|encoder| ReportFact::new("encoder", encoder)));
    Provenance {
        name: String::new(),
        command: command_line(std::env::args().skip(1)),
        seeds: seeds.to_vec(),
        inputs,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        processor: processor_name(),
        threads,
    }
}

/// The line that starts this tool with some arguments, as a shell reads it.
pub(crate) fn command_line(arguments: impl Iterator<Item = String>) -> String {
    std::iter::once("jepa3d".to_owned()).chain(arguments.map(|a| quote(&a))).collect::<Vec<_>>().join(" ")
}

fn quote(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

/// What the processor calls itself; elsewhere than on Linux its architecture.
fn processor_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find_map(|line| line.strip_prefix("model name"));
    let name = named.and_then(|rest| rest.split_once(':')).map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// A table as lines of text: names to the left, cells to the right, two blanks between columns.
pub(crate) fn print_table(table: &ReportTable) -> String {
    let mut rows = vec![table.header.iter().map(|name| printable(name)).collect::<Vec<_>>()];
    rows.extend(table.rows.iter().map(|row| row.iter().map(|cell| printable(&cell.text)).collect()));
    align_rows(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_that_a_shell_reads() {
        let arguments = ["probe", "a run", "--set", "x=[\"it's\"]", ""].map(str::to_owned);
        assert_eq!(command_line(arguments.into_iter()), r#"jepa3d probe 'a run' --set 'x=["it'\''s"]' ''"#);
    }
}
