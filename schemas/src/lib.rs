//! The contract of jepa3d: plain types, their Arrow columns, Parquet shards, manifest and seeds.
//!
//! Everything that crosses a crate boundary is defined here: readers produce [`Object`]s, the
//! pipeline turns them into [`Sample`]s and shards, the trainer reads shards. No other crate
//! names a Parquet type.

mod arrow_stream;
mod atomic_file;
mod camera;
mod catalog;
mod color;
mod column;
mod column_type;
mod error;
mod features;
mod file_seal;
mod folder_lock;
mod footer;
mod footer_sizes;
mod geometry;
mod guarded;
mod hashed_table;
mod hashing_file;
mod layered_config;
mod list_chunk;
mod list_page;
mod machine_faults;
mod manifest;
mod object;
mod point_classes;
mod points;
mod printable;
mod regular_file;
mod remote_files;
mod row_group_encoder;
mod row_group_source;
mod seed;
mod self_hash;
mod shard_entry;
mod shard_reader;
mod shard_writer;
mod srgb;
mod table;
mod table_row;
mod teacher_manifest;
mod teachers;
mod views;
mod warning;

pub use arrow_stream::{ArrowStream, stream_shards};
pub use atomic_file::{
    TemporaryFile, remove_temporaries, remove_temporaries_of, write_atomically, write_unless_there,
};
pub use camera::Camera;
pub use catalog::{CATALOG_FILE, CatalogRow, CatalogViews, CatalogWriter, read_catalog, write_catalog};
pub use color::{label_color, viridis};
pub use column::ListColumn;
pub use error::{Error, Result};
pub use features::{FeatureRows, read_features, write_features};
pub use file_seal::{check_seal, seal_safetensors};
pub use folder_lock::{FolderLock, is_same_file};
pub use footer::{Metadata, SCHEMA_VERSION, SCHEMA_VERSION_KEY, version_footer};
pub use geometry::{ColorRule, Material, Mesh, NO_INDEX, PointCloud, Texture, TextureWrap};
pub use hashing_file::file_hash;
pub use layered_config::{ConfigError, ConfigText, read_config};
pub use machine_faults::is_error_of_machine;
pub use manifest::{GroupsEntry, MANIFEST_FILE, Manifest, ShapeLetters, SplitCounts, ViewsEntry, VoxelEdge};
pub use object::{BoxLabel, Object, Photo, Shape, UpAxis};
pub use point_classes::{LabelRange, PointClasses};
pub use points::{BOX_NUMBERS, CLOUD_COLUMNS, RowGroup, Sample, check_shapes};
pub use printable::{printable, printable_json, printable_lines};
pub use regular_file::{open_regular, read_opened, read_regular};
pub use remote_files::{
    FetchAhead, FolderEntry, RemoteFacts, RemoteFiles, create_folder, fetch_ahead, file_length, is_remote,
    list_folder, remove_file, remove_folder, serve_remote,
};
pub use row_group_encoder::{EncodedRowGroup, RowGroupEncoder, WriteOptions};
pub use seed::{Draws, derive_seed, source_hash};
pub use self_hash::{check_hashed_toml, hashed_json, hashed_toml, parse_hashed_json};
pub use shard_entry::ShardEntry;
pub use shard_reader::{ShardReader, TeacherReader, ViewReader};
pub use shard_writer::{ShardWriter, WrittenShard};
pub use srgb::{linear_from_srgb, srgb_from_linear};
pub use table::Table;
pub use table_row::TableRow;
pub use teacher_manifest::{TEACHER_FILE, TeacherFacts, TeacherManifest};
pub use teachers::{HISTOGRAM_NUMBERS, POSE_NUMBERS, TeacherGroup, TeacherRow};
pub use views::{CAMERA_COLUMNS, Correspondences, NO_POINT, View, ViewGroup, check_view};
pub use warning::{Warning, WarningKind};
