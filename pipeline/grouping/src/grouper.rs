//! x
use crate::{fps, index::SpatialIndex, patches};
use pulp::Arch;

/// x
#[derive(Debug)]
pub struct Grouper {
    arch: Arch,
    index: SpatialIndex,
    fps: fps::FpsScratch,
    patches: patches::PatchScratch,
}
impl Grouper {
    /// x
    pub fn new() -> Self {
        Self { arch: Arch::new(), index: Default::default(), fps: Default::default(), patches: Default::default() }
    }
    /// x
    pub fn load(&mut self, points: &[[f32; 3]]) {
        let index = &mut self.index;
        self.arch.dispatch(|| index.build(points));
    }
    /// x
    pub fn farthest_points(&mut self, count: usize, start: u32, out: &mut Vec<u32>) {
        let Self { index, fps, .. } = self;
        self.arch.dispatch(|| fps::sample(index, fps, count, start, out));
    }
    /// x
    pub fn nearest(&mut self, queries: &[u32], k: usize, out: &mut Vec<u32>) {
        let Self { index, patches, .. } = self;
        self.arch.dispatch(|| patches::nearest(index, patches, queries, k, out));
    }
}
