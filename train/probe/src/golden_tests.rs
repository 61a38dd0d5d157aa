//! Against sklearn and numpy: `goldens/evaluate.json`, made by `goldens/make_goldens.py`.

use serde::Deserialize;

use super::*;
use crate::knn::nearest_neighbours;

#[derive(Deserialize)]
struct Goldens {
    svm: Vec<SvmCase>,
    rank: Vec<RankCase>,
    position: PositionCase,
}

#[derive(Deserialize)]
struct SvmCase {
    name: String,
    width: usize,
    n_train: usize,
    labels: Vec<i32>,
    values: Vec<f32>,
    fits: Vec<Fit>,
    neighbours: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Fit {
    c: f64,
    svc: Vec<i32>,
    objectives: Vec<f64>,
    linear_svc: Vec<i32>,
    linear_decisions: Vec<f64>,
}

#[derive(Deserialize)]
struct RankCase {
    width: usize,
    values: Vec<f32>,
    rank: f64,
}

#[derive(Deserialize)]
struct PositionCase {
    per_cloud: usize,
    width: usize,
    centers: Vec<f32>,
    vectors: Vec<f32>,
    waves: Vec<[f64; 4]>,
    share: f64,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("../goldens/evaluate.json")).unwrap()
}

impl SvmCase {
    fn examples(&self) -> Examples<'_> {
        let values = &self.values[..self.n_train * self.width];
        Examples { values, width: self.width, labels: &self.labels[..self.n_train] }
    }

    fn asked(&self) -> &[f32] {
        &self.values[self.n_train * self.width..]
    }
}

#[test]
fn one_vs_one_is_svc() {
    for case in goldens().svm {
        let grid: Vec<f64> = case.fits.iter().map(|fit| fit.c).collect();
        let path = LinearSvm::fit_grid(case.examples(), Solver::OneVsOne, &grid).unwrap();
        for (fit, warm) in case.fits.iter().zip(&path) {
            let cold = LinearSvm::fit(case.examples(), Solver::OneVsOne, fit.c).unwrap();
            for svm in [&cold, warm] {
                assert_eq!(svm.unconverged(), 0);
                assert_eq!(svm.predict(case.asked()), fit.svc, "{}, C = {}", case.name, fit.c);
                for (found, expected) in svm.objectives().iter().zip(&fit.objectives) {
                    let gap = (found - expected).abs() / expected.abs();
                    assert!(gap < 1e-3, "{}, C = {}: {found} {expected}", case.name, fit.c);
                }
            }
        }
    }
}

#[test]
fn one_vs_rest_is_linear_svc() {
    for case in goldens().svm {
        for fit in &case.fits {
            let svm = LinearSvm::fit(case.examples(), Solver::OneVsRest, fit.c).unwrap();
            assert_eq!(svm.predict(case.asked()), fit.linear_svc, "{}, C = {}", case.name, fit.c);
            for (found, expected) in svm.decisions(case.asked()).iter().zip(&fit.linear_decisions) {
                assert!((found - expected).abs() < 2e-4, "{}, C = {}: {found} {expected}", case.name, fit.c);
            }
        }
    }
}

#[test]
fn both_ways_of_one_vs_rest_find_the_same_optimum() {
    for case in goldens().svm {
        let (examples, design) = (case.examples(), primal::Design::new(case.examples()));
        for fit in &case.fits {
            let svm = LinearSvm::fit(examples, Solver::OneVsRest, fit.c).unwrap();
            for (class, &objective) in examples.classes().iter().zip(svm.objectives()) {
                let signs: Vec<f64> =
                    examples.labels.iter().map(|label| if label == class { 1.0 } else { -1.0 }).collect();
                let optimum = design.solve(&signs, fit.c);
                assert!(optimum.has_converged);
                let gap = (optimum.objective - objective).abs() / objective.abs();
                assert!(gap < 1e-9, "{}, C = {}, class {class}: {gap}", case.name, fit.c);
            }
        }
    }
}

#[test]
fn neighbours_are_those_of_sklearn() {
    for case in goldens().svm {
        // Every example is a class of its own, so the winner of one vote is the nearest itself.
        let labels: Vec<i32> = (0..case.n_train as i32).collect();
        let examples = Examples { labels: &labels, ..case.examples() };
        let found = nearest_neighbours(examples, case.asked(), 1).unwrap();
        let expected: Vec<i32> = case.neighbours.iter().map(|near| near[0] as i32).collect();
        let wrong = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert!(wrong <= 1, "{}: {wrong} of {}", case.name, found.len());
    }
}

#[test]
fn effective_rank_is_that_of_numpy() {
    for case in goldens().rank {
        let found = effective_rank(&case.values, case.width).unwrap();
        assert!((found - case.rank).abs() < 1e-6 * case.rank, "{found} {}", case.rank);
    }
}

#[test]
fn position_share_is_that_of_ridge() {
    let case = goldens().position;
    let patches = PatchVectors {
        vectors: &case.vectors,
        width: case.width,
        centers: &case.centers,
        per_cloud: case.per_cloud,
    };
    let found = PositionBasis::of_waves(case.waves).share(patches).unwrap();
    assert!((found - case.share).abs() < 1e-6, "{found} {}", case.share);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let goldens = goldens();
    let case = &goldens.svm[0];
    let all = || {
        let fit = |solver| LinearSvm::fit(case.examples(), solver, 0.3).unwrap().decisions(case.asked());
        let share = PositionBasis::default().share(PatchVectors {
            vectors: &goldens.position.vectors,
            width: goldens.position.width,
            centers: &goldens.position.centers,
            per_cloud: goldens.position.per_cloud,
        });
        (fit(Solver::OneVsOne), fit(Solver::OneVsRest), share.unwrap())
    };
    let on =
        |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all);
    let one = on(1);
    assert!([2, 5].into_iter().all(|threads| on(threads) == one));
}
