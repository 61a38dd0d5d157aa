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

    /// Smallest and largest u of the triangle between the heights `top` and `top + height`.
    #[inline(always)]
    pub(crate) fn span(&self, top: f32, height: f32) -> (f32, f32) {
        let (top, bottom) = (top - MARGIN, top + height + MARGIN);
        let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
        for i in 0..3 {
            let (p, q) = (self.corners[i], self.corners[(i + 1) % 3]);
            let (p, q) = if p[1] <= q[1] { (p, q) } else { (q, p) };
            let misses = q[1] < top || p[1] > bottom;
            let (low, high) = (p[0].min(q[0]), p[0].max(q[0]));
            let slope = (q[0] - p[0]) / (q[1] - p[1]).max(1e-6);
            let at = |v: f32| (p[0] + (v - p[1]) * slope).clamp(low, high);
            let (a, b) = (at(p[1].max(top)), at(q[1].min(bottom)));
            if !misses {
                (left, right) = (left.min(a).min(b), right.max(a).max(b));
            }
        }
        (left - MARGIN, right + MARGIN)
    }

    /// Marks the points of a run that lie behind the triangle.
    #[inline(always)]
    pub(crate) fn hide(&self, run: Run<'_>) {
        let [a, b, c] = self.corners;
        let edges = [(b, c), (c, a), (a, b)].map(|(p, q)| [p[0], p[1], q[0] - p[0], q[1] - p[1]]);
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
