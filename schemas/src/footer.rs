//! What stands in the footer of every Parquet file of the contract: key-value pairs, the schema version first.

/// Version of the on-disk contract.
pub const SCHEMA_VERSION: u32 = 1;

/// Key of the schema version in a footer.
pub const SCHEMA_VERSION_KEY: &str = "jepa3d.schema_version";

/// Key of the version of the tool that wrote a file.
pub(crate) const TOOL_VERSION_KEY: &str = "jepa3d.tool_version";

/// Key-value pairs of a footer.
pub type Metadata = Vec<(String, String)>;

/// The least that a shard must say for a [`crate::ShardReader`] to open it: its schema version.
pub fn version_footer() -> Metadata {
    vec![(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string())]
}
