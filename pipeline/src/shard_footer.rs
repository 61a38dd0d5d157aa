//! The key-value pairs in the footers of shards: by what plan, config and version they were made.

use jepa3d_schemas::{Metadata, SCHEMA_VERSION, SCHEMA_VERSION_KEY, ShapeLetters};

use crate::config::PrepareConfig;
use crate::plan::PreparePlan;

/// Footer key of the plan of a shard.
pub(crate) const PLAN_KEY: &str = "jepa3d.plan";
/// Footer key of the plan of the views.
pub(crate) const VIEWS_PLAN_KEY: &str = "jepa3d.views_plan";

/// Footer of every points shard of a plan.
pub(crate) fn points_footer(plan: &PreparePlan) -> Metadata {
    footer(plan, plan.config.points_shape(), &plan.config.points_only())
}

/// Footer of every views shard of a plan.
pub(crate) fn views_footer(plan: &PreparePlan) -> Metadata {
    let config = PrepareConfig { views: plan.config.views.clone(), ..plan.config.points_only() };
    let mut pairs = footer(plan, plan.config.shape(), &config);
    pairs.push((VIEWS_PLAN_KEY.to_owned(), plan.views_hash.clone().unwrap_or_default()));
    pairs
}

fn footer(plan: &PreparePlan, shape: ShapeLetters, config: &PrepareConfig) -> Metadata {
    let shape = serde_json::to_string(&shape).expect("letters serialise");
    let pairs = [
        (SCHEMA_VERSION_KEY, SCHEMA_VERSION.to_string()),
        ("jepa3d.tool_version", env!("CARGO_PKG_VERSION").to_owned()),
        (PLAN_KEY, plan.hash.clone()),
        ("jepa3d.split_hash", plan.split_hash.clone()),
        ("jepa3d.shape", shape),
        ("jepa3d.config", config.to_toml()),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
}
