//! The labels that frozen features are judged by: what cannot be judged is refused by name, what is left out is said.

use std::collections::BTreeSet;

use anyhow::bail;
use jepa3d_loader::{ListedSample, PreparedDataset};
use jepa3d_probe::is_validation;

use super::tell;

/// The split that is learned from, and the one that is judged.
#[derive(Clone, Copy)]
pub(crate) struct JudgedSplits<'a> {
    pub dataset: &'a PreparedDataset,
    pub train: &'a str,
    /// None: the fixed fifth of `train`.
    pub test: Option<&'a str>,
}

/// Samples of a split that are learned from or judged.
struct ListedPart {
    /// What it is, for people.
    name: String,
    samples: Vec<ListedSample>,
}

impl JudgedSplits<'_> {
    /// Checks that both parts have labels, the one that is learned from of several classes, and the judged one of some of them;
    /// says how many samples have none.
    ///
    /// Gives the names of the classes that are judged and never learned from.
    ///
    /// # Errors
    /// Fails if a split does not exist, or its labels do not serve; the error names the set, what was expected and found.
    pub(crate) fn check(&self) -> anyhow::Result<Vec<String>> {
        if self.test == Some(self.train) {
            // What learns from a split refuses to judge on it, in its own words.
            return Ok(Vec::new());
        }
        let (learned, judged) = (self.learned_part()?, self.judged_part()?);
        let (known, asked) = (self.class_names(&learned)?, self.class_names(&judged)?);
        let folder = self.dataset.folder().display();
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        if known.len() < 2 {
            let (name, found) = (&learned.name, list(&known));
            bail!(
                "{folder}: labels of {name}: expected at least two classes to learn from, found 1 ({found})"
            );
        }
        let unseen: BTreeSet<String> = asked.difference(&known).cloned().collect();
        if unseen.len() == asked.len() {
            let (name, found) = (&judged.name, list(&asked));
            bail!("{folder}: labels of {name}: expected classes of {}, found none but {found}", learned.name);
        }
        Ok(unseen.into_iter().collect())
    }

    /// As [`JudgedSplits::check`]; names the classes that are judged and never learned from in a note.
    ///
    /// # Errors
    /// As [`JudgedSplits::check`].
    pub(crate) fn check_and_tell(&self) -> anyhow::Result<()> {
        let unseen = self.check()?;
        if !unseen.is_empty() {
            tell(format_args!("note: classes that are judged and never learned from: {}", unseen.join(", ")));
        }
        Ok(())
    }

    fn learned_part(&self) -> anyhow::Result<ListedPart> {
        let mut samples = self.dataset.list_samples(self.train)?;
        let mut name = self.train.to_owned();
        if self.test.is_none() {
            samples.retain(|sample| !is_validation(&sample.id));
            name = format!("{name} without its fixed fifth");
        }
        Ok(ListedPart { name, samples })
    }

    fn judged_part(&self) -> anyhow::Result<ListedPart> {
        if let Some(test) = self.test {
            return Ok(ListedPart { name: test.to_owned(), samples: self.dataset.list_samples(test)? });
        }
        let mut samples = self.dataset.list_samples(self.train)?;
        samples.retain(|sample| is_validation(&sample.id));
        Ok(ListedPart { name: format!("the fixed fifth of {}", self.train), samples })
    }

    /// The classes of a part.
    fn class_names(&self, part: &ListedPart) -> anyhow::Result<BTreeSet<String>> {
        let classes = self.dataset.classes();
        let class = |sample: &ListedSample| classes.get(usize::try_from(sample.label?).ok()?).cloned();
        let found: Vec<String> = part.samples.iter().filter_map(class).collect();
        let (name, count) = (&part.name, part.samples.len());
        if found.is_empty() {
            let folder = self.dataset.folder().display();
            bail!("{folder}: labels of {name}: expected labelled samples, found none among {count}");
        }
        if found.len() < count {
            tell(format_args!(
                "note: {} samples of {name} have no label and are left out",
                count - found.len()
            ));
        }
        Ok(found.into_iter().collect())
    }
}
