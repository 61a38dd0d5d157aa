//! What an ablation found: a line a variant, mean and deviation over seeds, and the same as a report.

use jepa3d_inspect::{Provenance, Report, ReportCell, ReportSection, ReportTable};
use jepa3d_probe::MeanDeviation;
use serde::Serialize;

use super::trial::{Measure, TrialEnd, TrialResult};

/// Everything that an ablation found.
#[derive(Serialize)]
pub(super) struct AblationOutcome {
    pub name: String,
    pub base: String,
    pub seeds: Vec<u64>,
    pub fingerprint: String,
    pub tool_version: String,
    /// How the numbers were measured.
    pub measured: String,
    pub lines: Vec<AblationLine>,
}

/// A variant, or the random weights.
#[derive(Serialize)]
pub(super) struct AblationLine {
    pub name: String,
    pub folder: String,
    /// In what it differs from the base.
    pub differs: Vec<String>,
    pub runs: Vec<TrialResult>,
    /// Over the runs that have the number.
    pub summary: Vec<MeasureSpread>,
}

/// A number over several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct MeasureSpread {
    pub name: String,
    pub mean: f64,
    /// With `n - 1`; 0 of one.
    pub deviation: f64,
    pub runs: usize,
}

impl AblationLine {
    /// A line of runs; what failed is left out of the means.
    pub(super) fn new(name: &str, folder: &str, differs: &[String], runs: Vec<TrialResult>) -> Self {
        let summary = summarize(&runs);
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Self { name, folder, differs: differs.to_vec(), runs, summary }
    }

    /// Runs that did not end well, in words.
    fn remarks(&self) -> Vec<String> {
        let remark = |run: &TrialResult| match &run.end {
            TrialEnd::Done => None,
            TrialEnd::Collapsed => Some(format!("seed {} collapsed", run.seed)),
            TrialEnd::Failed(why) => Some(format!("seed {} failed: {why}", run.seed)),
        };
        self.runs.iter().filter_map(remark).collect()
    }
}

/// Mean and deviation of every number, in the order of the first run that has it.
fn summarize(runs: &[TrialResult]) -> Vec<MeasureSpread> {
    let mut names: Vec<&str> = Vec::new();
    for Measure { name, .. } in runs.iter().flat_map(|run| &run.measures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let spread = |name: &str| {
        let of = |run: &TrialResult| run.measures.iter().find(|m| m.name == name).map(|m| m.value);
        let values: Vec<f64> = runs.iter().filter_map(of).collect();
        let MeanDeviation { mean, deviation } = MeanDeviation::measure(&values);
        MeasureSpread { name: name.to_owned(), mean, deviation, runs: values.len() }
    };
    names.into_iter().map(spread).collect()
}

impl AblationOutcome {
    /// Whether every run ended well.
    pub(super) fn is_whole(&self) -> bool {
        self.lines.iter().all(|line| line.remarks().is_empty())
    }

    /// Names of the numbers, in the order of the first line that has them.
    fn measures(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for spread in self.lines.iter().flat_map(|line| &line.summary) {
            if !names.contains(&spread.name.as_str()) {
                names.push(&spread.name);
            }
        }
        names
    }

    /// The table as text: numbers first, then what each line differs in, then what went wrong.
    pub(super) fn print(&self) -> String {
        let measures = self.measures();
        let mut rows = vec![std::iter::once("").chain(measures.iter().copied()).map(str::to_owned).collect()];
        for line in &self.lines {
            let mut row = vec![line.name.clone()];
            row.extend(measures.iter().map(|name| print_spread(line, name)));
            rows.push(row);
        }
        let mut text = jepa3d_probe::align_rows(&rows);
        text += &format!(
            "{}; mean +- deviation over seeds {}\n",
            self.measured,
            self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
        );
        for line in self.lines.iter().filter(|line| !line.differs.is_empty()) {
            text += &format!("{}: {}\n", line.name, line.differs.join(", "));
        }
        for line in &self.lines {
            line.remarks().iter().for_each(|remark| text += &format!("{}: {remark}\n", line.name));
        }
        text
    }

    /// The same as a report.
    pub(super) fn report(&self, provenance: Provenance) -> Report {
        let mut report = Report::new(format!("Ablation: {}", self.name), provenance);
        report.add_fact("base", &self.base);
        report.add_fact("lines", self.lines.len().to_string());
        report.add_fact("seeds", self.seeds.len().to_string());
        let measures = self.measures();
        let header = std::iter::once("").chain(measures.iter().copied()).map(str::to_owned).collect();
        let numbers = |line: &AblationLine| -> Vec<ReportCell> {
            let cell = |name: &&str| match line.summary.iter().find(|s| s.name == *name) {
                Some(spread) => ReportCell::spread(spread.mean, spread.deviation, 1),
                None => ReportCell::text("-"),
            };
            std::iter::once(ReportCell::text(&line.name)).chain(measures.iter().map(cell)).collect()
        };
        report.add(ReportSection::Table(ReportTable {
            caption: "Variants".to_owned(),
            header,
            rows: self.lines.iter().map(numbers).collect(),
            note: format!("{}; mean and deviation over the seeds that ran to their end.", self.measured),
        }));
        let words = |line: &AblationLine| {
            let differs =
                if line.differs.is_empty() { "nothing".to_owned() } else { line.differs.join(", ") };
            let remarks = line.remarks();
            let remarks = if remarks.is_empty() { "all ended well".to_owned() } else { remarks.join("; ") };
            [&line.name, &differs, &remarks].map(ReportCell::text).to_vec()
        };
        report.add(ReportSection::Table(ReportTable {
            caption: "What each line differs in".to_owned(),
            header: ["", "differs from the base in", "runs"].map(str::to_owned).to_vec(),
            rows: self.lines.iter().map(words).collect(),
            note: String::new(),
        }));
        report
    }
}

/// Mean and deviation of a number, and of how many runs if not of all.
fn print_spread(line: &AblationLine, name: &str) -> String {
    let Some(spread) = line.summary.iter().find(|spread| spread.name == name) else { return "-".to_owned() };
    let few = if spread.runs < line.runs.len() { format!(" ({})", spread.runs) } else { String::new() };
    match line.runs.len() {
        1 => format!("{:.1}", spread.mean),
        _ => format!("{:.1} +- {:.1}{few}", spread.mean, spread.deviation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, end: TrialEnd, values: &[(&str, f64)]) -> TrialResult {
        let measure = |&(name, value): &(&str, f64)| Measure { name: name.to_owned(), value };
        TrialResult { seed, end, checkpoint: None, measures: values.iter().map(measure).collect() }
    }

    #[test]
    fn what_failed_is_named_and_left_out_of_the_means() {
        let failed = run(3, TrialEnd::Failed("the loss is NaN".into()), &[]);
        let runs = vec![
            run(1, TrialEnd::Done, &[("svm", 80.0)]),
            run(2, TrialEnd::Collapsed, &[("svm", 84.0)]),
            failed,
        ];
        let line = AblationLine::new("wide", "wide", &["predictor.width 96 instead of 48".into()], runs);
        let base = AblationLine::new("base", "base", &[], vec![run(1, TrialEnd::Done, &[("svm", 70.0)])]);
        let outcome = AblationOutcome {
            name: "a".into(),
            base: "b".into(),
            seeds: vec![1, 2, 3],
            fingerprint: "f".into(),
            tool_version: "0".into(),
            measured: "in percent".into(),
            lines: vec![base, line],
        };
        let text = outcome.print();
        let expected = "                  svm\nbase             70.0\nwide  82.0 +- 2.8 (2)\n\
            in percent; mean +- deviation over seeds 1, 2, 3\nwide: predictor.width 96 instead of 48\n\
            wide: seed 2 collapsed\nwide: seed 3 failed: the loss is NaN\n";
        assert_eq!(text, expected);
        assert!(!outcome.is_whole());
    }
}
