//! What a growing recording says: scalars over steps, and the newest clouds, each in a place of its own.
//!
//! | entity | what |
//! |---|---|
//! | `metrics/GROUP/NAME` | a scalar of the record over `step` |
//! | `masks/I/context`, `/unused`, `/target J`, `/centers` | the I-th cloud of the step, by what was hidden |
//! | `errors/I/points` | the same points by the error of their patch's prediction, those not asked for grey |
//! | `views/I/image`, `/correspondences`, `/patches` | a view that took part, the points that it shows by place, patches by error |
//! | `views/I/points` | the same points in 3D, in the same colours |
//! | `labels/I/truth`, `/predicted`, `/wrong` | points by their class, by the class they were taken for, those that differ in red |
//! | `clouds` | ids, errors and classes in numbers |
//! | `run` | config and how to read the colours |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jepa3d_schemas::{Manifest, UpAxis, View, label_color};
use jepa3d_train::{Scalars, TrainedLabels, TrainedSamples, TrainedView};

use super::message::LiveFacts;
use super::panes::{LivePanes, blueprint};
use crate::colors::{Color, ValueRange, by_place, viridis};
use crate::entities::{colored, dots};
use crate::masked::MaskedCloud;
use crate::rerun::{
    self, RecordingStream, RecordingStreamResult, SeriesLines, TextDocument, TimeColumn, ViewCoordinates,
};
use crate::run_entities::{log_errors, log_masks};
use crate::run_paths::{STEP, cloud_path, metric_path};
use crate::select::{Query, Selection, Specimen};

/// From an exact prediction to one that is no better than the mean target.
const ERRORS: ValueRange = ValueRange { low: 0.0, high: 1.0 };
/// Sizes on screen, whatever the zoom.
const POINT: f32 = 2.0;
const PATCH: f32 = 5.0;
/// Points that were taken for another class.
const WRONG: Color = [220, 30, 30];

type ScribeResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Logs the parts of a recording one after the other.
pub(super) struct LiveScribe {
    /// Where views are read; none where the set has none.
    selection: Option<Selection>,
    /// Scalars that were named.
    named: BTreeSet<&'static str>,
    /// What the panes are made for.
    panes: LivePanes,
}

impl LiveScribe {
    /// Says what holds for the whole run.
    ///
    /// # Errors
    /// Fails if the dataset cannot be opened.
    pub(super) fn begin(
        stream: &RecordingStream,
        facts: LiveFacts,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let manifest = Manifest::read(&facts.data)?;
        let up = match facts.up_axis.unwrap_or(manifest.up_axis) {
            UpAxis::X => ViewCoordinates::RIGHT_HAND_X_UP(),
            UpAxis::Y => ViewCoordinates::RIGHT_HAND_Y_UP(),
            UpAxis::Z => ViewCoordinates::RIGHT_HAND_Z_UP(),
        };
        stream.log_static("/", &up)?;
        stream.log_static("run", &TextDocument::from_markdown(page(&facts)))?;
        let one = Query { limit: 1, ..Query::default() };
        let has_views = manifest.views.is_some() && facts.is_one_set;
        let selection = has_views.then(|| Selection::new(&facts.data, &one)).transpose()?;
        Ok(Self { selection, named: BTreeSet::new(), panes: LivePanes::default() })
    }

    /// Logs records, one column a scalar.
    ///
    /// # Errors
    /// Fails if the recording does not take it.
    pub(super) fn log_scalars(&mut self, stream: &RecordingStream, records: Vec<Scalars>) -> ScribeResult {
        let mut columns: BTreeMap<&'static str, (Vec<i64>, Vec<f64>)> = BTreeMap::new();
        for Scalars { step, values, .. } in records {
            for (name, value) in values {
                let (steps, column) = columns.entry(name).or_default();
                steps.push(step as i64);
                column.push(value);
            }
        }
        for (name, (steps, values)) in columns {
            if self.named.insert(name) {
                stream.log_static(metric_path(name), &SeriesLines::new().with_names([name]))?;
            }
            let values = rerun::Scalars::new(values).columns_of_unit_batches()?;
            stream.send_columns(metric_path(name), [TimeColumn::new_sequence(STEP, steps)], values)?;
        }
        Ok(())
    }

    /// Logs clouds of a step in the places of those of earlier steps.
    ///
    /// # Errors
    /// Fails if the recording does not take it, or a view cannot be read.
    pub(super) fn log_samples(&mut self, stream: &RecordingStream, samples: &TrainedSamples) -> ScribeResult {
        let panes = LivePanes {
            clouds: samples.ids.len(),
            has_patches: !samples.patches.is_empty(),
            has_errors: samples.errors.is_some(),
            has_views: !samples.views.is_empty() && self.selection.is_some(),
            has_labels: samples.labels.iter().any(|labels| labels.truth.len() == labels.points.len()),
        };
        if self.panes != panes {
            blueprint(&panes).send(stream, Default::default())?;
            self.panes = panes;
        }
        stream.set_time_sequence(STEP, samples.step as i64);
        for cloud in MaskedCloud::of_step(samples) {
            let blocks = samples.masks.as_ref().map_or(0, |masks| masks.blocks);
            log_masks(stream, &cloud, &cloud.draws[0], blocks)?;
            log_errors(stream, &cloud, &cloud.draws[0], ERRORS)?;
        }
        let mut cloud = None;
        for view in &samples.views {
            // Of several views of a cloud the first is shown.
            if cloud.replace(view.cloud) != Some(view.cloud) {
                self.log_view(stream, samples, view)?;
            }
        }
        for labels in &samples.labels {
            log_labels(stream, labels)?;
        }
        stream.log("clouds", &TextDocument::from_markdown(table(samples)))?;
        Ok(())
    }

    fn log_view(
        &self,
        stream: &RecordingStream,
        samples: &TrainedSamples,
        shown: &TrainedView,
    ) -> ScribeResult {
        let Some(selection) = &self.selection else { return Ok(()) };
        let specimen = selection.read_sample(&samples.ids[shown.cloud])?;
        let slot = (shown.cloud + 1).to_string();
        if let Some(view) = specimen.views.iter().find(|view| view.view == shown.number) {
            let image = rerun::EncodedImage::from_file_contents(view.image.clone());
            stream.log(cloud_path("views", &slot, &["image"]), &image)?;
            log_correspondences(stream, &slot, &specimen, view)?;
            log_asked(stream, &slot, shown, view)?;
        }
        Ok(())
    }
}

/// The points that a view shows, over its image and in 3D, coloured by place.
fn log_correspondences(
    stream: &RecordingStream,
    slot: &str,
    specimen: &Specimen,
    view: &View,
) -> RecordingStreamResult<()> {
    let (c, sample) = (&view.correspondences, &specimen.sample);
    let place = by_place(&sample.points);
    let known = || c.point.iter().enumerate().filter(|(_, point)| (**point as usize) < sample.len());
    let colors: Vec<Color> = known().map(|(_, &point)| place[point as usize]).collect();
    let pixels = known().map(|(at, _)| [c.u[at], c.v[at]]).collect();
    let points = known().map(|(_, &point)| sample.points.as_chunks().0[point as usize]).collect();
    stream.log(cloud_path("views", slot, &["image", "correspondences"]), &dots(pixels, &colors, POINT))?;
    stream.log(cloud_path("views", slot, &["points"]), &colored(points, &colors, POINT))
}

/// The patches that a view was asked for, by the errors of their predictions.
fn log_asked(
    stream: &RecordingStream,
    slot: &str,
    shown: &TrainedView,
    view: &View,
) -> RecordingStreamResult<()> {
    let [width, height] = [view.camera.width as f32, view.camera.height as f32];
    let pixels = shown.projected.iter().map(|[u, v]| [u * width, v * height]).collect();
    let colors: Vec<Color> = shown.errors.iter().map(|&error| viridis(error, ERRORS)).collect();
    let colors = if shown.projected.is_empty() { &[] } else { &colors[..] };
    stream.log(cloud_path("views", slot, &["image", "patches"]), &dots(pixels, colors, PATCH))
}

/// Points by what they are, and by what they were taken for; nothing where a cloud has one label.
fn log_labels(stream: &RecordingStream, labels: &TrainedLabels) -> RecordingStreamResult<()> {
    let TrainedLabels { cloud, points, truth, predicted } = labels;
    if truth.len() != points.len() || predicted.len() != points.len() {
        return Ok(());
    }
    let slot = (cloud + 1).to_string();
    for (name, labels) in [("truth", truth), ("predicted", predicted)] {
        let colors: Vec<Color> = labels.iter().map(|&label| label_color(label)).collect();
        stream.log(cloud_path("labels", &slot, &[name]), &colored(points.clone(), &colors, POINT))?;
    }
    let is_wrong = |at: &usize| truth[*at] >= 0 && truth[*at] != predicted[*at];
    let wrong = (0..points.len()).filter(is_wrong).map(|at| points[at]).collect();
    stream.log(cloud_path("labels", &slot, &["wrong"]), &colored(wrong, &[WRONG], POINT))
}

/// Ids and errors of a step's clouds.
fn table(samples: &TrainedSamples) -> String {
    let mut text =
        format!("Step {}\n\n| place | cloud | error of hidden patches |\n|---|---|---|\n", samples.step);
    let count = samples.ids.len().max(1);
    for (at, id) in samples.ids.iter().enumerate() {
        let errors = samples.errors.as_ref().map_or(&[][..], |all| {
            let each = all.len() / count;
            &all[at * each..][..each]
        });
        let _ = writeln!(text, "| {} | `{}` | {} |", at + 1, id.replace('`', "'"), mean(errors));
    }
    if !samples.views.is_empty() {
        text += "\n| place | view | error |\n|---|---|---|\n";
    }
    for TrainedView { cloud, number, errors, .. } in &samples.views {
        let _ = writeln!(text, "| {} | {number} | {} |", cloud + 1, mean(errors));
    }
    text + &label_rows(samples)
}

/// What clouds were taken for: their classes, or the share of their points that is right.
fn label_rows(samples: &TrainedSamples) -> String {
    let mut text = String::new();
    for TrainedLabels { cloud, truth, predicted, .. } in &samples.labels {
        if text.is_empty() {
            text += "\n| place | class | taken for |\n|---|---|---|\n";
        }
        let _ = match (&truth[..], &predicted[..]) {
            ([truth], [predicted]) => writeln!(text, "| {} | {truth} | {predicted} |", cloud + 1),
            _ => {
                let known = truth.iter().zip(predicted).filter(|(truth, _)| **truth >= 0);
                let right = known.clone().filter(|(truth, predicted)| truth == predicted).count();
                writeln!(text, "| {} | {} points | {right} right |", cloud + 1, known.count())
            }
        };
    }
    text
}

fn mean(errors: &[f32]) -> String {
    let sum: f64 = errors.iter().map(|&error| f64::from(error)).sum();
    if errors.is_empty() { "none".to_owned() } else { format!("{:.3}", sum / errors.len() as f64) }
}

/// Config and colours in words.
fn page(facts: &LiveFacts) -> String {
    let LiveFacts { kind, name, config, .. } = facts;
    format!(
        "# {name}\n\n`jepa3d {kind}`, recorded while it trained: the first clouds of the batch of some steps, as the model \
         had them.\n\nMasks: blue is context; red, yellow, green, purple are target blocks; light grey is neither. Large \
         points are centers. Errors: predictions in training, as a share of the variance of the batch's targets, from 0 \
         (dark) to 1 and more (yellow); 1 is no better than the mean target. Grey is not asked for. Views: equal colours \
         are the same points; large dots are the patches that were asked for, by error.\n\n```toml\n{config}\n```\n"
    )
}
