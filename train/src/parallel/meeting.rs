//! Where the threads of a process meet: each hands something in, the last one works with all of it, all get what it finds.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The meeting of a fixed number of threads, again and again.
#[derive(Debug)]
pub(super) struct Meeting {
    state: Mutex<MeetingState>,
    changed: Condvar,
}

#[derive(Debug)]
struct MeetingState {
    round: u64,
    /// What this round is for; set by the first who comes.
    purpose: &'static str,
    /// By number of the thread.
    handed: Vec<Option<Vec<u8>>>,
    /// Of the last round.
    found: Arc<Vec<u8>>,
    /// Why there will be no further rounds.
    failure: Option<String>,
}

/// What one thread brings.
pub(super) struct HandedIn {
    pub number: usize,
    pub purpose: &'static str,
    pub bytes: Vec<u8>,
}

impl Meeting {
    pub(super) fn new(threads: usize) -> Self {
        let state = MeetingState {
            round: 0,
            purpose: "",
            handed: vec![None; threads],
            found: Arc::default(),
            failure: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for all threads; `work` is done by the last of them, with what all have handed in, in their order.
    ///
    /// # Errors
    /// Fails, for all threads and for ever, if `work` does, a thread has failed, or two come for different purposes.
    pub(super) fn meet(
        &self,
        own: HandedIn,
        work: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>,
    ) -> Result<Arc<Vec<u8>>, String> {
        let HandedIn { number, purpose, bytes } = own;
        let mut state = self.lock();
        let round = state.round;
        let is_first = state.handed.iter().all(Option::is_none);
        if !is_first && state.purpose != purpose {
            let text = format!("one part asks for {purpose}, another for {}", state.purpose);
            state.fail(text);
            self.changed.notify_all();
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.purpose = purpose;
        state.handed[number] = Some(bytes);
        if state.handed.iter().all(Option::is_some) {
            let all = state.handed.iter_mut().filter_map(Option::take).flatten().collect();
            match work(all) {
                Ok(found) => (state.found, state.round) = (Arc::new(found), round + 1),
                Err(failure) => state.fail(failure),
            }
            self.changed.notify_all();
        }
        while state.round == round && state.failure.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match &state.failure {
            Some(failure) if state.round == round => Err(failure.clone()),
            _ => Ok(state.found.clone()),
        }
    }

    /// Ends all rounds, this one too: whoever waits fails.
    pub(super) fn fail(&self, reason: &str) {
        self.lock().fail(reason.to_owned());
        self.changed.notify_all();
    }

    /// Why there are no further rounds.
    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, MeetingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MeetingState {
    /// The first reason stays.
    fn fail(&mut self, reason: String) {
        self.failure.get_or_insert(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(number: usize, purpose: &'static str) -> HandedIn {
        HandedIn { number, purpose, bytes: vec![number as u8] }
    }

    #[test]
    fn everyone_gets_what_all_have_brought_round_after_round() {
        let meeting = Meeting::new(3);
        let run = |number: usize| {
            let round = |_| meeting.meet(handed(number, "sums"), Ok).unwrap().to_vec();
            (0..200).map(round).collect::<Vec<_>>()
        };
        let found: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
            let run = &run;
            let threads = [0, 1, 2].map(|number| scope.spawn(move || run(number)));
            threads.map(|thread| thread.join().unwrap()).to_vec()
        });
        assert!(found.iter().flatten().all(|all| *all == [0, 1, 2]));
    }

    #[test]
    fn nobody_waits_for_one_that_failed_or_asks_for_something_else() {
        let meeting = Meeting::new(2);
        let told = std::thread::scope(|scope| {
            let waits = scope.spawn(|| meeting.meet(handed(0, "sums"), Ok));
            meeting.fail("the disk is full");
            waits.join().unwrap().unwrap_err()
        });
        assert_eq!(
            (told.as_str(), meeting.failure().as_deref()),
            ("the disk is full", Some("the disk is full"))
        );
        assert!(meeting.meet(handed(1, "sums"), Ok).is_err(), "it stays so");
        let meeting = Meeting::new(2);
        let both = std::thread::scope(|scope| {
            let threads = [(0, "sums"), (1, "rows")].map(|(number, purpose)| {
                scope.spawn({
                    let meeting = &meeting;
                    move || meeting.meet(handed(number, purpose), Ok)
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(
            both.iter().all(|found| found.as_ref().is_err_and(|text| text.contains("asks for"))),
            "{both:?}"
        );
        let meeting = Meeting::new(1);
        assert_eq!(meeting.meet(handed(0, "sums"), |_| Err("lost".into())).unwrap_err(), "lost");
    }
}
