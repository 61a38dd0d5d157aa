//! Features of a frozen encoder as one Parquet file: a vector a sample, with what made it in the footer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use crate::column::element_field;
use crate::error::{Error, Result};
use crate::footer::{Metadata, SCHEMA_VERSION, SCHEMA_VERSION_KEY, TOOL_VERSION_KEY};
use crate::footer_sizes::check_footer;
use crate::guarded::decode_guarded;
use crate::hashed_table::{HashedTableWriter, read_hashed_table};

/// Rows of a row group.
const ROW_GROUP: usize = 1 << 12;

/// Features of `n` samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureRows {
    /// Sample ids `[n]`.
    pub ids: Vec<String>,
    /// Splits `[n]`.
    pub splits: Vec<String>,
    /// Class names `[n]`.
    pub categories: Vec<Option<String>>,
    /// Class numbers `[n]`.
    pub labels: Vec<Option<i32>>,
    /// Numbers a vector.
    pub width: usize,
    /// Vectors `[n, width]`.
    pub values: Vec<f32>,
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![
        Field::new("sample_id", DataType::Utf8, false),
        Field::new("split", DataType::Utf8, false),
        Field::new("category", DataType::Utf8, true),
        Field::new("label", DataType::Int32, true),
        Field::new("features", DataType::List(element_field(DataType::Float32)), false),
    ]))
}

/// Writes features atomically; `metadata` joins schema and tool version in the footer, and the hash of the bytes.
///
/// # Errors
/// Fails if the arrays disagree in length or the disk refuses; an older file is then unchanged.
pub fn write_features(path: &Path, rows: &FeatureRows, metadata: Metadata) -> Result<()> {
    check(path, rows)?;
    let own = [
        (SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string()),
        (TOOL_VERSION_KEY.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let metadata = own.into_iter().chain(metadata).collect();
    let mut writer = HashedTableWriter::create(path, schema(), properties(), metadata)?;
    for start in (0..rows.ids.len()).step_by(ROW_GROUP) {
        let end = (start + ROW_GROUP).min(rows.ids.len());
        writer.append(&batch(rows, start, end))?;
    }
    writer.finish()
}

fn check(path: &Path, rows: &FeatureRows) -> Result<()> {
    let n = rows.ids.len();
    let lengths = [
        ("splits", rows.splits.len(), n),
        ("categories", rows.categories.len(), n),
        ("labels", rows.labels.len(), n),
        ("values", rows.values.len(), n * rows.width),
    ];
    match lengths.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(Error::contract(path, what, expected, found)),
        None => Ok(()),
    }
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        // Nearly every number of a feature is distinct.
        .set_column_dictionary_enabled("features.list.element".into(), false)
}

fn batch(rows: &FeatureRows, start: usize, end: usize) -> RecordBatch {
    let mut features = ListBuilder::new(Float32Builder::with_capacity((end - start) * rows.width))
        .with_field(element_field(DataType::Float32));
    for i in start..end {
        features.values().append_slice(&rows.values[i * rows.width..(i + 1) * rows.width]);
        features.append(true);
    }
    let columns: Vec<arrow_array::ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(&rows.ids[start..end])),
        Arc::new(StringArray::from_iter_values(&rows.splits[start..end])),
        Arc::new(rows.categories[start..end].iter().map(Option::as_deref).collect::<StringArray>()),
        Arc::new(rows.labels[start..end].iter().copied().collect::<Int32Array>()),
        Arc::new(features.finish()),
    ];
    RecordBatch::try_new(schema(), columns).expect("columns are built for this schema")
}

/// Reads features and the key-value pairs of the footer.
///
/// # Errors
/// Fails if the file cannot be read, is not the one that was written, has another schema version or other columns, or its
/// vectors differ in length. Files of older versions carry no hash and are read without.
pub fn read_features(path: &Path) -> Result<(FeatureRows, BTreeMap<String, String>)> {
    let bytes = read_hashed_table(path)?;
    decode_guarded(path, || {
        check_footer(&bytes)?;
        Ok(decode(path, bytes))
    })?
}

/// Decodes features and footer; what is not of the contract is an error of its own.
fn decode(path: &Path, bytes: Bytes) -> Result<(FeatureRows, BTreeMap<String, String>)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| Error::parquet(path, e))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let metadata: BTreeMap<_, _> =
        pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();
    let version = metadata.get(SCHEMA_VERSION_KEY).map_or("none", String::as_str);
    if version != SCHEMA_VERSION.to_string() {
        return Err(Error::contract(path, SCHEMA_VERSION_KEY, SCHEMA_VERSION, version));
    }
    if builder.schema().fields() != schema().fields() {
        return Err(Error::contract(path, "columns", schema(), builder.schema()));
    }
    let mut rows = FeatureRows::default();
    for batch in builder.build().map_err(|e| Error::parquet(path, e))? {
        append(path, &mut rows, &batch.map_err(|e| Error::parquet(path, e.into()))?)?;
    }
    Ok((rows, metadata))
}

fn append(path: &Path, rows: &mut FeatureRows, batch: &RecordBatch) -> Result<()> {
    let text = |column: usize| batch.column(column).as_string::<i32>().iter();
    let (first, features) = (rows.ids.is_empty(), batch.column(4).as_list::<i32>());
    rows.ids.extend(text(0).flatten().map(str::to_owned));
    rows.splits.extend(text(1).flatten().map(str::to_owned));
    rows.categories.extend(text(2).map(|name| name.map(str::to_owned)));
    rows.labels.extend(batch.column(3).as_primitive::<Int32Type>().iter());
    for (i, vector) in features.iter().flatten().enumerate() {
        if first && i == 0 {
            rows.width = vector.len();
        }
        if vector.len() != rows.width {
            let found = format!("{} for {}", vector.len(), batch.column(0).as_string::<i32>().value(i));
            return Err(Error::contract(path, "length of features", rows.width, found));
        }
        rows.values.extend_from_slice(vector.as_primitive::<Float32Type>().values());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> FeatureRows {
        FeatureRows {
            ids: (0..n).map(|i| format!("s{i}")).collect(),
            splits: (0..n).map(|i| if i % 3 == 0 { "test" } else { "train" }.to_owned()).collect(),
            categories: (0..n).map(|i| (i % 2 == 0).then(|| "chair".to_owned())).collect(),
            labels: (0..n).map(|i| (i % 2 == 0).then_some(i as i32)).collect(),
            width: 3,
            values: (0..3 * n).map(|i| (i as f32).sin()).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.parquet");
        for n in [0, 1, ROW_GROUP + 5] {
            let pooling = ("jepa3d.pooling".to_owned(), "max+mean".to_owned());
            write_features(&path, &rows(n), vec![pooling.clone()]).unwrap();
            let (found, metadata) = read_features(&path).unwrap();
            let expected = FeatureRows { width: if n == 0 { 0 } else { 3 }, ..rows(n) };
            assert_eq!(found, expected);
            assert_eq!(metadata[&pooling.0], pooling.1);
            assert_eq!(metadata[TOOL_VERSION_KEY], env!("CARGO_PKG_VERSION"));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn arrays_that_disagree_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.parquet");
        let wrong = FeatureRows { width: 4, ..rows(2) };
        let error = write_features(&path, &wrong, Vec::new()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: values: expected 8, found 6", path.display()));
        assert!(!path.exists());
        crate::write_catalog(&path, &[]).unwrap();
        let error = read_features(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{}: {SCHEMA_VERSION_KEY}: expected 1, found none", path.display()));
        write_features(&path, &rows(20), Vec::new()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100] ^= 2;
        std::fs::write(&path, bytes).unwrap();
        let error = read_features(&path).unwrap_err().to_string();
        assert!(error.contains("features.parquet: self_hash: expected "), "{error}");
    }
}
