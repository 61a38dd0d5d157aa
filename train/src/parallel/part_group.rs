//! The parts of a batch that this process passes, and their way to those of other processes.

use std::sync::Arc;

use candle_core::Error as TensorError;
use jepa3d_kernels::BatchParts;

use super::collectives::Processes;
use super::meeting::{HandedIn, Meeting};
use crate::error::{Error, Result};

/// Numbers of a gradient that are summed at a time, in each part.
const BUCKET: usize = 1 << 22;

/// All parts of a batch: equally many of them are passed by each process.
#[derive(Debug)]
pub(crate) struct PartGroup {
    count: usize,
    processes: Processes,
    meeting: Meeting,
}

impl PartGroup {
    /// `count` is a multiple of the processes.
    pub(crate) fn new(count: usize, processes: Processes) -> Self {
        let meeting = Meeting::new(count / processes.world());
        Self { count, processes, meeting }
    }

    /// Parts of a batch.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Parts that this process passes.
    pub(crate) fn own(&self) -> usize {
        self.count / self.processes.world()
    }

    /// The processes.
    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// What all processes hand in, one behind the other.
    ///
    /// # Errors
    /// Fails if a process is lost or has ended with an error.
    pub(crate) fn gather_bytes(&self, own: &[u8]) -> Result<Vec<u8>> {
        match self.processes.world() {
            1 => Ok(own.to_vec()),
            _ => self.processes.collectives().gather(own),
        }
    }

    /// As [`PartGroup::gather_bytes`], of numbers.
    ///
    /// # Errors
    /// As [`PartGroup::gather_bytes`].
    pub(crate) fn gather_numbers(&self, own: &[f64]) -> Result<Vec<f64>> {
        Ok(wide_numbers(&self.gather_bytes(&bytes_of_wide(own))?))
    }

    /// The sum over all parts of what each has, those of this process in their order: added in the order of the parts, whoever
    /// passed them. Every process adds a share of the numbers, and hands it to the others.
    ///
    /// # Errors
    /// As [`PartGroup::gather_bytes`].
    pub(crate) fn sum(&self, own: &[Vec<f32>]) -> Result<Vec<f32>> {
        let length = own.first().map_or(0, Vec::len);
        if self.processes.world() == 1 {
            let parts: Vec<&[f32]> = own.iter().map(Vec::as_slice).collect();
            return Ok(add_in_order(&parts));
        }
        let mut sum = Vec::with_capacity(length);
        for start in (0..length).step_by(BUCKET) {
            let end = (start + BUCKET).min(length);
            let parts: Vec<&[f32]> = own.iter().map(|part| &part[start..end]).collect();
            sum.extend(self.sum_bucket(&parts)?);
        }
        Ok(sum)
    }

    fn sum_bucket(&self, own: &[&[f32]]) -> Result<Vec<f32>> {
        let (world, length) = (self.processes.world(), own[0].len());
        let share = length.div_ceil(world);
        let mut send = Vec::with_capacity(world * own.len() * share);
        for to in 0..world {
            for part in own {
                let of_share = &part[(to * share).min(length)..((to + 1) * share).min(length)];
                send.extend_from_slice(of_share);
                send.resize(send.len() + share - of_share.len(), 0.0);
            }
        }
        let collectives = self.processes.collectives();
        let received = numbers_of_bytes(&collectives.exchange(&bytes_of_numbers(&send))?);
        let parts: Vec<&[f32]> = received.chunks_exact(share).collect();
        let all = collectives.gather(&bytes_of_numbers(&add_in_order(&parts)))?;
        let mut sum = numbers_of_bytes(&all);
        sum.truncate(length);
        Ok(sum)
    }

    /// Ends the meetings of the parts: whoever waits in one fails.
    pub(crate) fn fail(&self, reason: &str) {
        self.meeting.fail(reason);
    }

    /// Tells the other processes that this one takes no further part.
    pub(crate) fn leave(&self, reason: Option<&str>) {
        self.processes.collectives().leave(reason);
    }

    /// The error of a run that ended with `error`: why the parts no longer meet, where that is known.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match self.meeting.failure() {
            Some(reason) if !matches!(error, Error::Together { .. }) => Error::Together { reason },
            _ => error,
        }
    }
}

/// One of the parts that this process passes.
#[derive(Clone, Debug)]
pub(crate) struct OwnPart {
    group: Arc<PartGroup>,
    /// Among those of this process.
    own: usize,
}

impl OwnPart {
    pub(crate) fn new(group: &Arc<PartGroup>, own: usize) -> Self {
        Self { group: group.clone(), own }
    }

    /// Does something that all parts of this process share once, while none of them does anything else.
    ///
    /// # Errors
    /// Fails for all of them if it does.
    pub(crate) fn do_once(&self, purpose: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let own = HandedIn { number: self.own, purpose, bytes: Vec::new() };
        let work = |_| work().map(|()| Vec::new()).map_err(tell_reason);
        self.group.meeting.meet(own, work).map(|_| ()).map_err(|reason| Error::Together { reason })
    }

    fn gather_bytes(&self, purpose: &'static str, bytes: Vec<u8>) -> Result<Arc<Vec<u8>>, TensorError> {
        let own = HandedIn { number: self.own, purpose, bytes };
        let work = |all: Vec<u8>| self.group.gather_bytes(&all).map_err(tell_reason);
        self.group.meeting.meet(own, work).map_err(TensorError::msg)
    }
}

impl BatchParts for OwnPart {
    fn count(&self) -> usize {
        self.group.count
    }

    fn number(&self) -> usize {
        self.group.processes.rank() * self.group.own() + self.own
    }

    fn gather_wide(&self, purpose: &'static str, own: &[f64]) -> candle_core::Result<Vec<f64>> {
        Ok(wide_numbers(&self.gather_bytes(purpose, bytes_of_wide(own))?))
    }

    fn gather(&self, purpose: &'static str, own: &[f32]) -> candle_core::Result<Vec<f32>> {
        Ok(numbers_of_bytes(&self.gather_bytes(purpose, bytes_of_numbers(own))?))
    }
}

/// What went wrong, without the words that an error of this kind begins with.
fn tell_reason(error: Error) -> String {
    match error {
        Error::Together { reason } => reason,
        other => other.to_string(),
    }
}

/// The sum of equally long slices, added in their order.
fn add_in_order(parts: &[&[f32]]) -> Vec<f32> {
    let Some((first, rest)) = parts.split_first() else { return Vec::new() };
    let mut sum = first.to_vec();
    for part in rest {
        sum.iter_mut().zip(*part).for_each(|(sum, x)| *sum += x);
    }
    sum
}

fn bytes_of_numbers(numbers: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * numbers.len()];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers).for_each(|(to, x)| *to = x.to_le_bytes());
    bytes
}

fn numbers_of_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect()
}

fn bytes_of_wide(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn wide_numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x)).collect()
}

#[cfg(test)]
mod tests {
    use jepa3d_schemas::Draws;

    use super::super::thread_ranks_tests::join_threads;
    use super::*;

    #[test]
    fn sums_are_those_of_all_parts_in_their_order_on_any_number_of_processes() {
        let mut draws = Draws::new(1, "parts", "test");
        let mut part = || (0..11).map(|_| draws.normal() as f32).collect::<Vec<f32>>();
        let parts: Vec<Vec<f32>> = (0..4).map(|_| part()).collect();
        let want = PartGroup::new(4, Processes::alone()).sum(&parts).unwrap();
        let plain = |at: usize| parts[1..].iter().fold(parts[0][at], |sum, part| sum + part[at]);
        assert!((0..11).all(|at| want[at] == plain(at)));
        for world in [2, 4] {
            let own = 4 / world;
            let found = join_threads(world, |processes| {
                let rank = processes.rank();
                let group = PartGroup::new(4, processes);
                (
                    group.sum(&parts[rank * own..(rank + 1) * own]).unwrap(),
                    group.gather_numbers(&[rank as f64]).unwrap(),
                )
            });
            let ranks: Vec<f64> = (0..world).map(|rank| rank as f64).collect();
            assert!(found.iter().all(|(sum, told)| *sum == want && *told == ranks), "{world}");
        }
    }
}
