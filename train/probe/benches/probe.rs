//! How long do our linear SVMs and the whole probe take? Called by `probe_peers.py`, which gives the same to sklearn.
//!
//! `probe fit VALUES LABELS WIDTH N_TRAIN SOLVER C` fits on the first `N_TRAIN` rows and classifies the others;
//! `probe table VALUES LABELS WIDTH` measures the table, `probe light ...` its light form. Files are raw `f32` and `i32`.

use std::time::Instant;

use jepa3d_probe::{
    Examples, Extent, FeatureSet, LinearSvm, ProbeColumn, ProbeConfig, Solver, print_columns, probe,
};

fn numbers<T>(path: &str, from: fn([u8; 4]) -> T) -> Vec<T> {
    let bytes = std::fs::read(path).expect("the file of numbers is readable");
    bytes.chunks_exact(4).map(|b| from([b[0], b[1], b[2], b[3]])).collect()
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [mode, values, labels, width, rest @ ..] = arguments.as_slice() else {
        eprintln!(
            "usage: probe fit VALUES LABELS WIDTH N_TRAIN SOLVER C | probe table|light VALUES LABELS WIDTH"
        );
        return;
    };
    let (values, labels) = (numbers(values, f32::from_le_bytes), numbers(labels, i32::from_le_bytes));
    let width: usize = width.parse().expect("width is a number");
    match (mode.as_str(), rest) {
        ("fit", [n, solver, c]) => {
            let solver = if solver == "ovo" { Solver::OneVsOne } else { Solver::OneVsRest };
            let n: usize = n.parse().expect("N_TRAIN is a number");
            let (known, asked) = values.split_at(n * width);
            let (labels, expected) = labels.split_at(n);
            let examples = Examples { values: known, width, labels };
            fit(examples, asked, expected, solver, c.parse().expect("C is a number"));
        }
        _ => table(values, &labels, width, mode),
    }
}

/// Fits on the examples, classifies `asked`.
fn fit(examples: Examples<'_>, asked: &[f32], expected: &[i32], solver: Solver, c: f64) {
    let start = Instant::now();
    let svm = LinearSvm::fit(examples, solver, c).expect("features are well formed");
    let fitted = start.elapsed().as_secs_f64();
    let found = svm.predict(asked);
    let predicted = start.elapsed().as_secs_f64() - fitted;
    let right = found.iter().zip(expected).filter(|(a, b)| a == b).count();
    let accuracy = 100.0 * right as f64 / found.len() as f64;
    let (objective, unconverged) = (svm.objectives().iter().sum::<f64>(), svm.unconverged());
    println!(
        "{{\"fit_s\": {fitted}, \"predict_s\": {predicted}, \"accuracy\": {accuracy}, \
         \"objective\": {objective}, \"unconverged\": {unconverged}}}"
    );
}

fn table(values: Vec<f32>, labels: &[i32], width: usize, mode: &str) {
    let n = labels.len();
    let features = FeatureSet {
        ids: (0..n).map(|i| format!("sample-{i:05}")).collect(),
        labels: labels.iter().copied().map(Some).collect(),
        splits: vec!["train".to_owned(); n],
        width,
        values,
    };
    for (name, extent) in [("table", Extent::Full), ("light", Extent::Light)] {
        if name != mode {
            continue;
        }
        let start = Instant::now();
        let table = probe(&features, &ProbeConfig { extent, ..ProbeConfig::default() })
            .expect("features are well formed");
        let seconds = start.elapsed().as_secs_f64();
        let tables = [table];
        eprintln!("{}", print_columns(&[ProbeColumn { title: "features", seeds: &[], tables: &tables }]));
        println!("{{\"case\": \"{extent:?} table, {n} x {width}\", \"ours\": {seconds}, \"unit\": \"s\"}}");
    }
}
