//! What a test of the campaign tried and what went wrong: all of it is told before the test fails.

/// Faults that are printed one by one.
const SHOWN: usize = 40;

/// A count of tries and the faults among them.
pub(crate) struct Findings {
    topic: String,
    tried: usize,
    faults: Vec<String>,
}

impl Findings {
    pub(crate) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), tried: 0, faults: Vec::new() }
    }

    /// Counts a try; `fault` says what is wrong with it.
    pub(crate) fn note(&mut self, fault: Option<String>) {
        self.tried += 1;
        self.faults.extend(fault);
    }

    /// Counts a try that is right or has the fault.
    pub(crate) fn check(&mut self, is_right: bool, fault: impl FnOnce() -> String) {
        self.note((!is_right).then(fault));
    }

    /// Takes in what another part found.
    pub(crate) fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.faults.extend(other.faults);
    }

    /// Prints the count and the faults, and fails if there are any.
    #[track_caller]
    pub(crate) fn conclude(self) {
        let Self { topic, tried, faults } = self;
        println!("{topic}: {tried} tried, {} faults", faults.len());
        faults.iter().take(SHOWN).for_each(|fault| println!("  FAULT {topic}: {fault}"));
        if faults.len() > SHOWN {
            println!("  ... and {} more", faults.len() - SHOWN);
        }
        assert!(tried > 0, "{topic}: nothing was tried");
        assert!(faults.is_empty(), "{topic}: {} of {tried} failed, see above", faults.len());
    }
}
