//! The contract of jepa3d: plain types, their Arrow columns, Parquet shards, manifest and seeds.
//!
//! Everything that crosses a crate boundary is defined here: readers produce [`Object`]s, the
//! pipeline turns them into [`Sample`]s and shards, the trainer reads shards. No other crate
//! names a Parquet type.

mod camera;
mod catalog;
mod color;
mod columns;
mod error;
mod features;
mod geometry;
mod layered_config;
mod left_overs;
mod list_chunk;
mod list_page;
mod manifest;
mod object;
mod row_group;
mod sample;
mod seed;
mod shard_file;
mod shard_reader;
mod shard_writer;
mod teacher_columns;
mod teacher_manifest;
mod view;
mod view_columns;
mod view_reader;

pub use camera::Camera;
pub use catalog::{CATALOG_FILE, CatalogRow, CatalogViews, CatalogWriter, read_catalog, write_catalog};
pub use color::viridis;
pub use columns::{BOX_NUMBERS, ColumnKind, SCHEMA_VERSION, Table, check_shapes, column_names};
pub use error::{Error, Result};
pub use features::{FeatureRows, TOOL_VERSION_KEY, read_features, write_features};
pub use geometry::{Material, Mesh, NO_INDEX, PointCloud, Texture};
pub use layered_config::{ConfigError, ConfigText, config_table};
pub use left_overs::remove_temporaries;
pub use manifest::{MANIFEST_FILE, Manifest, ShapeLetters, ShardEntry, SplitCounts, ViewsEntry};
pub use object::{BoxLabel, Object, Photo, Shape, UpAxis};
pub use row_group::{EncodedRowGroup, RowGroupEncoder, WriteOptions};
pub use sample::Sample;
pub use seed::{Draws, derive_seed, source_hash};
pub use shard_file::{ListColumn, SCHEMA_VERSION_KEY, TableReader};
pub use shard_reader::{CLOUD_COLUMNS, RowGroup, ShardReader};
pub use shard_writer::{
    Metadata, ShardWriter, TEMPORARY_SUFFIX, WrittenShard, file_hash, is_temporary, write_atomically,
};
pub use teacher_columns::{HISTOGRAM_NUMBERS, POSE_NUMBERS, TeacherGroup, TeacherReader, TeacherRow};
pub use teacher_manifest::{TEACHER_FILE, TeacherFacts, TeacherManifest};
pub use view::{Correspondences, NO_POINT, View};
pub use view_columns::{check_view, view_column_names};
pub use view_reader::{CAMERA_COLUMNS, ViewGroup, ViewReader};
