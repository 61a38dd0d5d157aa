//! The parts of a dataset: training, validation and test.

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    /// All three, in the order in which they are reported.
    pub(crate) const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name in file names and columns.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The split whose [`Split::name`] this is, to the letter.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }

    /// The split that a folder name means, whose spelling varies: `Train`, `training`, `validation`.
    pub(crate) fn from_folder_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "eval" | "evaluation" => Some(Self::Val),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

/// What a folder name says of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FolderPart {
    /// A split.
    Split(Split),
    /// Objects without labels, which are for training.
    Unlabeled,
}

impl FolderPart {
    /// What a folder name, in any spelling, means; `None` for names of classes.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "unlabeled" | "unlabelled" => Some(Self::Unlabeled),
            _ => Split::from_folder_name(name).map(Self::Split),
        }
    }

    /// The split of what is in it.
    pub(crate) fn split(self) -> Split {
        match self {
            Self::Split(split) => split,
            Self::Unlabeled => Split::Train,
        }
    }
}
