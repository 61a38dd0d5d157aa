//! Probe tables as plain text: a column an encoder, a line a measure, and below how it was measured.

use std::fmt::Write;

use crate::config::Evaluation;
use crate::few_labels::FEW_LABELS_C;
use crate::parts::Choice;
use crate::statistics::MeanDeviation;
use crate::svm::Solver;
use crate::table::{ProbeLine, ProbeTable};

/// The probes of one encoder: one table a seed.
#[derive(Clone, Copy, Debug)]
pub struct ProbeColumn<'a> {
    /// Heading, for example `pretrained`.
    pub title: &'a str,
    /// Seeds of the runs, in the order of the tables.
    pub seeds: &'a [u64],
    /// Tables with the same lines.
    pub tables: &'a [ProbeTable],
}

impl ProbeColumn<'_> {
    /// A line of the table: of one table with its deviation over draws, of several with mean and deviation over them.
    pub fn measure_line(&self, name: &str) -> Option<ProbeLine> {
        let lines: Vec<&ProbeLine> =
            self.tables.iter().filter_map(|t| t.lines.iter().find(|line| line.name == name)).collect();
        match lines.as_slice() {
            [] => None,
            [line] => Some((*line).clone()),
            _ => {
                let values: Vec<f64> = lines.iter().map(|line| line.value).collect();
                let MeanDeviation { mean, deviation } = MeanDeviation::measure(&values);
                Some(ProbeLine { name: name.to_owned(), value: mean, deviation: Some(deviation) })
            }
        }
    }
}

/// The columns side by side, then how they were measured.
///
/// A column of one table shows the deviation over draws where a line has one; a column of several tables shows mean and
/// deviation over them.
pub fn print_columns(columns: &[ProbeColumn<'_>]) -> String {
    let Some(first) = columns.iter().find_map(|column| column.tables.first()) else { return String::new() };
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(columns.iter().map(|column| column.title.to_owned()));
    for line in &first.lines {
        let mut row = vec![line.name.clone()];
        row.extend(columns.iter().map(|column| print_cell(column, &line.name)));
        rows.push(row);
    }
    align_rows(&rows) + "\n" + &describe_columns(columns)
}

/// How columns were measured, a fact a line.
pub fn describe_columns(columns: &[ProbeColumn<'_>]) -> String {
    let Some(first) = columns.iter().find_map(|column| column.tables.first()) else { return String::new() };
    let mut out = String::new();
    for left_out in &first.left_out {
        let _ = writeln!(out, "left out: {left_out}");
    }
    for column in columns {
        out.push_str(&print_deviation(column));
    }
    out.push_str(&print_settings(first));
    for column in columns {
        out.push_str(&print_choices(column));
    }
    out
}

/// Rows of equally many cells as lines: names to the left, numbers to the right, two blanks between columns.
pub fn align_rows(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut text = String::new();
        for (c, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = if c == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Mean and deviation, to a tenth.
pub(crate) fn print_spread(mean: f64, deviation: f64) -> String {
    format!("{mean:.1} +- {deviation:.1}")
}

fn print_cell(column: &ProbeColumn<'_>, name: &str) -> String {
    match column.measure_line(name) {
        None => "-".to_owned(),
        Some(ProbeLine { value, deviation: Some(deviation), .. }) => print_spread(value, deviation),
        Some(ProbeLine { value, .. }) => format!("{value:.1}"),
    }
}

/// What the deviations of a column are over.
fn print_deviation(column: &ProbeColumn<'_>) -> String {
    let over = match column.tables {
        [] => return String::new(),
        [table] if table.lines.iter().all(|line| line.deviation.is_none()) => return String::new(),
        [table] => format!("{} draws of the labels", table.config.draws),
        tables => format!("{} seeds", tables.len()),
    };
    format!("{}: +- over {over}\n", column.title)
}

/// What all columns share.
fn print_settings(table: &ProbeTable) -> String {
    let config = &table.config;
    let solver = match config.solver {
        Solver::OneVsOne => "one-vs-one, hinge loss, free bias (SVC)",
        Solver::OneVsRest => "one-vs-rest, squared hinge loss, penalised bias (LinearSVC)",
    };
    let part = match &config.evaluation {
        Evaluation::Validation => format!("a fixed fifth of {} by hash of the id", config.training_split),
        Evaluation::Split(split) => format!("the split {split}"),
    };
    let mut out = format!(
        "accuracies in percent on {} samples ({part}); fitted on {} samples, {} classes, width {}\n\
         pooling {}; FPS start {}; SVM {solver}; standardised by mean and deviation of the training part\n",
        table.n_evaluation, table.n_train, table.classes, table.width, config.pooling, config.fps_start,
    );
    let _ = writeln!(
        out,
        "C chosen from {} by {} folds of the training part; kNN by cosine, standardised; few labels: {} fixed draws, \
         standardised, one-vs-one, C = {}",
        config.standardised_grid.iter().map(f64::to_string).collect::<Vec<_>>().join(", "),
        config.folds,
        config.draws,
        FEW_LABELS_C,
    );
    out
}

/// What was chosen for each table of a column.
fn print_choices(column: &ProbeColumn<'_>) -> String {
    let mut out = String::new();
    for (i, table) in column.tables.iter().enumerate() {
        let seed = column.seeds.get(i).map_or_else(|| "-".to_owned(), u64::to_string);
        let Some(c) = table.chosen_c else {
            let _ = writeln!(out, "{}, seed {seed}", column.title);
            continue;
        };
        let _ = writeln!(
            out,
            "{}, seed {seed}: C = {c}; inside the training part, standardised {}; raw {}",
            column.title,
            print_grid(&table.standardised_choices),
            print_grid(&table.raw_choices),
        );
        if table.unconverged > 0 {
            let _ = writeln!(out, "  {} binary problems stopped before their tolerance", table.unconverged);
        }
    }
    out
}

fn print_grid(choices: &[Choice]) -> String {
    let all: Vec<_> = choices.iter().map(|choice| format!("{}: {:.1}", choice.c, choice.accuracy)).collect();
    all.join(", ")
}
