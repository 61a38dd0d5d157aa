//! Which of several runs are seeds of one experiment, and how each experiment is called in a table.

use std::path::{Component, Path, PathBuf};

use jepa3d_schemas::printable;
use jepa3d_train::{MonitorConfig, PretrainConfig, TrainRunConfig};

/// What a run is called: the name of its preset, if all runs of that preset were trained alike; else also what of its path is
/// its experiment's own. Runs that are called the same are seeds of one experiment.
pub(crate) fn name_experiments(runs: &[(PathBuf, PretrainConfig)]) -> Vec<String> {
    let recipes: Vec<String> = runs.iter().map(|(_, config)| read_recipe(config)).collect();
    let name = |i: usize| {
        let preset = &runs[i].1.preset;
        let is_kin = |j: &usize| runs[*j].1.preset == *preset;
        let kin: Vec<usize> = (0..runs.len()).filter(is_kin).collect();
        let seeds: Vec<usize> = kin.iter().copied().filter(|&j| recipes[j] == recipes[i]).collect();
        if seeds.len() == kin.len() {
            return printable(preset);
        }
        let of = |list: &[usize]| -> Vec<&Path> { list.iter().map(|&j| runs[j].0.as_path()).collect() };
        format!("{}: {}", printable(preset), printable(&find_own_part(&of(&seeds), &of(&kin))))
    };
    let names: Vec<String> = (0..runs.len()).map(name).collect();
    let tell_apart = |i: usize| {
        let is_other = |j: usize| names[j] == names[i] && recipes[j] != recipes[i];
        let first = (0..runs.len()).find(|&j| recipes[j] == recipes[i]).unwrap_or(i);
        match (0..runs.len()).any(is_other) {
            true => format!(
                "{}: {}",
                printable(&runs[i].1.preset),
                printable(&runs[first].0.display().to_string())
            ),
            false => names[i].clone(),
        }
    };
    (0..runs.len()).map(tell_apart).collect()
}

/// The config without what seeds of one experiment may differ in.
fn read_recipe(config: &PretrainConfig) -> String {
    let mut config = config.clone();
    config.run = TrainRunConfig {
        epochs: config.run.epochs,
        precision: config.run.precision,
        ..TrainRunConfig::default()
    };
    config.data.threads = 1;
    config.monitor = MonitorConfig::default();
    config.to_toml()
}

/// The folders and the file that paths have in common and `others` have not; of paths that have none, the first.
fn find_own_part(paths: &[&Path], others: &[&Path]) -> String {
    let parts = |path: &Path| -> Vec<String> {
        let named = path.components().filter(|part| matches!(part, Component::Normal(_)));
        named.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let first = parts(paths[0]);
    let is_shared = |at: usize, list: &[&Path]| list.iter().all(|path| parts(path).get(at) == first.get(at));
    let own: Vec<String> = (0..first.len())
        .filter(|&at| is_shared(at, paths) && !is_shared(at, others))
        .map(|at| first[at].clone())
        .collect();
    if own.is_empty() { paths[0].display().to_string() } else { own.join("/") }
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::ConfigText;

    use super::*;

    fn config(preset: &str, sets: &[&str]) -> PretrainConfig {
        let toml = format!(
            "preset = \"{preset}\"\n[model]\nwidth = 2\nheads = 1\n[predictor]\nwidth = 2\nheads = 1\n"
        );
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        PretrainConfig::parse(&ConfigText { origin: "a.toml".into(), toml }, &sets).unwrap()
    }

    fn names(runs: &[(&str, PretrainConfig)]) -> Vec<String> {
        let runs: Vec<_> = runs.iter().map(|(path, config)| (PathBuf::from(path), config.clone())).collect();
        name_experiments(&runs)
    }

    #[test]
    fn seeds_of_a_preset_are_one_experiment() {
        let seeds =
            [("a/last", config("p", &["run.seed=1"])), ("b", config("p", &["run.seed=2", "data.threads=3"]))];
        assert_eq!(names(&seeds), ["p", "p"]);
        assert_eq!(names(&[seeds[0].clone(), ("c", config("q", &[]))]), ["p", "q"]);
    }

    #[test]
    fn runs_of_a_preset_that_were_trained_otherwise_are_not_its_seeds() {
        let wide = |seed: &str| config("p", &["model.width=4", seed]);
        let runs = [
            ("abl/plain/seed-1/last", config("p", &["run.seed=1"])),
            ("abl/plain/seed-2/last", config("p", &["run.seed=2"])),
            ("abl/wide/seed-1/last", wide("run.seed=1")),
            ("abl/wide/seed-2/last", wide("run.seed=2")),
            ("other", config("q", &[])),
        ];
        assert_eq!(names(&runs), ["p: plain", "p: plain", "p: wide", "p: wide", "q"]);
        let elsewhere = [("runs/a", config("p", &[])), ("b", wide("run.seed=1"))];
        assert_eq!(names(&elsewhere), ["p: runs/a", "p: b"]);
        // What two experiments have of their own can be the same words at other depths.
        let crossed = [
            ("u/1/x", config("p", &["run.seed=1"])),
            ("v/1/x", config("p", &["run.seed=2"])),
            ("w/x", wide("run.seed=1")),
            ("w/1/y", config("p", &["model.depth=1"])),
        ];
        let found = names(&crossed);
        assert_eq!(found[0], found[1]);
        assert!(found[0] != found[2] && found[2] != found[3] && found[0] != found[3], "{found:?}");
    }
}
