//! stub
mod stats;

pub use stats::{
    ClassCounts, ColumnBytes, Coverage, DatasetSummary, Degenerate, Failure, NamedExtent, Sizes, SlowObject,
    SplitShards, Spread, StageFailures, StageTime, Stats, StatsError, Times, plots, stats,
};
