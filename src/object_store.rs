//! Options of all commands about object stores; a build without the feature `object-store` has none, and reads folders alone.

/// Where shards of object stores are kept.
#[derive(clap::Args)]
pub(crate) struct StoreArgs {
    /// Folder for shards of object stores; default: JEPA3D_CACHE, else jepa3d in the user's cache folder.
    #[cfg(feature = "object-store")]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<std::path::PathBuf>,
    /// What this folder may hold, as 64G; default: JEPA3D_CACHE_BYTES, else 32 GiB.
    #[cfg(feature = "object-store")]
    #[arg(long, global = true, value_name = "BYTES")]
    cache_bytes: Option<String>,
}

impl StoreArgs {
    /// Has URLs read and written from now on; without the feature they are errors that name it.
    pub(crate) fn serve(&self) -> anyhow::Result<()> {
        #[cfg(feature = "object-store")]
        {
            let (cache, bytes) = (self.cache.clone(), self.cache_bytes.as_deref());
            jepa3d_store::serve_stores(jepa3d_store::StoreSettings::read(cache, bytes)?);
        }
        Ok(())
    }
}
