//! Zeroed `f32` memory that starts at a cache line, so that no vector load crosses two lines.

use std::ops::{Deref, DerefMut};

const LINE: usize = 64;

pub(crate) struct AlignedBuffer {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    pub(crate) fn zeros(len: usize) -> Self {
        let data = vec![0.0f32; len + LINE / 4];
        let start = data.as_ptr().align_offset(LINE).min(LINE / 4);
        Self { data, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
