//! Metrics of labelled points against sklearn and numpy: `goldens/segmentation.json`, made by the script beside it.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct SegmentationGoldens {
    scenes: Vec<SceneCase>,
    parts: Vec<PartCase>,
}

#[derive(Deserialize)]
struct SceneCase {
    name: String,
    classes: usize,
    truth: Vec<i64>,
    predictions: Vec<usize>,
    confusion: Vec<u64>,
    points: u64,
    iou: Vec<Option<f64>>,
    mean_iou: f64,
    accuracy: f64,
    class_accuracy: f64,
}

#[derive(Deserialize)]
struct PartCase {
    name: String,
    parts: Vec<usize>,
    shapes: Vec<ShapeCase>,
    instance_iou: f64,
    category_iou: f64,
    categories: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct ShapeCase {
    category: usize,
    truth: Vec<usize>,
    scores: Vec<f32>,
    predictions: Vec<usize>,
    iou: f64,
}

fn goldens() -> SegmentationGoldens {
    serde_json::from_str(include_str!("../goldens/segmentation.json")).unwrap()
}

fn agree(a: &[Option<f64>], b: &[Option<f64>]) -> bool {
    let same = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (a, b) => a == b,
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

#[test]
fn scenes_agree_with_sklearn_also_where_they_are_degenerate() {
    for case in goldens().scenes {
        let mut confusion = PointConfusion::new(case.classes);
        let half = case.truth.len() / 2;
        for part in [0..half, half..case.truth.len()] {
            let truth = case.truth[part.clone()].iter().map(|&class| usize::try_from(class).ok());
            confusion.add(truth, &case.predictions[part]);
        }
        let counts: Vec<u64> = (0..case.classes).flat_map(|class| confusion.row(class).to_vec()).collect();
        assert_eq!(counts, case.confusion, "{}", case.name);
        let scores = confusion.scores();
        assert!(scores.points == case.points && agree(&scores.iou, &case.iou), "{}", case.name);
        let found = [scores.mean_iou, scores.accuracy, scores.class_accuracy];
        let wanted = [case.mean_iou, case.accuracy, case.class_accuracy];
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{}: {found:?}", case.name);
    }
}

#[test]
fn parts_agree_with_the_published_evaluation() {
    for case in goldens().parts {
        let categories = case.parts.len() - 1;
        let measure = |shape: &ShapeCase| {
            let parts = case.parts[shape.category]..case.parts[shape.category + 1];
            let width = case.parts[categories];
            let best = |row: &[f32]| best_part(row, parts.clone());
            let predictions: Vec<usize> = shape.scores.chunks_exact(width).map(best).collect();
            assert_eq!(predictions, shape.predictions, "{}", case.name);
            let truth: Vec<Option<usize>> = shape.truth.iter().copied().map(Some).collect();
            let iou = shape_iou(&truth, &predictions, parts).unwrap();
            assert!((iou - shape.iou).abs() < 1e-12, "{}", case.name);
            ShapeIou { category: shape.category, iou }
        };
        let shapes: Vec<ShapeIou> = case.shapes.iter().map(measure).collect();
        let scores = PartScores::measure(&shapes, categories);
        assert!((scores.instance_iou - case.instance_iou).abs() < 1e-12, "{}", case.name);
        assert!((scores.category_iou - case.category_iou).abs() < 1e-12, "{}", case.name);
        assert!(agree(&scores.categories, &case.categories), "{}", case.name);
    }
}
