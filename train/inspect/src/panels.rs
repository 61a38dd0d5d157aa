//! Which curves stand together in a plot of a run, and what they are called.

use jepa3d_charts::{COLORS, Curve, CurvePanel, ReferenceValue, ValueSpan};
use jepa3d_train::Logged;

/// Lines below which `pred_std` and `target_std` tell of collapse (method, 7.2).
const ALARMS: [(f64, &str); 2] = [(0.01, "#ee6677"), (0.1, "#4477aa")];

/// The panels of a record, those without a curve left out.
pub(super) fn panels(log: &[Logged]) -> Vec<CurvePanel> {
    let mut panels = vec![
        panel("loss", ValueSpan::Values, starting_with(log, "loss")),
        spread(log),
        panel("gradient norm", ValueSpan::FromZero, named(log, &[("grad_norm", "before clipping")])),
        schedules(log),
        probe(log),
        shares("variance explained by position alone", starting_with(log, "position/")),
        panel("effective rank of features", ValueSpan::FromZero, starting_with(log, "rank")),
        shares("share of target variance predicted (R²)", named(log, &[("r2", "prediction")])),
        speed(log),
    ];
    panels.retain(|panel| !panel.curves.is_empty());
    panels
}

fn panel(title: &'static str, span: ValueSpan, curves: Vec<Curve>) -> CurvePanel {
    CurvePanel { title, curves, references: Vec::new(), note: "", span, percent: false, right_percent: false }
}

fn shares(title: &'static str, curves: Vec<Curve>) -> CurvePanel {
    CurvePanel { percent: true, ..panel(title, ValueSpan::Unit, curves) }
}

fn spread(log: &[Logged]) -> CurvePanel {
    let curves = named(log, &[("target_std", "targets"), ("pred_std", "predictions")]);
    let references = ALARMS.map(|(value, color)| ReferenceValue { value, color }).to_vec();
    let title = "standard deviation over rows, mean of channels";
    CurvePanel { references, note: "dashed: alarm below", ..panel(title, ValueSpan::FromZero, curves) }
}

fn schedules(log: &[Logged]) -> CurvePanel {
    let mut curves = named(log, &[("lr", "learning rate (left)"), ("tau", "tau (right)")]);
    let alone = curves.len() < 2;
    for curve in &mut curves {
        curve.right = !alone && curve.name.starts_with("tau");
    }
    panel("schedules", ValueSpan::Values, curves)
}

fn speed(log: &[Logged]) -> CurvePanel {
    let mut curves = named(log, &[("samples_per_s", "samples/s (left)")]);
    let waiting = |entry: &Logged| {
        let (data, step) = (entry.values.get("data_ms")?, entry.values.get("step_ms")?);
        Some((entry.step as f64, data / step))
    };
    let points: Vec<(f64, f64)> = log.iter().filter_map(waiting).filter(|p| p.1.is_finite()).collect();
    let right = !curves.is_empty();
    if !points.is_empty() {
        let name = if right { "data / step time (right)" } else { "data / step time" };
        curves.push(Curve { name: name.to_owned(), color: COLORS[1], points, right });
    }
    CurvePanel { right_percent: right, percent: !right, ..panel("speed", ValueSpan::FromZero, curves) }
}

/// The probe's lines; random weights are the dashed ones, or else the values before the first step.
fn probe(log: &[Logged]) -> CurvePanel {
    let curves = starting_with(log, "probe/");
    let reference = |curve: &Curve| {
        let random = points(log, &format!("random/{}", curve.name));
        let before = curve.points.first().filter(|p| p.0 == 0.0);
        Some(ReferenceValue { value: random.last().or(before)?.1, color: curve.color })
    };
    let references: Vec<ReferenceValue> = curves.iter().filter_map(reference).collect();
    let note = if references.is_empty() { "" } else { "dashed: random weights" };
    let curves = curves.into_iter().map(|c| Curve { name: probe_name(&c.name), ..c }).collect();
    let panel = panel("probe accuracy, validation part", ValueSpan::Tenths, curves);
    CurvePanel { references, note, percent: true, ..panel }
}

/// `knn20` as people say it.
fn probe_name(name: &str) -> String {
    let number = |prefix: &str| name.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok());
    match (number("knn"), number("labels")) {
        (Some(k), _) => format!("kNN-{k}"),
        (_, Some(1)) => "1 label a class".to_owned(),
        (_, Some(n)) => format!("{n} labels a class"),
        _ if name.starts_with("svm") => name.replacen("svm", "SVM", 1).replace('_', " "),
        _ => name.replace('_', " "),
    }
}

fn points(log: &[Logged], name: &str) -> Vec<(f64, f64)> {
    let value = |entry: &Logged| Some((entry.step as f64, *entry.values.get(name)?));
    log.iter().filter_map(value).filter(|p| p.1.is_finite()).collect()
}

/// The curves of the given names, called as given; those without a point left out.
fn named(log: &[Logged], names: &[(&str, &str)]) -> Vec<Curve> {
    let curve = |(i, (name, title)): (usize, &(&str, &str))| {
        let points = points(log, name);
        let color = COLORS[i % COLORS.len()];
        (!points.is_empty()).then(|| Curve { name: (*title).to_owned(), color, points, right: false })
    };
    names.iter().enumerate().filter_map(curve).collect()
}

/// The curves whose name is `prefix`, or goes on from it; called by what follows.
fn starting_with(log: &[Logged], prefix: &str) -> Vec<Curve> {
    let continues = |name: &&str| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
    };
    let all = log.iter().flat_map(|entry| entry.values.keys().map(String::as_str));
    let mut names: Vec<&str> = all.filter(continues).collect();
    names.sort_by_key(|name| natural(name));
    names.dedup();
    let title = |name: &str| match name.strip_prefix(prefix).unwrap_or(name).trim_start_matches('/') {
        "" => "training".to_owned(),
        rest => rest.to_owned(),
    };
    let titles: Vec<String> = names.iter().map(|name| title(name)).collect();
    let pairs: Vec<(&str, &str)> = names.into_iter().zip(titles.iter().map(String::as_str)).collect();
    named(log, &pairs)
}

/// Sorts `labels5` before `labels20`.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn entry(step: u64, values: &[(&str, f64)]) -> Logged {
        let values: BTreeMap<String, f64> = values.iter().map(|(n, x)| ((*n).to_owned(), *x)).collect();
        Logged { step, epoch: 0.0, values }
    }

    #[test]
    fn panels_hold_what_was_logged() {
        let log = [
            entry(0, &[("probe/labels20", 0.5), ("probe/knn20", 0.6), ("random/knn20", 0.8)]),
            entry(1, &[("loss", 1.0), ("lr", 1e-3), ("tau", 0.99), ("losses", 3.0)]),
            entry(2, &[("loss", f64::NAN), ("probe/labels5", 0.4), ("step_ms", 100.0), ("data_ms", 2.0)]),
        ];
        let all = panels(&log);
        let titles: Vec<&str> = all.iter().map(|p| p.title).collect();
        assert_eq!(titles, ["loss", "schedules", "probe accuracy, validation part", "speed"]);
        assert_eq!(all[0].curves.len(), 1, "`losses` is another word");
        assert_eq!(all[0].curves[0].points, [(1.0, 1.0)], "NaN is no point");
        let right: Vec<bool> = all[1].curves.iter().map(|c| c.right).collect();
        assert_eq!(right, [false, true]);
        let names: Vec<&str> = all[2].curves.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["kNN-20", "5 labels a class", "20 labels a class"]);
        let values: Vec<f64> = all[2].references.iter().map(|r| r.value).collect();
        assert_eq!(values, [0.8, 0.5], "random weights, or else the first probe");
        assert_eq!(all[3].curves[0].points, [(2.0, 0.02)]);
        assert!(panels(&[]).is_empty());
    }
}
