//! Masks as one picture: a row a cloud, a column a draw, and the errors of predictions in the last column.

use jepa3d_loader::MaskKind;

use super::canvas::{CHARACTER, Canvas, LINE, PixelRect, shortened};
use super::cloud::{SeenCloud, Viewpoint};
use super::colors::{self, CONTEXT, Color, UNUSED, ValueRange, of_block};
use super::layout::{GAP, HEADING, WIDTH};
use super::masked::{CloudMasks, MaskedCloud, PatchRole};
use super::run::RunView;
use super::sheet::{BACKDROP, FAINT, INK, PAPER, Sheet, draw_front};
use crate::error::{Result, out_of_range};

/// No cloud is shown larger.
const LARGEST: u32 = 344;
/// Radius of a center, and of the ring around it.
const CENTER: [f32; 2] = [3.0, 4.6];
/// What is not asked for, beside errors.
const PALE: Color = [214, 214, 218];

/// Draws clouds of a run with their masks.
///
/// # Errors
/// Fails if the run was opened without clouds or draws.
pub fn mask_sheet(run: &RunView) -> Result<Sheet> {
    if run.clouds.is_empty() || run.draws.is_empty() {
        return Err(out_of_range("masks", "a run opened with its dataset, and at least 1 draw", "none"));
    }
    let layout = MaskSheetLayout::new(run);
    let height = layout.top + run.clouds.len() as u32 * layout.row;
    let mut canvas = Canvas::new(WIDTH, height, PAPER);
    let range = layout.has_errors.then(|| error_range(run));
    heading(&mut canvas, run, &layout, range);
    for (i, cloud) in run.clouds.iter().enumerate() {
        let y = layout.top + i as u32 * layout.row;
        let category = cloud.category.as_deref().unwrap_or("no class");
        let width = WIDTH - 3 * GAP - (category.chars().count() as u32 + 2) * CHARACTER;
        let id = shortened(&cloud.id, width);
        canvas.text([GAP, y], &id, INK);
        canvas.text([GAP + (id.chars().count() as u32 + 2) * CHARACTER, y], category, FAINT);
        for (column, masks) in cloud.draws.iter().enumerate() {
            let at = [layout.x(column), y + LINE];
            layout.draw(&mut canvas, run, cloud, at, &|patch, point| Some(color(&masks.roles[patch], point)));
        }
        let last = cloud.draws.last().and_then(|masks| Some((masks, masks.errors.as_ref()?)));
        if let (Some((_, errors)), Some(range)) = (last, range) {
            let error = |patch: usize, _| {
                let error = errors[patch];
                Some(if error.is_nan() { PALE } else { colors::viridis(error, range) })
            };
            layout.draw(&mut canvas, run, cloud, [layout.x(run.draws.len()), y + LINE], &error);
        }
    }
    Ok(Sheet(canvas.0))
}

/// The colour of a point of a patch: patches of several blocks are speckled in the colours of all.
fn color(role: &PatchRole, point: usize) -> Color {
    match role {
        PatchRole::Context => CONTEXT,
        PatchRole::Unused => UNUSED,
        PatchRole::Target(blocks) => of_block(blocks[point % blocks.len()]),
    }
}

/// Where the bulk of the shown errors lies. A few thin patches are far worse than all others: they take the colour of
/// the end.
pub(super) fn error_range(run: &RunView) -> ValueRange {
    let shown = |masks: &CloudMasks| masks.errors.clone().unwrap_or_default();
    let all = run.clouds.iter().flat_map(|cloud| cloud.draws.iter().flat_map(shown));
    ValueRange::measure(all.filter(|error| error.is_finite()), 0.02, 0.1)
}

/// Where the tiles are.
struct MaskSheetLayout {
    side: u32,
    top: u32,
    row: u32,
    has_errors: bool,
}

impl MaskSheetLayout {
    fn new(run: &RunView) -> Self {
        let has_errors = run.clouds[0].draws.iter().any(|masks| masks.errors.is_some());
        let columns = run.draws.len() as u32 + u32::from(has_errors);
        let side = ((WIDTH - GAP) / columns).saturating_sub(GAP).clamp(40, LARGEST);
        Self { side, top: GAP + 3 * HEADING, row: LINE + side + 2 * GAP, has_errors }
    }

    fn x(&self, column: usize) -> u32 {
        GAP + column as u32 * (self.side + GAP)
    }

    /// One cloud, each point in the colour of its patch, centers on top.
    fn draw(
        &self,
        canvas: &mut Canvas,
        run: &RunView,
        cloud: &MaskedCloud,
        at: [u32; 2],
        color: &dyn Fn(usize, usize) -> Option<Color>,
    ) {
        let tile = PixelRect { x: at[0], y: at[1], width: self.side, height: self.side };
        canvas.fill(tile, BACKDROP);
        // Centers are the last points, so that both are seen alike.
        let count = cloud.points.len();
        let points: Vec<[f32; 3]> = cloud.points.iter().chain(&cloud.centers).copied().collect();
        let seen = SeenCloud::new(points.as_flattened(), &Viewpoint::above(run.up_axis), tile);
        let owned = cloud.owners.iter().enumerate();
        let dots = owned.filter_map(|(point, owner)| Some((point, color((*owner)?, point)?))).collect();
        let front = draw_front(canvas, &seen, dots);
        for center in (0..cloud.centers.len()).filter(|center| front[count + center]) {
            let at = seen.place(count + center);
            canvas.disc(tile, at, CENTER[1], INK);
            canvas.disc(tile, at, CENTER[0], color(center, 0).unwrap_or(PAPER));
        }
    }
}

fn heading(canvas: &mut Canvas, run: &RunView, layout: &MaskSheetLayout, range: Option<ValueRange>) {
    let title = format!("{} ({}): {}", run.name(), run.config.preset, run.masking());
    canvas.text([GAP, GAP], &shortened(&title, WIDTH - 2 * GAP), INK);
    let y = GAP + HEADING;
    let mut x = GAP;
    let mut entry = |canvas: &mut Canvas, color: Color, name: &str| {
        canvas.fill(PixelRect { x, y: y + 2, width: 12, height: 12 }, color);
        canvas.text([x + 18, y], name, INK);
        x += 18 + (name.len() as u32 + 2) * CHARACTER;
    };
    entry(canvas, CONTEXT, "context");
    for block in 0..run.blocks() {
        let name = if run.blocks() == 1 { "target".to_owned() } else { format!("target {}", block + 1) };
        entry(canvas, of_block(block), &name);
    }
    if matches!(run.config.masking.kind, MaskKind::Runs | MaskKind::FpsBlocks) {
        entry(canvas, UNUSED, "neither");
    }
    canvas.text([x, y], "ringed: centers", FAINT);
    let y = GAP + 2 * HEADING;
    for (column, at) in run.draws.iter().enumerate() {
        canvas.text([layout.x(column), y], &format!("epoch {}", at.epoch), FAINT);
    }
    if let Some(range) = range {
        legend(canvas, [layout.x(run.draws.len()), y], layout.side, range);
    }
}

/// Which error has which colour.
fn legend(canvas: &mut Canvas, at: [u32; 2], side: u32, range: ValueRange) {
    let ([x, y], ValueRange { low, high }) = (at, range);
    let title = "unexplained share, last draw";
    let up = y - HEADING;
    let left = (x + side).saturating_sub(title.len() as u32 * CHARACTER);
    canvas.text([left, up], title, FAINT);
    let (start, end) = (format!("{low:.2}"), format!("{high:.2}+"));
    let width = side.saturating_sub((start.len() + end.len() + 2) as u32 * CHARACTER);
    canvas.text([x, y], &start, FAINT);
    let bar = x + (start.len() as u32 + 1) * CHARACTER;
    for i in 0..width {
        let share = i as f32 / width as f32;
        let tile = PixelRect { x: bar + i, y: y + 3, width: 1, height: 10 };
        canvas.fill(tile, colors::viridis(low + share * (high - low), range));
    }
    canvas.text([bar + width + CHARACTER, y], &end, FAINT);
}

/// The picture, for tests.
#[cfg(test)]
pub(super) fn picture(sheet: &Sheet) -> &image::RgbImage {
    &sheet.0
}
