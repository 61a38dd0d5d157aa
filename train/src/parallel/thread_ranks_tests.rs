//! Threads that stand for processes, for tests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::collectives::{Collectives, Processes};
use crate::error::{Error, Result};

/// Where the threads meet.
#[derive(Debug, Default)]
struct ThreadTable {
    round: u64,
    handed: Vec<Option<Vec<u8>>>,
    found: Arc<Vec<Vec<u8>>>,
    ended: Option<String>,
}

#[derive(Clone, Debug)]
struct ThreadRank {
    rank: usize,
    world: usize,
    table: Arc<(Mutex<ThreadTable>, Condvar)>,
}

impl ThreadRank {
    fn lock(&self) -> MutexGuard<'_, ThreadTable> {
        self.table.0.lock().unwrap()
    }

    /// What all have handed in, by rank.
    fn meet(&self, own: &[u8]) -> Result<Arc<Vec<Vec<u8>>>> {
        let mut table = self.lock();
        let round = table.round;
        table.handed[self.rank] = Some(own.to_vec());
        if table.handed.iter().all(Option::is_some) {
            let all = table.handed.iter_mut().map(|own| own.take().unwrap()).collect();
            (table.found, table.round) = (Arc::new(all), round + 1);
            self.table.1.notify_all();
        }
        while table.round == round {
            if let Some(reason) = &table.ended {
                return Err(Error::Together { reason: reason.clone() });
            }
            table = self.table.1.wait(table).unwrap();
        }
        Ok(table.found.clone())
    }
}

impl Collectives for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        Ok(self.meet(own)?.concat())
    }

    fn exchange(&self, own: &[u8]) -> Result<Vec<u8>> {
        let block = own.len() / self.world;
        let all = self.meet(own)?;
        Ok(all.iter().flat_map(|from| &from[self.rank * block..(self.rank + 1) * block]).copied().collect())
    }

    fn leave(&self, reason: Option<&str>) {
        if let Some(reason) = reason {
            let text = format!("process {} of {} ended: {reason}", self.rank, self.world);
            self.lock().ended.get_or_insert(text);
            self.table.1.notify_all();
        }
    }
}

/// Runs `work` in `world` threads, each of which is a process to it; what they give, by rank.
pub(crate) fn join_threads<T: Send>(world: usize, work: impl Fn(Processes) -> T + Sync) -> Vec<T> {
    let table = ThreadTable { handed: vec![None; world], ..ThreadTable::default() };
    let table = Arc::new((Mutex::new(table), Condvar::new()));
    std::thread::scope(|scope| {
        let start = |rank| {
            let (processes, work) = (Processes::new(ThreadRank { rank, world, table: table.clone() }), &work);
            scope.spawn(move || work(processes))
        };
        let threads: Vec<_> = (0..world).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
