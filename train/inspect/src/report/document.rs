//! A report: what a command found, and all that is needed to find it again.

use serde::{Deserialize, Serialize};

use super::sections::ReportSection;

/// What files of this layout say of themselves.
pub(crate) const FORMAT: &str = "jepa3d report";
/// The layout that this version writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// What a command found.
///
/// The files made of it hold no time and no duration, so that the same run leaves the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    format: String,
    version: u32,
    /// One line.
    pub title: String,
    /// What one looks for first, at most a handful.
    pub facts: Vec<ReportFact>,
    /// The parts, in the order in which they are shown.
    pub sections: Vec<ReportSection>,
    /// How it was made; one a run that is compared.
    pub provenance: Vec<Provenance>,
}

impl Report {
    /// An empty report.
    pub fn new(title: impl Into<String>, provenance: Provenance) -> Self {
        Self::compared(title.into(), vec![provenance])
    }

    /// An empty report about several runs.
    pub(crate) fn compared(title: String, provenance: Vec<Provenance>) -> Self {
        let (format, version) = (FORMAT.to_owned(), FORMAT_VERSION);
        Self { format, version, title, facts: Vec::new(), sections: Vec::new(), provenance }
    }

    /// Adds a fact.
    pub fn add_fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push(ReportFact::new(name, value));
    }

    /// Adds a part at the end.
    pub fn add(&mut self, section: ReportSection) {
        self.sections.push(section);
    }
}

/// A name and a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFact {
    /// What it is.
    pub name: String,
    /// What was found.
    pub value: String,
}

impl ReportFact {
    /// A fact.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// How a report was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the run where several are compared; otherwise empty.
    #[serde(default)]
    pub name: String,
    /// The exact line, as a shell reads it.
    pub command: String,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// What was read: dataset with its fingerprint, encoders with their step.
    pub inputs: Vec<ReportFact>,
    /// Version of this tool.
    pub tool_version: String,
    /// Name of the processor.
    pub processor: String,
    /// Threads that it ran on.
    pub threads: usize,
}
