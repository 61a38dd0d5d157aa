//! The plan of an ablation: a base config, what is varied, and the seeds; read from TOML, and spread into variants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, bail};
use jepa3d_schemas::{ConfigText, read_config};
use jepa3d_train::{PretrainConfig, config_differences};
use serde::Deserialize;
use serde_json::Value;

use super::super::encoder::Pool;
use crate::presets::{self, Verb};

/// Runs of a plan, at most.
const MOST: usize = 1000;

/// A plan as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AblationPlan {
    /// One word or some, for the report.
    pub name: String,
    /// The config that is varied: a preset of `pretrain`, or the path of a .toml file.
    pub base: PathBuf,
    /// Every variant is run with each of these.
    pub seeds: Vec<u64>,
    /// Settings of every run, as after `--set`. Default none.
    #[serde(default)]
    set: Vec<String>,
    /// What is compared, one by one. Either these or a grid.
    #[serde(default)]
    variants: Vec<PlannedVariant>,
    /// Dotted keys in quotation marks, each with its values.
    #[serde(default)]
    grid: BTreeMap<String, Vec<Value>>,
    /// Every value of the grid alone, beside the base, whose own values are left out; else all combinations. Default false.
    #[serde(default)]
    one_at_a_time: bool,
    /// How features are measured.
    #[serde(default)]
    pub probe: PlannedProbe,
}

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedVariant {
    name: String,
    /// Settings, as after `--set`. Default none.
    #[serde(default)]
    set: Vec<String>,
}

/// How features are measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PlannedProbe {
    /// Numbers of labels a class.
    pub labels: Vec<usize>,
    /// How tokens become one vector: `max-mean`, `mean`, `mean-std` or `whole`. Default: as each config says.
    pool: Option<String>,
    /// Only nearest neighbours and the largest number of labels.
    pub light: bool,
}

impl Default for PlannedProbe {
    fn default() -> Self {
        Self { labels: vec![1, 5, 20], pool: None, light: false }
    }
}

impl PlannedProbe {
    /// How tokens become one vector.
    ///
    /// # Errors
    /// Fails if there is no such way.
    pub(super) fn pool(&self) -> anyhow::Result<Option<Pool>> {
        let Some(name) = &self.pool else { return Ok(None) };
        let found = <Pool as clap::ValueEnum>::from_str(name, false).map(Some);
        found.map_err(|_| {
            anyhow::anyhow!("probe.pool: expected max-mean, mean, mean-std or whole, found {name:?}")
        })
    }
}

/// A variant with its config, of no seed yet.
#[derive(Debug)]
pub(super) struct Variant {
    pub name: String,
    /// The folder of its runs below that of the ablation.
    pub folder: String,
    pub config: PretrainConfig,
    /// In what it differs from the base, as `key new instead of old`.
    pub differs: Vec<String>,
}

impl AblationPlan {
    /// Reads a plan.
    ///
    /// # Errors
    /// Fails if the text is no plan, or names no seeds or variants.
    pub(super) fn parse(text: &ConfigText) -> anyhow::Result<Self> {
        let plan: Self = read_config(Some(text), &[], &|table| table.try_into())?;
        plan.check().with_context(|| text.origin.display().to_string())?;
        Ok(plan)
    }

    fn check(&self) -> anyhow::Result<()> {
        let distinct: BTreeSet<u64> = self.seeds.iter().copied().collect();
        if self.seeds.is_empty() || distinct.len() < self.seeds.len() {
            bail!("seeds: expected one or more, each once, found {:?}", self.seeds);
        }
        match (self.variants.is_empty(), self.grid.is_empty()) {
            (true, true) => bail!("expected [[variants]] or a [grid], found neither"),
            (false, false) => bail!("expected [[variants]] or a [grid], found both"),
            _ => {}
        }
        if let Some((key, _)) = self.grid.iter().find(|(_, values)| values.is_empty()) {
            bail!("grid: {key}: expected one or more values, found none");
        }
        if self.one_at_a_time && self.grid.is_empty() {
            bail!("one_at_a_time: expected a [grid], found [[variants]]");
        }
        self.probe.pool().map(|_| ())
    }

    /// The base, and all variants in the order of the table; `more`: settings of every run on top of the plan's.
    ///
    /// # Errors
    /// Fails if a config does not parse or is out of range, a variant sets the seed, or two are the same.
    pub(super) fn spread(&self, more: &[String]) -> anyhow::Result<(PretrainConfig, Vec<Variant>)> {
        let text = presets::resolve(Verb::Pretrain, &self.base)?;
        let common = [&self.set[..], more].concat();
        let base = PretrainConfig::parse(&text, &common).context("the base")?;
        let mut variants: Vec<Variant> = Vec::new();
        let planned = self.planned()?;
        if planned.len() * self.seeds.len() > MOST {
            bail!("expected at most {MOST} runs, found {} x {} seeds", planned.len(), self.seeds.len());
        }
        for PlannedVariant { name, set } in planned {
            if let Some(found) = set.iter().find(|set| set.starts_with("run.seed")) {
                bail!("variant {name:?}: expected seeds in `seeds`, found {found}");
            }
            let config = PretrainConfig::parse(&text, &[&common[..], &set].concat())
                .with_context(|| format!("variant {name:?}"))?;
            let differs = config_differences(&base, &config);
            if self.one_at_a_time && differs.is_empty() && !set.is_empty() {
                continue; // the base's own value
            }
            let variant = Variant { folder: folder_name(&name), name, config, differs };
            refuse_repeated(&variants, &variant)?;
            variants.push(variant);
        }
        Ok((base, variants))
    }

    /// The variants as they are written, or as the grid gives them.
    fn planned(&self) -> anyhow::Result<Vec<PlannedVariant>> {
        if !self.variants.is_empty() {
            let copy = |v: &PlannedVariant| PlannedVariant { name: v.name.clone(), set: v.set.clone() };
            return Ok(self.variants.iter().map(copy).collect());
        }
        let mut axes = Vec::new();
        for (key, values) in &self.grid {
            let settings: anyhow::Result<Vec<String>> =
                values.iter().map(|value| setting(key, value)).collect();
            axes.push(settings?);
        }
        let chosen: Vec<Vec<String>> = if self.one_at_a_time {
            std::iter::once(Vec::new()).chain(axes.into_iter().flatten().map(|set| vec![set])).collect()
        } else {
            axes.iter().fold(vec![Vec::new()], |all, axis| {
                let longer = |one: &Vec<String>| -> Vec<Vec<String>> {
                    axis.iter().map(|set| [&one[..], std::slice::from_ref(set)].concat()).collect()
                };
                all.iter().flat_map(longer).collect()
            })
        };
        let name = |set: &Vec<String>| if set.is_empty() { "base".to_owned() } else { set.join(", ") };
        Ok(chosen.into_iter().map(|set| PlannedVariant { name: name(&set), set }).collect())
    }
}

/// A value of a grid as after `--set`.
fn setting(key: &str, value: &Value) -> anyhow::Result<String> {
    let is_plain = |value: &Value| !value.is_object() && !value.is_null();
    let is_known = match value {
        Value::Array(values) => values.iter().all(is_plain),
        value => is_plain(value),
    };
    if !is_known {
        bail!("grid: {key}: expected a number, a text, true or false, or a list of such, found {value}");
    }
    // Of these, JSON and TOML write all alike.
    Ok(format!("{key}={value}"))
}

/// A name as a folder: small letters, digits and `.=_-`.
fn folder_name(name: &str) -> String {
    let kept =
        |c: char| if c.is_ascii_alphanumeric() || ".=_".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let words: String = name.chars().map(kept).collect();
    let parts: Vec<&str> = words.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").trim_matches('.').to_owned()
}

/// Refuses a variant whose folder or config another has.
fn refuse_repeated(variants: &[Variant], new: &Variant) -> anyhow::Result<()> {
    let Variant { name, folder, config, .. } = new;
    if folder.is_empty() || folder == super::RANDOM {
        bail!("variant {name:?}: expected a name with letters or digits, not {:?}", super::RANDOM);
    }
    for other in variants {
        if other.folder == *folder {
            bail!("variants {:?} and {name:?}: expected names that differ in letters or digits", other.name);
        }
        if config_differences(&other.config, config).is_empty() {
            bail!("variants {:?} and {name:?}: expected different configs, found the same", other.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"a\"\nbase = \"point-jepa-small\"\nseeds = [1, 2]\n";

    fn spread(text: &str) -> anyhow::Result<Vec<Variant>> {
        let toml = format!("{HEAD}{text}");
        Ok(AblationPlan::parse(&ConfigText { origin: "plan.toml".into(), toml })?.spread(&[])?.1)
    }

    #[test]
    fn a_grid_is_all_combinations_or_one_at_a_time() {
        let grid = "[grid]\n\"masking.kind\" = [\"random\", \"region\"]\n\"predictor.width\" = [96, 48]\n";
        let all = spread(grid).unwrap();
        let names: Vec<&str> = all.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names[0], "masking.kind=\"random\", predictor.width=96");
        assert_eq!((names.len(), all[3].folder.as_str()), (4, "masking.kind=-region-predictor.width=48"));
        assert_eq!((all[3].config.predictor.width, all[3].differs.len()), (48, 2));
        let single = spread(&format!("one_at_a_time = true\n{grid}")).unwrap();
        let names: Vec<&str> = single.iter().map(|v| v.name.as_str()).collect();
        // The base is 96 wide.
        let expected = ["base", "masking.kind=\"random\"", "masking.kind=\"region\"", "predictor.width=48"];
        assert_eq!(names, expected);
        assert_eq!(single[0].differs, [""; 0]);
    }

    #[test]
    fn what_is_no_plan_is_named() {
        let variant = |name: &str, set: &str| format!("[[variants]]\nname = \"{name}\"\nset = [{set}]\n");
        let kind = variant("a", "\"masking.kind=random\"");
        for (text, expected) in [
            (String::new(), "plan.toml: expected [[variants]] or a [grid], found neither"),
            ("sed = 1\n".into(), "unknown field `sed`"),
            (format!("{kind}[grid]\n\"run.epochs\" = [1]\n"), "found both"),
            ("[grid]\n\"run.epochs\" = []\n".into(), "grid: run.epochs: expected one or more values"),
            ("[grid]\n\"run.epochs\" = [{ a = 1 }]\n".into(), "found {\"a\":1}"),
            (
                format!("[probe]\npool = \"max\"\n{kind}"),
                "probe.pool: expected max-mean, mean, mean-std or whole, found \"max\"",
            ),
            (variant("a", "\"run.seed=3\""), "variant \"a\": expected seeds in `seeds`"),
            (variant("a", "\"masking.knd=3\""), "variant \"a\""),
            (variant("a", "\"predictor.heads=7\""), "predictor.heads: expected a divisor"),
            (format!("{kind}{}", variant("A.", "\"run.epochs=2\"")), "names that differ"),
            (format!("{kind}{}", variant("b", "\"masking.kind=random\"")), "found the same"),
            (variant("random weights", ""), "not \"random-weights\""),
        ] {
            let error = format!("{:#}", spread(&text).unwrap_err());
            assert!(error.contains(expected), "{error}\n{expected}");
        }
    }
}
