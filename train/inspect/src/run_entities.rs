//! What a recording says about a run: every scalar as one column, the masks of some clouds at some steps.
//!
//! | entity | what |
//! |---|---|
//! | `metrics/GROUP/NAME` | a scalar of the record over `step` |
//! | `masks/ID/context`, `/unused`, `/target I` | the points of such patches |
//! | `masks/ID/centers` | the centers, in the same colours |
//! | `errors/ID/points` | hidden patches by the error of their predictions, the others grey |
//! | `run` | config and how to read the colours |
//!
//! Masks stand on the timeline `draw`, and on `step` where their epoch begins, so that one timeline
//! shows both them and the scalars.

use std::collections::BTreeMap;

use rerun::{EntityPath, RecordingStream, RecordingStreamResult, TimeColumn};

use super::colors::{self, CONTEXT, Color, UNUSED, ValueRange, of_block};
use super::entities::colored;
use super::masked::{CloudMasks, MaskedCloud, PatchRole};
use super::run::RunView;
use super::run_blueprint::blueprint;
use super::run_paths::{DRAW, STEP, cloud_path, metric_path};
use super::run_sheet::error_range;
use crate::rerun;

/// Sizes on screen, whatever the zoom.
const POINT: f32 = 2.5;
const CENTER: f32 = 5.0;
/// What is not asked for, beside errors.
const PALE: Color = [110, 110, 116];

/// Logs a run and its blueprint.
pub(super) fn log_run(run: &RunView, stream: &RecordingStream) -> Result<(), Box<dyn std::error::Error>> {
    let up = match run.up_axis {
        jepa3d_schemas::UpAxis::X => rerun::ViewCoordinates::RIGHT_HAND_X_UP(),
        jepa3d_schemas::UpAxis::Y => rerun::ViewCoordinates::RIGHT_HAND_Y_UP(),
        jepa3d_schemas::UpAxis::Z => rerun::ViewCoordinates::RIGHT_HAND_Z_UP(),
    };
    stream.log_static("/", &up)?;
    stream.log_static("run", &rerun::TextDocument::from_markdown(page(run)))?;
    log_metrics(run, stream)?;
    let range = error_range(run);
    for (number, at) in run.draws.iter().enumerate() {
        stream.set_time_sequence(DRAW, number as i64);
        stream.set_time_sequence(STEP, at.step as i64);
        for cloud in &run.clouds {
            let masks = &cloud.draws[number];
            log_masks(stream, cloud, masks, run.blocks())?;
            log_errors(stream, cloud, masks, range)?;
        }
    }
    blueprint(run).send(stream, Default::default())?;
    Ok(())
}

/// One call a scalar, whatever the length of the run.
fn log_metrics(run: &RunView, stream: &RecordingStream) -> Result<(), Box<dyn std::error::Error>> {
    let mut columns: BTreeMap<&str, (Vec<i64>, Vec<f64>)> = BTreeMap::new();
    for entry in &run.log {
        for (name, &value) in &entry.values {
            let (steps, values) = columns.entry(name.as_str()).or_default();
            steps.push(entry.step as i64);
            values.push(value);
        }
    }
    for (name, (steps, values)) in columns {
        let series = rerun::SeriesLines::new().with_names([name]);
        stream.log_static(metric_path(name), &series)?;
        let values = rerun::Scalars::new(values).columns_of_unit_batches()?;
        stream.send_columns(metric_path(name), [TimeColumn::new_sequence(STEP, steps)], values)?;
    }
    Ok(())
}

/// What is hidden of a cloud, and what is seen.
pub(super) fn log_masks(
    stream: &RecordingStream,
    cloud: &MaskedCloud,
    masks: &CloudMasks,
    blocks: usize,
) -> RecordingStreamResult<()> {
    let log = |name: &str, color: Color, is_in: &dyn Fn(&PatchRole) -> bool| {
        let owned = cloud.points.iter().zip(&cloud.owners);
        let points = owned.filter(|(_, owner)| owner.is_some_and(|patch| is_in(&masks.roles[patch])));
        let points = points.map(|(point, _)| *point).collect();
        log_points(stream, cloud_path("masks", &cloud.id, &[name]), points, &[color], POINT)
    };
    log("context", CONTEXT, &|role| *role == PatchRole::Context)?;
    log("unused", UNUSED, &|role| *role == PatchRole::Unused)?;
    for block in 0..blocks {
        let is_in = |role: &PatchRole| matches!(role, PatchRole::Target(blocks) if blocks.contains(&block));
        log(&format!("target {}", block + 1), of_block(block), &is_in)?;
    }
    let color = |role: &PatchRole| match role {
        PatchRole::Context => CONTEXT,
        PatchRole::Unused => UNUSED,
        PatchRole::Target(blocks) => of_block(blocks[0]),
    };
    let colors: Vec<Color> = masks.roles.iter().map(color).collect();
    let path = cloud_path("masks", &cloud.id, &["centers"]);
    log_points(stream, path, cloud.centers.clone(), &colors, CENTER)
}

/// The hidden patches of a cloud by the errors of their predictions, where those are known.
pub(super) fn log_errors(
    stream: &RecordingStream,
    cloud: &MaskedCloud,
    masks: &CloudMasks,
    range: ValueRange,
) -> RecordingStreamResult<()> {
    let Some(errors) = &masks.errors else { return Ok(()) };
    let color =
        |patch: usize| if errors[patch].is_nan() { PALE } else { colors::viridis(errors[patch], range) };
    let owned =
        cloud.points.iter().zip(&cloud.owners).filter_map(|(point, owner)| Some((*point, color((*owner)?))));
    let (points, colors): (Vec<[f32; 3]>, Vec<Color>) = owned.unzip();
    log_points(stream, cloud_path("errors", &cloud.id, &["points"]), points, &colors, POINT)
}

fn log_points(
    stream: &RecordingStream,
    path: EntityPath,
    points: Vec<[f32; 3]>,
    colors: &[Color],
    radius: f32,
) -> RecordingStreamResult<()> {
    stream.log(path, &colored(points, colors, radius))
}

/// Config and colours in words.
fn page(run: &RunView) -> String {
    let errors = match &run.checkpoint {
        Some(source) => {
            let ValueRange { low, high } = error_range(run);
            format!(
                "Errors: predictions of {source} on these masks, as a share of the targets' variance, from {low:.2} \
                 (dark) to {high:.2} and more (yellow); 1 is no better than the mean target. Grey is not asked for.\n\n"
            )
        }
        None => String::new(),
    };
    let epochs: Vec<String> = run.draws.iter().map(|at| at.epoch.to_string()).collect();
    format!(
        "# {}\n\npreset `{}`, {} steps\n\n\
         Masks: {}, drawn with the run's seed at epochs {}, on clouds without augmentation. Blue is context; \
         red, yellow, green, purple are target blocks; light grey is neither. Large points are centers.\n\n\
         {errors}```toml\n{}\n```\n",
        run.name(),
        run.config.preset,
        run.steps(),
        run.masking(),
        epochs.join(", "),
        run.config.to_toml(),
    )
}
