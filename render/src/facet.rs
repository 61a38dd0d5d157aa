//! A projected triangle: what it covers and how deep it lies there.

/// Points tested at a time; a run may reach this far beyond what was asked for.
pub(crate) const LANES: usize = 8;

/// Added around a span, in pixels: more than the f32 rounding of the edges within the guard band.
const MARGIN: f32 = 0.05;

/// Three edges that are positive inside, and inverse depth over them.
pub(crate) struct Facet {
    /// Corners `[u, v, z]` in an order that makes the area positive.
    corners: [[f32; 3]; 3],
    inverse_depth: [f32; 3],
    /// Twice the area in square pixels.
    area: f32,
}

/// Points of the image: pixel, and depth below which a surface hides the point.
pub(crate) struct Run<'a> {
    pub(crate) u: &'a [f32],
    pub(crate) v: &'a [f32],
    pub(crate) limit: &'a [f32],
    /// Not 0 where a triangle was found before the point.
    pub(crate) hidden: &'a mut [u32],
}

impl Facet {
    /// `None` for a triangle seen edge-on or without area: it covers no line of sight.
    #[inline(always)]
    pub(crate) fn new([a, mut b, mut c]: [[f32; 3]; 3]) -> Option<Self> {
        let mut area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if area < 0.0 {
            (b, c, area) = (c, b, -area);
        }
        let inverse_depth = [1.0 / a[2], 1.0 / b[2], 1.0 / c[2]];
        (area > 0.0).then_some(Self { corners: [a, b, c], inverse_depth, area })
    }

    /// The edges ready for [`Slopes::span`].
    #[inline(always)]
    pub(crate) fn slopes(&self) -> Slopes {
        let [a, b, c] = self.corners;
        Slopes([slope(a, b), slope(b, c), slope(c, a)])
    }

    /// Whether the triangle hides a point `[u, v]` from `limit` on.
    #[inline(always)]
    pub(crate) fn hides(&self, [u, v, limit]: [f32; 3]) -> bool {
        let mut hidden = [0; LANES];
        self.hide_lanes(&self.edges(), [&[u; LANES], &[v; LANES], &[limit; LANES]], &mut hidden);
        hidden[0] != 0
    }

    #[inline(always)]
    fn edges(&self) -> [[f32; 4]; 3] {
        let [a, b, c] = self.corners;
        let edge = |p: [f32; 3], q: [f32; 3]| [p[0], p[1], q[0] - p[0], q[1] - p[1]];
        [edge(b, c), edge(c, a), edge(a, b)]
    }

    /// Marks the points of a run that lie behind the triangle.
    #[inline(always)]
    pub(crate) fn hide(&self, run: Run<'_>) {
        let edges = self.edges();
        let (u, v, limit) = (run.u.as_chunks().0, run.v.as_chunks().0, run.limit.as_chunks().0);
        let hidden = run.hidden.as_chunks_mut().0;
        for (((u, v), limit), hidden) in u.iter().zip(v).zip(limit).zip(hidden) {
            self.hide_lanes(&edges, [u, v, limit], hidden);
        }
    }

    #[inline(always)]
    fn hide_lanes(
        &self,
        edges: &[[f32; 4]; 3],
        [u, v, limit]: [&[f32; LANES]; 3],
        hidden: &mut [u32; LANES],
    ) {
        let [i, j, k] = self.inverse_depth;
        for lane in 0..LANES {
            let side = |e: &[f32; 4]| e[2] * (v[lane] - e[1]) - e[3] * (u[lane] - e[0]);
            let [x, y, z] = [side(&edges[0]), side(&edges[1]), side(&edges[2])];
            let is_covered = (x >= 0.0) & (y >= 0.0) & (z >= 0.0);
            // The edges sum to the area: depth here is area / (x i + y j + z k).
            let is_before = (x * i + y * j + z * k) * limit[lane] > self.area;
            hidden[lane] |= u32::from(is_covered & is_before);
        }
    }
}

/// An edge from its upper to its lower end.
#[derive(Clone, Copy)]
struct Slope {
    top: [f32; 2],
    bottom: f32,
    /// Change of u for one pixel down; 0 for a level edge, whose ends lie on the other edges.
    step: f32,
    low: f32,
    high: f32,
}

#[inline(always)]
fn slope(p: [f32; 3], q: [f32; 3]) -> Slope {
    let (p, q) = if p[1] <= q[1] { (p, q) } else { (q, p) };
    let height = q[1] - p[1];
    let step = if height > 1e-6 { (q[0] - p[0]) / height } else { 0.0 };
    Slope { top: [p[0], p[1]], bottom: q[1], step, low: p[0].min(q[0]), high: p[0].max(q[0]) }
}

/// The edges of a triangle, to find how far it reaches left and right.
pub(crate) struct Slopes([Slope; 3]);

impl Slopes {
    /// Smallest and largest u of the triangle between the heights `top` and `bottom`.
    #[inline(always)]
    pub(crate) fn span(&self, top: f32, bottom: f32) -> (f32, f32) {
        let (top, bottom) = (top - MARGIN, bottom + MARGIN);
        let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
        for i in 0..3 {
            let e = &self.0[i];
            if e.bottom < top || e.top[1] > bottom {
                continue;
            }
            let a = e.top[0] + (top - e.top[1]).max(0.0) * e.step;
            let b = e.top[0] + (bottom.min(e.bottom) - e.top[1]) * e.step;
            left = left.min(a.min(b).max(e.low));
            right = right.max(a.max(b).min(e.high));
        }
        (left - MARGIN, right + MARGIN)
    }
}
