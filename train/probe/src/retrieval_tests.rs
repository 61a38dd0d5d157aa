//! Retrieval and the principal plane against sklearn (`goldens/retrieval.json`) and against sorting everything.

use jepa3d_schemas::Draws;
use serde::Deserialize;

use super::*;
use crate::retrieval::average_precision;

#[derive(Deserialize)]
struct RetrievalGolden {
    width: usize,
    values: Vec<f32>,
    labels: Vec<i32>,
    n_train: usize,
    average_precisions: Vec<f64>,
    nearest: Vec<Vec<usize>>,
    recall: Vec<f64>,
    precision: Vec<f64>,
    places: Vec<[f64; 2]>,
    shares: [f64; 2],
}

fn golden() -> RetrievalGolden {
    serde_json::from_str(include_str!("../goldens/retrieval.json")).unwrap()
}

fn set(values: Vec<f32>, width: usize, labels: Vec<Option<i32>>, n_train: usize) -> FeatureSet {
    let n = labels.len();
    FeatureSet {
        ids: (0..n).map(|i| format!("s{i}")).collect(),
        labels,
        splits: (0..n).map(|i| if i < n_train { "train" } else { "test" }.to_owned()).collect(),
        width,
        values,
    }
}

fn ask(features: &FeatureSet, depth: usize) -> Result<Retrieval> {
    retrieve(features, &Evaluation::Split("test".to_owned()), "train", depth)
}

#[test]
fn ranks_and_precisions_are_those_of_sklearn() {
    let golden = golden();
    let labels = golden.labels.iter().copied().map(Some).collect();
    let found = ask(&set(golden.values, golden.width, labels, golden.n_train), 10).unwrap();
    assert_eq!(found.queries.len(), golden.average_precisions.len());
    for (query, (precision, nearest)) in
        found.queries.iter().zip(golden.average_precisions.iter().zip(&golden.nearest))
    {
        assert!((query.average_precision - precision).abs() < 1e-9, "{}", query.row);
        assert_eq!(&query.nearest, nearest);
    }
    let scores = found.scores();
    let mean = golden.average_precisions.iter().sum::<f64>() / golden.average_precisions.len() as f64;
    assert!((scores.mean_average_precision - 100.0 * mean).abs() < 1e-9);
    for (found, expected) in [(scores.recall, golden.recall), (scores.precision, golden.precision)] {
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
    }
    let by_class = found.scores_by_class();
    let weighted: f64 = by_class.values().map(|s| s.queries as f64 * s.mean_average_precision).sum();
    assert!((weighted / found.queries.len() as f64 - 100.0 * mean).abs() < 1e-9);
}

#[test]
fn the_plane_is_that_of_sklearn_up_to_signs() {
    let golden = golden();
    let found = principal_plane(&golden.values, golden.width).unwrap();
    for axis in 0..2 {
        let sign = (found.places[0][axis] * golden.places[0][axis]).signum();
        let apart = found.places.iter().zip(&golden.places).map(|(a, b)| (a[axis] - sign * b[axis]).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-4);
        assert!((found.shares[axis] - golden.shares[axis]).abs() < 1e-6);
    }
}

/// Cosines in double precision of standardised features, everything sorted, every precision counted anew.
fn rank_slowly(features: &FeatureSet, n_train: usize, query: usize) -> Vec<usize> {
    let row = |i: usize| &features.values[i * features.width..][..features.width];
    let moments: Vec<(f64, f64)> = (0..features.width)
        .map(|c| {
            let column: Vec<f64> = (0..n_train).map(|i| f64::from(row(i)[c])).collect();
            let mean = column.iter().sum::<f64>() / n_train as f64;
            (mean, (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n_train as f64).sqrt())
        })
        .collect();
    let standard = |i: usize| -> Vec<f64> {
        row(i).iter().zip(&moments).map(|(&x, (m, d))| (f64::from(x) - m) / d).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let asked = standard(query);
    let cosine = |i: usize| {
        let known = standard(i);
        dot(&asked, &known) / (dot(&asked, &asked) * dot(&known, &known)).sqrt()
    };
    let mut order: Vec<(f64, usize)> = (0..n_train).map(|i| (-cosine(i), i)).collect();
    order.sort_by(|a, b| a.partial_cmp(b).unwrap());
    order.into_iter().map(|(_, i)| i).collect()
}

#[test]
fn equals_sorting_everything() {
    for seed in 0..6 {
        let mut draws = Draws::new(seed, "retrieval", "test");
        let (n_train, n, width) = (40 + draws.index(60), 130, 6);
        let classes = 2 + draws.index(5);
        let values = (0..n * width).map(|_| draws.normal() as f32).collect();
        let labels: Vec<Option<i32>> =
            (0..n).map(|_| (!draws.chance(0.1)).then(|| draws.index(classes) as i32)).collect();
        let features = set(values, width, labels.clone(), n_train);
        let found = ask(&features, 7).unwrap();
        for query in &found.queries {
            let mut order = rank_slowly(&features, n_train, query.row);
            order.retain(|&i| labels[i].is_some());
            assert_eq!(query.nearest, order[..7]);
            let is_right: Vec<bool> = order.iter().map(|&i| labels[i] == Some(query.label)).collect();
            let at = |k: usize| is_right[..k].iter().filter(|x| **x).count() as f64 / k as f64;
            let ranks: Vec<usize> = (1..=order.len()).filter(|&k| is_right[k - 1]).collect();
            let expected = ranks.iter().map(|&k| at(k)).sum::<f64>() / ranks.len() as f64;
            assert!((query.average_precision - expected).abs() < 1e-12);
        }
        let scores = found.scores();
        for k in 1..=7 {
            let hit = found.queries.iter().filter(|q| q.is_right[..k].contains(&true)).count();
            assert!((scores.recall[k - 1] - 100.0 * hit as f64 / found.queries.len() as f64).abs() < 1e-9);
        }
    }
}

#[test]
fn classes_that_only_queries_have_are_named_and_ties_go_by_row() {
    let values = vec![1.0; 7];
    let labels = [0, 1, 0, 1, 1, 0, 5].map(Some).to_vec();
    let mut features = set(values, 1, labels, 4);
    let found = ask(&features, 10).unwrap();
    assert_eq!((found.depth, found.left_out.clone()), (4, [(5, 1)].into()));
    assert_eq!(found.queries.len(), 2);
    assert!(found.queries.iter().all(|query| query.nearest == [0, 1, 2, 3]), "features that are all alike");
    assert_eq!(found.queries[0].average_precision, (0.5 + 0.5) / 2.0);
    assert_eq!(found.queries[1].average_precision, (1.0 + 2.0 / 3.0) / 2.0);
    assert_eq!(found.scores().recall, [50.0, 100.0, 100.0, 100.0]);
    features.labels = vec![Some(3); 7];
    let alike = ask(&features, 2).unwrap().scores();
    assert_eq!(
        (alike.mean_average_precision, alike.recall, alike.precision),
        (100.0, vec![100.0; 2], vec![100.0; 2])
    );
    assert_eq!(average_precision([false; 3].into_iter()), None);
}

#[test]
fn parts_without_labels_and_a_split_against_itself_are_refused() {
    let mut features = set(vec![1.0, 2.0, 3.0], 1, vec![Some(0), Some(1), None], 2);
    let error = ask(&features, 5).unwrap_err().to_string();
    assert!(error.contains("queries") && error.contains("0 of 3 samples"), "{error}");
    features.labels[2] = Some(0);
    let itself = retrieve(&features, &Evaluation::Split("train".to_owned()), "train", 5);
    assert!(itself.unwrap_err().to_string().contains("split to classify"));
    features.values[1] = f32::NAN;
    assert!(ask(&features, 5).unwrap_err().to_string().contains("row 1 (s1)"));
}
