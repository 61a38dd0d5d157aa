//! Checkpoints written beside the steps: a thread of its own turns copies of the tensors into files, one after the other.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use crate::error::Result;

/// Copies that may wait while one is written: what is remembered grows with them.
const WAITING: usize = 1;

/// What is to be written, and the step that is told when it is.
struct WriteJob {
    step: Option<u64>,
    write: Box<dyn FnOnce() -> Result<()> + Send>,
}

/// Writes in the order in which it is asked; dropped, it has written all.
pub(crate) struct CheckpointWriter {
    jobs: Option<SyncSender<WriteJob>>,
    done: Receiver<Result<Option<u64>>>,
    asked: usize,
    worker: Option<JoinHandle<()>>,
}

impl CheckpointWriter {
    pub(crate) fn start() -> Self {
        let (jobs, todo) = sync_channel::<WriteJob>(WAITING);
        let (tell, done) = channel();
        let worker = std::thread::spawn(move || {
            for WriteJob { step, write } in todo {
                // Whoever asked may be gone, after an error of its own.
                let _ = tell.send(write().map(|()| step));
            }
        });
        Self { jobs: Some(jobs), done, asked: 0, worker: Some(worker) }
    }

    /// Has something written; waits while another is written and one more waits. `step`: of a checkpoint that is told.
    pub(crate) fn ask(&mut self, step: Option<u64>, write: impl FnOnce() -> Result<()> + Send + 'static) {
        let job = WriteJob { step, write: Box::new(write) };
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .expect("the writing thread lives as long as this");
        self.asked += 1;
    }

    /// Steps whose checkpoints have been written since the last question.
    ///
    /// # Errors
    /// Fails if one could not be.
    pub(crate) fn poll(&mut self) -> Result<Vec<u64>> {
        let mut steps = Vec::new();
        while let Ok(found) = self.done.try_recv() {
            self.asked -= 1;
            steps.extend(found?);
        }
        Ok(steps)
    }

    /// As [`CheckpointWriter::poll`], when all that was asked for is written.
    ///
    /// # Errors
    /// As [`CheckpointWriter::poll`].
    pub(crate) fn wait(&mut self) -> Result<Vec<u64>> {
        let mut steps = Vec::new();
        while self.asked > 0 {
            self.asked -= 1;
            steps.extend(self.done.recv().expect("the writing thread lives as long as this")?);
        }
        Ok(steps)
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A panic there has been told on standard error.
        let _ = self.worker.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::out_of_range;

    #[test]
    fn everything_is_written_in_order_and_told() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut writer = CheckpointWriter::start();
        for number in 0..5u64 {
            let written = written.clone();
            writer.ask((number != 2).then_some(number), move || {
                written.lock().unwrap().push(number);
                Ok(())
            });
        }
        let mut told = writer.poll().unwrap();
        told.extend(writer.wait().unwrap());
        assert_eq!((told, &*written.lock().unwrap()), (vec![0, 1, 3, 4], &vec![0, 1, 2, 3, 4]));
        // What is asked for is written even if nobody waits.
        let late = written.clone();
        writer.ask(None, move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            late.lock().unwrap().push(9);
            Ok(())
        });
        drop(writer);
        assert_eq!(written.lock().unwrap().last(), Some(&9));
    }

    #[test]
    fn what_could_not_be_written_is_an_error_of_the_next_question() {
        let mut writer = CheckpointWriter::start();
        writer.ask(Some(1), || Err(out_of_range("the disk", "room", "none")));
        assert!(writer.wait().unwrap_err().to_string().contains("the disk"));
        writer.ask(Some(2), || Ok(()));
        assert_eq!(writer.wait().unwrap(), [2]);
    }
}
