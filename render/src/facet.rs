//! A projected triangle: what it covers and how deep it lies there.

use pulp::Simd;

/// The widest vectors of any processor, in numbers.
pub(crate) const WIDEST: usize = 16;

/// Added around a span, in pixels: more than the f32 rounding of the edges within the guard band.
const MARGIN: f32 = 0.05;

/// Three edges that are positive inside, and inverse depth over them.
pub(crate) struct Facet {
    /// Corners `[u, v, 1 / z]` in an order that makes the area positive.
    corners: [[f32; 3]; 3],
    /// Twice the area in square pixels.
    area: f32,
}

impl Facet {
    /// From corners `[u, v, 1 / z]`; `None` for a triangle seen edge-on or without area: it covers no line of sight.
    #[inline(always)]
    pub(crate) fn new(corners: [[f32; 3]; 3]) -> Option<Self> {
        let [a, mut b, mut c] = corners;
        let mut area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if area < 0.0 {
            (b, c, area) = (c, b, -area);
        }
        (area > 0.0).then_some(Self { corners: [a, b, c], area })
    }

    /// The edges ready for [`Slopes::span`].
    #[inline(always)]
    pub(crate) fn slopes(&self) -> Slopes {
        let [a, b, c] = self.corners;
        Slopes([Slope::new(a, b), Slope::new(b, c), Slope::new(c, a)])
    }

    /// Sets `limit` to 0 for the points `u`, `v` of which the triangle lies before `limit`.
    ///
    /// Only whole vectors are looked at.
    #[inline(always)]
    pub(crate) fn hide<S: Simd>(&self, simd: S, u: &[f32], v: &[f32], limit: &mut [f32]) {
        let [a, b, c] = self.corners;
        let edges = [FacetEdge::new(simd, b, c), FacetEdge::new(simd, c, a), FacetEdge::new(simd, a, b)];
        let inverse_depth = [simd.splat_f32s(a[2]), simd.splat_f32s(b[2]), simd.splat_f32s(c[2])];
        let (area, zero) = (simd.splat_f32s(self.area), simd.splat_f32s(0.0));
        let (us, vs) = (S::as_simd_f32s(u).0, S::as_simd_f32s(v).0);
        for ((&u, &v), limit) in us.iter().zip(vs).zip(S::as_mut_simd_f32s(limit).0) {
            let [x, y, z] = [edges[0].at(simd, u, v), edges[1].at(simd, u, v), edges[2].at(simd, u, v)];
            let is_covered = simd.greater_than_or_equal_f32s(simd.min_f32s(simd.min_f32s(x, y), z), zero);
            // The edges sum to the area: depth here is area / (x i + y j + z k).
            let xy = simd.add_f32s(simd.mul_f32s(x, inverse_depth[0]), simd.mul_f32s(y, inverse_depth[1]));
            let sum = simd.add_f32s(xy, simd.mul_f32s(z, inverse_depth[2]));
            let is_before = simd.greater_than_f32s(simd.mul_f32s(sum, *limit), area);
            *limit = simd.select_f32s(simd.and_m32s(is_covered, is_before), zero, *limit);
        }
    }
}

/// A line through two corners, positive on the inner side.
struct FacetEdge<S: Simd> {
    u: S::f32s,
    v: S::f32s,
    du: S::f32s,
    dv: S::f32s,
}

impl<S: Simd> FacetEdge<S> {
    #[inline(always)]
    fn new(simd: S, p: [f32; 3], q: [f32; 3]) -> Self {
        let (u, v) = (simd.splat_f32s(p[0]), simd.splat_f32s(p[1]));
        Self { u, v, du: simd.splat_f32s(q[0] - p[0]), dv: simd.splat_f32s(q[1] - p[1]) }
    }

    #[inline(always)]
    fn at(&self, simd: S, u: S::f32s, v: S::f32s) -> S::f32s {
        let across = simd.mul_f32s(self.du, simd.sub_f32s(v, self.v));
        simd.sub_f32s(across, simd.mul_f32s(self.dv, simd.sub_f32s(u, self.u)))
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

impl Slope {
    #[inline(always)]
    fn new(p: [f32; 3], q: [f32; 3]) -> Self {
        let (p, q) = if p[1] <= q[1] { (p, q) } else { (q, p) };
        let height = q[1] - p[1];
        let step = if height > 1e-6 { (q[0] - p[0]) / height } else { 0.0 };
        Self { top: [p[0], p[1]], bottom: q[1], step, low: p[0].min(q[0]), high: p[0].max(q[0]) }
    }
}

/// A stretch of a row of the image, from one u to another.
#[derive(Clone, Copy)]
pub(crate) struct RowSpan {
    pub(crate) left: f32,
    pub(crate) right: f32,
}

/// The edges of a triangle, to find how far it reaches left and right.
pub(crate) struct Slopes([Slope; 3]);

impl Slopes {
    /// How far the triangle reaches between the heights `top` and `bottom`.
    #[inline(always)]
    pub(crate) fn span(&self, top: f32, bottom: f32) -> RowSpan {
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
        RowSpan { left: left - MARGIN, right: right + MARGIN }
    }
}
