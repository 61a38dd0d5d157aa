//! Memory that one step hands to the next.
//!
//! A training step asks for the same hundreds of megabytes again and again. Given back to the system in between, every page
//! is mapped, zeroed and faulted in anew, which cost a seventh of a step. What is given back here is kept, never more than
//! was in use at once.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// A kind of number that memory is kept for.
pub trait Pooled: Copy + Default + Send + 'static {
    /// Where it is kept.
    fn pool() -> &'static Mutex<MemoryPool<Self>>;
}

impl Pooled for f32 {
    fn pool() -> &'static Mutex<MemoryPool<Self>> {
        static POOL: Mutex<MemoryPool<f32>> = Mutex::new(MemoryPool::new());
        &POOL
    }
}

/// Memory that nobody uses, and how much is used.
#[derive(Debug)]
pub struct MemoryPool<T> {
    free: BTreeMap<usize, Vec<Vec<T>>>,
    kept: usize,
    in_use: usize,
    most: usize,
}

impl<T: Copy + Default> MemoryPool<T> {
    pub(crate) const fn new() -> Self {
        Self { free: BTreeMap::new(), kept: 0, in_use: 0, most: 0 }
    }

    /// The smallest that is kept and fits, unless it is over twice as long.
    fn take(&mut self, len: usize) -> Option<Vec<T>> {
        let found = self.free.range(len..=2 * len).next().map(|(&size, _)| size);
        let memory = found.and_then(|size| {
            let of_size = self.free.get_mut(&size)?;
            let memory = of_size.pop();
            if of_size.is_empty() {
                self.free.remove(&size);
            }
            self.kept -= size;
            memory
        });
        self.in_use += memory.as_ref().map_or(len, Vec::len);
        self.most = self.most.max(self.in_use);
        memory
    }

    fn give_back(&mut self, memory: Vec<T>) {
        let size = memory.len();
        self.in_use -= size;
        if self.in_use + self.kept + size <= self.most {
            self.kept += size;
            self.free.entry(size).or_default().push(memory);
        }
    }
}

/// Bytes of a cache line: no vector that is read from its start crosses two.
const LINE: usize = 64;

/// A slice of memory with **arbitrary contents**, those of an earlier use; kept for the next when it is dropped. It starts at
/// a cache line.
#[derive(Debug)]
pub struct Recycled<T: Pooled> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Pooled> Recycled<T> {
    /// `len` numbers, whatever they are.
    pub fn take(len: usize) -> Self {
        let slack = LINE / size_of::<T>();
        let kept = T::pool().lock().unwrap_or_else(PoisonError::into_inner).take(len + slack);
        let memory = kept.unwrap_or_else(|| vec![T::default(); len + slack]);
        let start = memory.as_ptr().align_offset(LINE).min(slack);
        Self { memory, start, len }
    }

    /// The same numbers as in `values`.
    pub fn copy_of(values: &[T]) -> Self {
        let mut copy = Self::take(values.len());
        copy.copy_from_slice(values);
        copy
    }
}

impl<T: Pooled> Drop for Recycled<T> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        T::pool().lock().unwrap_or_else(PoisonError::into_inner).give_back(memory);
    }
}

impl<T: Pooled> Deref for Recycled<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T: Pooled> DerefMut for Recycled<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_used_again_and_no_more_is_kept_than_was_used() {
        let mut pool = MemoryPool::<f32>::new();
        let lend = |pool: &mut MemoryPool<f32>, len: usize| pool.take(len).unwrap_or_else(|| vec![0.0; len]);
        let (first, second) = (lend(&mut pool, 100), lend(&mut pool, 60));
        let place = first.as_ptr();
        pool.give_back(first);
        pool.give_back(second);
        assert_eq!((pool.kept, pool.in_use, pool.most), (160, 0, 160));
        // 60 numbers do not fit 90, 100 do; 100 are too many for 40.
        let again = lend(&mut pool, 90);
        assert_eq!((again.as_ptr(), again.len()), (place, 100));
        let other = lend(&mut pool, 25);
        assert_eq!((other.len(), pool.kept, pool.in_use), (25, 60, 125));
        pool.give_back(again);
        assert_eq!((pool.kept, pool.in_use, pool.most), (60, 25, 160), "100 more would be 185");
        pool.give_back(other);
        assert_eq!((pool.kept, pool.in_use), (85, 0));
    }

    #[test]
    fn a_slice_is_as_long_as_asked_for() {
        let mut memory = Recycled::<f32>::take(7);
        memory.fill(3.0);
        let copy = Recycled::copy_of(&memory);
        assert_eq!((&*copy, copy.len()), (&[3.0; 7][..], 7));
        assert!([memory.as_ptr(), copy.as_ptr()].iter().all(|start| start.addr().is_multiple_of(LINE)));
    }
}
