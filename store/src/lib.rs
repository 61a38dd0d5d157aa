//! Prepared sets in object stores: `s3://`, `gs://`, `az://` and `https://` where a folder stands.
//!
//! `serve_stores` has every path with such a scheme read and written here, for the rest of the process. Whole shards are fetched
//! into a folder of bounded size, keyed by their BLAKE3, compared with it, ahead of those that read them; small files are
//! read as they are. Written files are made on a disk of this machine and uploaded when they are whole.
//!
//! Without the feature `object-store` this crate is empty.
#![cfg(feature = "object-store")]

mod aws_profile;
mod bucket;
mod cache_folder;
mod download;
mod error;
mod fetch_queue;
mod object_stores;
mod of_process;
mod retry;
mod settings;
mod shard_cache;
mod upload;

pub use error::{Error, Result};
pub use object_stores::{ObjectStores, serve_stores};
pub use settings::StoreSettings;
