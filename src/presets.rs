//! The presets: every file of `configs/`, compiled in and found by name, so that an installed binary
//! needs no checkout. A test compares the list with the folder.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use jepa3d_schemas::ConfigText;

/// Names that are as near as this (Jaro, 0 to 1) to an unknown one are proposed.
const IS_NEAR: f64 = 0.75;

/// The verb that a preset is for, and the folder below `configs/` that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Prepare,
    Pretrain,
    Finetune,
    Segment,
    Ablate,
}

impl Verb {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Pretrain => "pretrain",
            Self::Finetune => "finetune",
            Self::Segment => "segment",
            Self::Ablate => "ablate",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A config that is part of the program.
#[derive(Debug)]
pub(crate) struct Preset {
    pub(crate) verb: Verb,
    pub(crate) name: &'static str,
    pub(crate) toml: &'static str,
}

impl Preset {
    /// What it is: the first line of the file, which is a comment.
    pub(crate) fn summary(&self) -> &'static str {
        self.toml.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.verb, self.name)
    }
}

macro_rules! preset {
    ($verb:ident, $folder:literal, $name:literal) => {
        Preset {
            verb: Verb::$verb,
            name: $name,
            toml: include_str!(concat!("../configs/", $folder, "/", $name, ".toml")),
        }
    };
}

/// All of them, in the order in which they are listed.
pub(crate) const PRESETS: &[Preset] = &[
    preset!(Prepare, "prepare", "synthetic"),
    preset!(Prepare, "prepare", "synthetic-views"),
    preset!(Prepare, "prepare", "programs"),
    preset!(Prepare, "prepare", "shapenet"),
    preset!(Prepare, "prepare", "shapenet-views"),
    preset!(Prepare, "prepare", "modelnet"),
    preset!(Prepare, "prepare", "modelnet-views"),
    preset!(Prepare, "prepare", "shapenetpart"),
    preset!(Prepare, "prepare", "scanobjectnn"),
    preset!(Prepare, "prepare", "nuscenes"),
    preset!(Prepare, "prepare", "nuscenes-views"),
    preset!(Prepare, "prepare", "folder"),
    preset!(Prepare, "prepare", "folder-views"),
    preset!(Pretrain, "pretrain", "point-jepa"),
    preset!(Pretrain, "pretrain", "point-jepa-small"),
    preset!(Pretrain, "pretrain", "point-jepa-region"),
    preset!(Pretrain, "pretrain", "point-jepa-region-small"),
    preset!(Pretrain, "pretrain", "3d-jepa"),
    preset!(Pretrain, "pretrain", "3d-jepa-small"),
    preset!(Pretrain, "pretrain", "3d-jepa-sensor-small"),
    preset!(Pretrain, "pretrain", "jepa3d-s"),
    preset!(Pretrain, "pretrain", "3d-jepa-scenes"),
    preset!(Pretrain, "pretrain", "3d-jepa-l2"),
    preset!(Pretrain, "pretrain", "3d-jepa-l2-small"),
    preset!(Pretrain, "pretrain", "cross-jepa"),
    preset!(Pretrain, "pretrain", "cross-jepa-small"),
    preset!(Pretrain, "pretrain", "cross-jepa-hybrid"),
    preset!(Pretrain, "pretrain", "cross-jepa-hybrid-small"),
    preset!(Pretrain, "pretrain", "cross-jepa-hybrid-scenes"),
    preset!(Finetune, "finetune", "modelnet40"),
    preset!(Finetune, "finetune", "modelnet40-small"),
    preset!(Finetune, "finetune", "scanobjectnn-pb-t50-rs"),
    preset!(Finetune, "finetune", "scanobjectnn-obj-bg"),
    preset!(Finetune, "finetune", "scanobjectnn-obj-only"),
    preset!(Finetune, "finetune", "scanobjectnn-small"),
    preset!(Finetune, "finetune", "few-shot"),
    preset!(Finetune, "finetune", "few-shot-small"),
    preset!(Segment, "segment", "parts"),
    preset!(Segment, "segment", "parts-small"),
    preset!(Segment, "segment", "scenes"),
    preset!(Ablate, "ablate", "masking"),
    preset!(Ablate, "ablate", "predictor-width"),
    preset!(Ablate, "ablate", "target"),
    preset!(Ablate, "ablate", "groupings"),
    preset!(Ablate, "ablate", "teacher"),
    preset!(Ablate, "ablate", "jepa3d-s-recipe"),
];

/// The config that an argument of a verb means: a file if it ends in `.toml` or holds a separator, else
/// the preset of that name. What a name means does not depend on the folder it is used in.
///
/// # Errors
/// Fails if the file cannot be read, or there is no such preset; the error names those that are near.
pub(crate) fn resolve(verb: Verb, argument: &Path) -> anyhow::Result<ConfigText> {
    let name = argument.to_str().filter(|text| !is_path(text));
    let Some(name) = name else { return Ok(ConfigText::read(argument)?) };
    let is_named = |preset: &&Preset| preset.verb == verb && preset.name == name;
    match PRESETS.iter().find(is_named) {
        Some(preset) => Ok(ConfigText { origin: PathBuf::from(name), toml: preset.toml.to_owned() }),
        None => bail!(describe_unknown(name, Some(verb))),
    }
}

/// The preset of a name, or of `verb/name` where two verbs have one of that name.
///
/// # Errors
/// Fails if there is none, or more than one.
pub(crate) fn find(name: &str) -> anyhow::Result<&'static Preset> {
    let is_named = |preset: &&Preset| preset.name == name || preset.to_string() == name;
    let found: Vec<&Preset> = PRESETS.iter().filter(is_named).collect();
    match found[..] {
        [preset] => Ok(preset),
        [] => bail!(describe_unknown(name, None)),
        _ => bail!("{name}: expected one preset, found {}", join_names(&found)),
    }
}

fn is_path(text: &str) -> bool {
    text.ends_with(".toml") || text.contains(std::path::is_separator)
}

/// What to say where no preset of a verb (of any) has a name.
fn describe_unknown(name: &str, verb: Option<Verb>) -> String {
    let near = nearest(name, verb);
    let elsewhere = PRESETS.iter().find(|preset| preset.name == name);
    let hint = match (elsewhere, &near[..]) {
        (Some(preset), _) => format!("{name} is one of `jepa3d {}`", preset.verb),
        (None, []) => "none is near".to_owned(),
        (None, near) => format!("near: {}", near.join(", ")),
    };
    let (expected, of_verb) = match verb {
        Some(verb) => ("a preset or the path of a .toml file", format!(" of {verb}")),
        None => ("a preset", String::new()),
    };
    format!(
        "{name}: expected {expected}, found no preset{of_verb} of this name ({hint}; `jepa3d presets` lists all)"
    )
}

/// At most three names, the most alike first.
fn nearest(name: &str, verb: Option<Verb>) -> Vec<&'static str> {
    let mut found: Vec<(f64, &'static str)> = PRESETS
        .iter()
        .filter(|preset| verb.is_none_or(|verb| preset.verb == verb))
        .map(|preset| (strsim::jaro(name, preset.name), preset.name))
        .filter(|(likeness, _)| *likeness >= IS_NEAR)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

fn join_names(presets: &[&Preset]) -> String {
    presets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        assert_eq!(nearest("modelnt", Some(Verb::Prepare))[0], "modelnet");
        assert_eq!(nearest("3djepa-small", Some(Verb::Pretrain))[0], "3d-jepa-small");
        assert_eq!(nearest("zzz", None), [""; 0]);
    }

    #[test]
    fn a_path_is_told_from_a_name() {
        let is_path_expected =
            [("modelnet", false), ("./modelnet", true), ("modelnet.toml", true), ("a/b", true)];
        for (text, expected) in is_path_expected {
            assert_eq!(is_path(text), expected, "{text}");
        }
    }
}
