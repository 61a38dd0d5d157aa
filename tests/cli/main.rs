//! The end-to-end harness: drives the real `jepa3d` on small sets made in temporary folders.
//!
//! One binary, one module a question. What needs real data, Python packages or the rights of
//! root is skipped, and says so, where these are missing.

#![allow(clippy::unwrap_used, reason = "helpers beside the tests unwrap as they do")]

mod ablate;
mod array_jobs;
mod bad_input;
mod carried_encoder;
mod command_line;
mod convert;
mod crate_edges;
mod damaged_run;
mod documents;
mod fewshot;
mod finetune;
mod foreign_readers;
mod full_disk;
mod harness;
mod house_rules;
mod inspect;
mod judged_labels;
mod kept_warnings;
mod kill;
mod kill_commands;
mod left_overs;
mod limits;
mod live;
mod mixed_data;
mod module_circles;
mod other_groups;
mod output_folder;
mod preset_names;
mod presets;
mod pretrain;
mod repair;
mod reports;
mod robustness;
mod same_bytes;
mod segment;
mod sources;
mod tampered;
mod teacher;
mod two_at_once;
mod views;
mod views_bad_input;
