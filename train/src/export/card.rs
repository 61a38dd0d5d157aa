//! The model card of an exported encoder: what it is, what it was trained on and how, what it reached, how it is used.

use std::fmt::Write as _;

use super::encoder_config::ExportedConfig;
use crate::config::PretrainConfig;
use crate::metrics::Logged;

/// What a card says.
pub(super) struct ModelCard<'a> {
    pub config: &'a ExportedConfig,
    /// How it was pretrained.
    pub settings: &'a PretrainConfig,
    /// The record of the run.
    pub metrics: &'a [Logged],
    pub parameters: usize,
}

impl ModelCard<'_> {
    /// As Markdown, with the header that the hub reads.
    pub(super) fn to_markdown(&self) -> String {
        let ExportedConfig { preset, width, depth, heads, .. } = self.config;
        let name = if preset.is_empty() { "a point encoder" } else { preset };
        let million = self.parameters as f64 / 1e6;
        let step = self.config.step.map_or("an unknown number of".to_owned(), |step| step.to_string());
        let fingerprint = self.config.fingerprint.as_deref().unwrap_or("unknown");
        let seed = self.settings.run.seed;
        format!(
            "---\nlibrary_name: jepa3d\ntags:\n- point-cloud\n- self-supervised\n- jepa\n- 3d\n---\n\n\
             # {name}\n\n\
             An encoder of point clouds, pretrained with jepa3d {version}: {million:.2} M \
             parameters, width {width}, {depth} blocks, {heads} heads.\n\n\
             | | |\n|---|---|\n\
             | groups | {groups} |\n\
             | up axis | {up} |\n\
             | steps | {step} |\n\
             | seed | {seed} |\n\
             | dataset fingerprint | `{fingerprint}` |\n\n\
             {metrics}\
             ## Use\n\n\
             ```python\nimport jepa3d.torch\n\nencoder = jepa3d.torch.PointEncoder.from_pretrained(\"this folder\")\n\
             features = encoder(xyz).pooled  # xyz [B, N, 3]: clouds in the unit sphere\n```\n\n\
             ## How it was made\n\n\
             `jepa3d pretrain config.toml --data DATA --out RUN` with this `config.toml`, on the dataset of the fingerprint:\n\n\
             ```toml\n{toml}\n```\n",
            version = self.config.tool_version,
            groups = self.describe_groups(),
            up = self.config.up_axis.map_or("unknown", |axis| ["x", "y", "z"][axis.index()]),
            metrics = self.list_metrics(),
            toml = self.settings.to_toml().trim_end(),
        )
    }

    fn describe_groups(&self) -> String {
        let Some(groups) = &self.config.grouping else { return "unknown".to_owned() };
        let edge = groups.edge.map_or_else(String::new, |edge| format!(" of edge {edge}"));
        format!("N {}, G {}, K {}, {}{edge}", groups.points, groups.groups, groups.group_size, groups.kind)
    }

    /// The last value of every metric that says what the encoder is worth.
    fn list_metrics(&self) -> String {
        let shown =
            ["loss", "r2", "rank", "probe/knn20", "probe/labels20", "random/knn20", "random/labels20"];
        let last = |name: &'static str| {
            self.metrics.iter().rev().find_map(|line| Some((name, line.step, *line.values.get(name)?)))
        };
        let found: Vec<_> = shown.into_iter().filter_map(last).collect();
        if found.is_empty() {
            return String::new();
        }
        let mut out = "## Metrics of the run\n\n| metric | step | value |\n|---|---|---|\n".to_owned();
        for (name, step, value) in found {
            let _ = writeln!(out, "| `{name}` | {step} | {value:.4} |");
        }
        out + "\n"
    }
}
