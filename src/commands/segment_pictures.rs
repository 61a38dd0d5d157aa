//! Pictures of judged samples for the report of `jepa3d segment`: truth, prediction, and where they differ.

use std::collections::{BTreeMap, BTreeSet};

use jepa3d_inspect::{
    ImageMark, ImageRow, LegendColor, PointColors, ReportImage, ReportImages, render_thumbnail,
};
use jepa3d_schemas::label_color;
use jepa3d_train::{SegmentExample, SegmentResult};

/// Width and height of a picture.
const SIDE: u32 = 240;
/// A point that was taken for another class than its own; no class has this colour.
const WRONG: [u8; 3] = [24, 24, 28];
/// A point that was taken for what it is, or counts for nothing, where differences are shown.
const RIGHT: [u8; 3] = [200, 200, 206];
/// The label of points that count for nothing.
const UNKNOWN: i16 = -1;

/// The judged samples that are shown, a row each.
pub(crate) fn picture_examples(result: &SegmentResult) -> ReportImages {
    let row = |example: &SegmentExample| picture_example(example, &result.point_classes);
    ReportImages {
        caption: "Judged samples".to_owned(),
        rows: result.examples.iter().map(row).collect(),
        note: "after the last step; the best, the quartiles and the worst by mIoU, equal ones by id; dark where the prediction \
               is not the truth; points behind others, and those far outside of a scene, are not seen"
            .to_owned(),
    }
}

fn picture_example(example: &SegmentExample, names: &[String]) -> ImageRow {
    let SegmentExample { truth, predicted, .. } = example;
    let colors = color_classes(truth.iter().chain(predicted).copied().collect());
    let paint = |labels: &[i16]| labels.iter().map(|label| colors[label]).collect::<Vec<_>>();
    let differs = |pair: &(&i16, &i16)| *pair.0 >= 0 && pair.0 != pair.1;
    let pairs = || truth.iter().zip(predicted);
    let (wrong, known) = (pairs().filter(differs).count(), truth.iter().filter(|label| **label >= 0).count());
    let share = 100.0 * wrong as f64 / known.max(1) as f64;
    let differences = pairs().map(|pair| if differs(&pair) { WRONG } else { RIGHT }).collect();
    let shown = [
        ("truth".to_owned(), paint(truth)),
        ("prediction".to_owned(), paint(predicted)),
        (format!("{share:.1} % differ"), differences),
    ];
    let image = |(caption, colors): (String, Vec<[u8; 3]>)| {
        let png = render_thumbnail(&example.points, PointColors::Given(&colors), example.up, SIDE);
        ReportImage::new(&png, caption, ImageMark::Plain)
    };
    let entry = |(&label, &color): (&i16, &[u8; 3])| LegendColor { name: name_label(label, names), color };
    ImageRow {
        title: format!(
            "{}: mIoU {:.1} %, place {} of {}",
            example.id,
            100.0 * example.iou,
            example.place,
            example.places
        ),
        images: shown.map(image).to_vec(),
        legend: colors.iter().map(entry).collect(),
    }
}

fn name_label(label: i16, names: &[String]) -> String {
    if label == UNKNOWN {
        return "counts for nothing".to_owned();
    }
    let name = usize::try_from(label).ok().and_then(|label| names.get(label));
    name.cloned().unwrap_or_else(|| format!("class {label}"))
}

/// Colours of the labels of one sample: those that they have everywhere, unless two of them would have the same.
fn color_classes(labels: BTreeSet<i16>) -> BTreeMap<i16, [u8; 3]> {
    let own: BTreeMap<i16, [u8; 3]> = labels.iter().map(|&label| (label, label_color(label))).collect();
    if own.values().collect::<BTreeSet<_>>().len() == own.len() {
        return own;
    }
    let place = |(at, label): (i16, i16)| (label, label_color(if label < 0 { label } else { at }));
    (0..).zip(labels).map(place).collect()
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::UpAxis;

    use super::*;

    fn example() -> SegmentExample {
        SegmentExample {
            id: "a/b".to_owned(),
            place: 2,
            places: 7,
            iou: 0.625,
            points: vec![0.0, 0.0, -0.5, 0.0, 0.0, 0.5, 0.3, 0.0, 0.0, -0.3, 0.0, 0.0],
            up: UpAxis::Z,
            truth: vec![3, 4, -1, 3],
            predicted: vec![3, 3, 4, 4],
        }
    }

    #[test]
    fn a_row_is_truth_prediction_and_where_they_differ_in_the_colours_of_the_legend() {
        let names = ["a", "b", "c", "leg", "seat"].map(str::to_owned);
        let row = picture_example(&example(), &names);
        assert_eq!(row.title, "a/b: mIoU 62.5 %, place 2 of 7");
        let captions: Vec<&str> = row.images.iter().map(|image| image.caption.as_str()).collect();
        assert_eq!(captions, ["truth", "prediction", "66.7 % differ"]);
        let legend: Vec<(&str, [u8; 3])> = row.legend.iter().map(|c| (c.name.as_str(), c.color)).collect();
        assert_eq!(
            legend,
            [("counts for nothing", label_color(-1)), ("leg", label_color(3)), ("seat", label_color(4))]
        );
        let picture = |colors: &[[u8; 3]]| {
            let png = render_thumbnail(&example().points, PointColors::Given(colors), UpAxis::Z, SIDE);
            ReportImage::new(&png, "", ImageMark::Plain).png
        };
        let labels = |labels: [i16; 4]| picture(&labels.map(label_color));
        assert_eq!(row.images[0].png, labels([3, 4, -1, 3]));
        assert_eq!(row.images[1].png, labels([3, 3, 4, 4]));
        assert_eq!(row.images[2].png, picture(&[RIGHT, WRONG, RIGHT, WRONG]));
    }

    #[test]
    fn classes_of_one_sample_have_colours_of_their_own() {
        let near = color_classes(BTreeSet::from([18, 19, 20, 21]));
        assert_eq!(near[&20], label_color(20), "as everywhere, while they differ");
        let far = color_classes(BTreeSet::from([-1, 0, 20, 23]));
        assert_eq!(far.values().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(far[&-1], label_color(-1));
    }
}
