//! A triangle made ready to be drawn: the pixels it may touch, its edge functions, and inverse depth over them.

use crate::frame_buffer::FrameBuffer;
use crate::screen::{PIXEL, SUBPIXEL_BITS, ScreenVertex};

/// Pixels tested at a time.
pub(crate) const LANES: usize = 8;
/// Boxes up to this many times [`LANES`] wide are tested pixel by pixel, wider ones row by row.
const MAX_BLOCKS: usize = 3;

/// What drawing a triangle needs to know.
#[derive(Clone, Copy)]
pub(crate) struct TriangleSetup {
    pub(crate) window: PixelWindow,
    pub(crate) edges: [EdgeFunction; 3],
    pub(crate) plane: DepthPlane,
    pub(crate) id: u32,
    /// Blocks of [`LANES`] columns that cover the window of a narrow triangle; 0 for a wide one.
    pub(crate) blocks: usize,
}

impl TriangleSetup {
    /// Of a triangle whose corners the grid holds; `None` where no centre lies in its box, or it has no area.
    #[inline(always)]
    pub(crate) fn new(mut v: [ScreenVertex; 3], id: u32, frame: &FrameBuffer) -> Option<Self> {
        let mut window = PixelWindow::new(&v, frame.width, frame.height);
        if window.left > window.right || window.top > window.bottom {
            return None;
        }
        let area = doubled_area(&v);
        if area == 0 {
            return None;
        }
        if area < 0 {
            v.swap(1, 2);
        }
        let blocks = (window.right - window.left) as usize / LANES + 1;
        let is_narrow = blocks <= MAX_BLOCKS && blocks * LANES <= frame.width;
        if is_narrow {
            // Whole blocks that end at the image's edge at the latest; what they add is outside the triangle.
            window.left = window.left.min((frame.width - blocks * LANES) as i32);
        }
        let center = |pixel: i32| i64::from(pixel) * PIXEL + PIXEL / 2;
        let (x, y) = (center(window.left), center(window.top));
        let edges = [
            EdgeFunction::new(v[1], v[2], x, y),
            EdgeFunction::new(v[2], v[0], x, y),
            EdgeFunction::new(v[0], v[1], x, y),
        ];
        let plane = DepthPlane::new(&v, &edges, area.abs());
        Some(Self { window, edges, plane, id, blocks: if is_narrow { blocks } else { 0 } })
    }
}

/// Twice the signed area in squared steps of the grid.
#[inline(always)]
fn doubled_area(v: &[ScreenVertex; 3]) -> i64 {
    let side = |i: usize| (i64::from(v[i].x) - i64::from(v[0].x), i64::from(v[i].y) - i64::from(v[0].y));
    let ((x1, y1), (x2, y2)) = (side(1), side(2));
    x1 * y2 - y1 * x2
}

/// The pixels whose centres lie in a triangle's bounding box, both ends included.
#[derive(Clone, Copy)]
pub(crate) struct PixelWindow {
    pub(crate) left: i32,
    pub(crate) right: i32,
    pub(crate) top: i32,
    pub(crate) bottom: i32,
}

impl PixelWindow {
    #[inline(always)]
    fn new(v: &[ScreenVertex; 3], width: usize, height: usize) -> Self {
        const HALF: i32 = (PIXEL / 2) as i32;
        let first = |a: i32, b: i32, c: i32| ((a.min(b).min(c) + HALF - 1) >> SUBPIXEL_BITS).max(0);
        let last = |a: i32, b: i32, c: i32, size: usize| {
            ((a.max(b).max(c) - HALF) >> SUBPIXEL_BITS).min(size as i32 - 1)
        };
        Self {
            left: first(v[0].x, v[1].x, v[2].x),
            right: last(v[0].x, v[1].x, v[2].x, width),
            top: first(v[0].y, v[1].y, v[2].y),
            bottom: last(v[0].y, v[1].y, v[2].y, height),
        }
    }
}

/// An edge function along rows and columns, biased so that a centre is inside where it is not negative.
#[derive(Clone, Copy)]
pub(crate) struct EdgeFunction {
    /// At the centre of the window's first pixel.
    pub(crate) start: i64,
    /// Change from pixel to pixel.
    pub(crate) step_x: i64,
    /// Change from row to row.
    pub(crate) step_y: i64,
    /// What was taken off for edges that are neither top nor left.
    bias: i64,
}

impl EdgeFunction {
    #[inline(always)]
    fn new(a: ScreenVertex, b: ScreenVertex, x: i64, y: i64) -> Self {
        let (dx, dy) = (i64::from(b.x) - i64::from(a.x), i64::from(b.y) - i64::from(a.y));
        let is_top_left = dy < 0 || (dy == 0 && dx > 0);
        let bias = i64::from(!is_top_left);
        let start = dx * (y - i64::from(a.y)) - dy * (x - i64::from(a.x)) - bias;
        Self { start, step_x: -dy * PIXEL, step_y: dx * PIXEL, bias }
    }
}

/// Inverse depth over the window.
#[derive(Clone, Copy)]
pub(crate) struct DepthPlane {
    pub(crate) start: f64,
    pub(crate) step_x: f64,
    pub(crate) step_y: f64,
    low: f32,
    high: f32,
}

impl DepthPlane {
    #[inline(always)]
    fn new(v: &[ScreenVertex; 3], edges: &[EdgeFunction; 3], area: i64) -> Self {
        let d = [0, 1, 2].map(|i| v[i].inverse_depth);
        let per_area = 1.0 / area as f64;
        let along_1 = (f64::from(d[1]) - f64::from(d[0])) * per_area;
        let along_2 = (f64::from(d[2]) - f64::from(d[0])) * per_area;
        let mix = |a: i64, b: i64| a as f64 * along_1 + b as f64 * along_2;
        Self {
            start: f64::from(d[0]) + mix(edges[1].start + edges[1].bias, edges[2].start + edges[2].bias),
            step_x: mix(edges[1].step_x, edges[2].step_x),
            step_y: mix(edges[1].step_y, edges[2].step_y),
            low: d[0].min(d[1]).min(d[2]),
            high: d[0].max(d[1]).max(d[2]),
        }
    }

    /// Slivers have steep planes: a centre inside never lies beyond the corners.
    #[inline(always)]
    pub(crate) fn clamp(&self, depth: f64) -> f32 {
        let depth = depth as f32;
        // Spelt out: `max` and `min` would look for NaN, which a plane through finite corners has not.
        let depth = if depth > self.low { depth } else { self.low };
        if depth < self.high { depth } else { self.high }
    }
}
