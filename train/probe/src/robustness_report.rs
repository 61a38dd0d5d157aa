//! Robustness as rows and as plain text: a table a classifier, a line a corruption, random weights beside it.

use std::fmt::Write;

use crate::config::{Evaluation, ProbeConfig};
use crate::report::{align_rows, print_spread};
use crate::robustness::{CorruptionErrors, Judge, RobustnessTable};
use crate::statistics::MeanDeviation;

/// The runs of one preset: one table a seed, and random weights of the same seeds.
#[derive(Clone, Debug)]
pub struct RobustnessColumn<'a> {
    /// The preset.
    pub title: &'a str,
    /// Seeds of the runs, in the order of the tables.
    pub seeds: Vec<u64>,
    /// Tables with the same lines.
    pub pretrained: Vec<&'a RobustnessTable>,
    /// Those of random weights.
    pub random: Vec<&'a RobustnessTable>,
}

/// A number over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedSpread {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation; of one seed there is none.
    pub deviation: Option<f64>,
}

/// What is shown of a corruption, of clean clouds, or of all corruptions together.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustnessRow {
    /// The corruption, `clean` or `mean`.
    pub name: String,
    /// Accuracies in percent by severity; those of a corruption alone.
    pub severities: Vec<SeedSpread>,
    /// The same of random weights.
    pub random_severities: Vec<SeedSpread>,
    /// Mean over the severities.
    pub mean: SeedSpread,
    /// The same of random weights.
    pub random_mean: SeedSpread,
    /// `CE`, percent.
    pub error: Option<SeedSpread>,
    /// `RCE`, percent.
    pub relative: Option<SeedSpread>,
}

impl SeedSpread {
    /// Over numbers of several seeds; `None` of none.
    fn measure(values: &[f64]) -> Option<Self> {
        let MeanDeviation { mean, deviation } = MeanDeviation::measure(values);
        (!values.is_empty()).then(|| Self { mean, deviation: (values.len() > 1).then_some(deviation) })
    }

    /// Of every table.
    fn over(tables: &[&RobustnessTable], number: impl Fn(&RobustnessTable) -> f64) -> Self {
        let values: Vec<f64> = tables.iter().map(|table| number(table)).collect();
        Self::measure(&values).unwrap_or(Self { mean: 0.0, deviation: None })
    }

    fn print(self) -> String {
        self.deviation
            .map_or_else(|| format!("{:.1}", self.mean), |deviation| print_spread(self.mean, deviation))
    }
}

impl RobustnessColumn<'_> {
    /// Severities, ascending.
    pub fn severities(&self) -> Vec<usize> {
        let lines = self.pretrained.first().map_or(&[][..], |table| table.lines.as_slice());
        let mut all: Vec<usize> = lines.iter().map(|line| line.severity).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Clean clouds, every corruption, and all of them together.
    pub fn rows(&self, judge: Judge) -> Vec<RobustnessRow> {
        let names = self.pretrained.first().map_or_else(Vec::new, |table| table.corruptions());
        let errors: Vec<CorruptionErrors> = self
            .pretrained
            .iter()
            .zip(&self.random)
            .map(|(ours, base)| CorruptionErrors::measure(ours, base, judge))
            .collect();
        let both = |number: &dyn Fn(&RobustnessTable) -> f64| {
            [&self.pretrained, &self.random].map(|tables| SeedSpread::over(tables, number))
        };
        let row = |name: &str, means: [SeedSpread; 2]| RobustnessRow {
            name: name.to_owned(),
            severities: Vec::new(),
            random_severities: Vec::new(),
            mean: means[0],
            random_mean: means[1],
            error: None,
            relative: None,
        };
        let over = |number: &dyn Fn(&CorruptionErrors) -> Option<f64>| {
            SeedSpread::measure(&errors.iter().filter_map(number).collect::<Vec<f64>>())
        };
        let mut rows = vec![row("clean", both(&|table| table.clean.by(judge)))];
        rows.extend(names.iter().enumerate().map(|(at, name)| RobustnessRow {
            severities: by_severity(&self.pretrained, name, judge),
            random_severities: by_severity(&self.random, name, judge),
            error: over(&|errors| errors.each[at].error),
            relative: over(&|errors| errors.each[at].relative),
            ..row(name, both(&|table| average(&table.accuracies(name, judge))))
        }));
        rows.push(RobustnessRow {
            error: over(&|errors| errors.mean),
            relative: over(&|errors| errors.relative_mean),
            ..row("mean", both(&|table| average_all(table, judge)))
        });
        rows
    }

    fn print(&self, judge: Judge, config: &ProbeConfig) -> String {
        let severities = self.severities();
        let mut rows = vec![vec![format!("{}, {}", self.title, judge.name(config))]];
        rows[0].extend(severities.iter().map(usize::to_string));
        rows[0].extend(["mean", "random weights", "CE", "RCE"].map(str::to_owned));
        rows.extend(self.rows(judge).into_iter().map(|row| {
            let mut cells = vec![row.name];
            match row.severities.is_empty() {
                true => cells.extend(severities.iter().map(|_| String::new())),
                false => cells.extend(row.severities.iter().map(|cell| format!("{:.1}", cell.mean))),
            }
            cells.extend([row.mean, row.random_mean].map(SeedSpread::print));
            cells.extend(
                [row.error, row.relative].map(|cell| cell.map_or_else(String::new, SeedSpread::print)),
            );
            cells
        }));
        align_rows(&rows)
    }

    /// How the numbers came about.
    pub fn describe(&self, config: &ProbeConfig) -> String {
        let Some(table) = self.pretrained.first() else { return String::new() };
        let seeds = self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let part = match &config.evaluation {
            Evaluation::Validation => format!("a fixed fifth of {} by hash of the id", config.training_split),
            Evaluation::Split(split) => format!("the split {split}"),
        };
        format!(
            "{}: accuracies in percent on {} samples ({part}), classifiers fitted on {} clean ones, standardised; C chosen \
             inside the training part; pooling {}; {}",
            self.title,
            table.n_evaluation,
            table.n_train,
            config.pooling,
            match self.seeds.len() {
                1 => format!("seed {seeds}"),
                _ => format!("seeds {seeds}: means, +- over seeds"),
            },
        )
    }
}

/// Accuracies under a corruption, severity by severity.
fn by_severity(tables: &[&RobustnessTable], name: &str, judge: Judge) -> Vec<SeedSpread> {
    let count = tables.first().map_or(0, |table| table.accuracies(name, judge).len());
    (0..count).map(|at| SeedSpread::over(tables, |table| table.accuracies(name, judge)[at])).collect()
}

/// The mean over corruptions of the means over severities.
fn average_all(table: &RobustnessTable, judge: Judge) -> f64 {
    let means = table.corruptions().into_iter().map(|name| average(&table.accuracies(name, judge)));
    average(&means.collect::<Vec<f64>>())
}

fn average(values: &[f64]) -> f64 {
    MeanDeviation::measure(values).mean
}

/// The tables of every preset, then how they were measured.
pub fn print_robustness(columns: &[RobustnessColumn<'_>], config: &ProbeConfig) -> String {
    let mut out = String::new();
    for column in columns {
        for judge in [Judge::Svm, Judge::Neighbours] {
            out.push_str(&column.print(judge, config));
            out.push('\n');
        }
    }
    for column in columns {
        let _ = writeln!(out, "{}", column.describe(config));
    }
    let _ = writeln!(out, "{ERRORS_NOTE}");
    out
}

/// What the last two columns are.
pub const ERRORS_NOTE: &str = "CE: errors over all severities as a share of those of random weights, percent; RCE: the same of \
                               what is lost against clean clouds (PointCloud-C)";
