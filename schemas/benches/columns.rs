//! Which Arrow type, encoding and compression should the bulk columns have?
//!
//! Prints, for the points (f32) and the patch indices (u32) of 512 real-sized samples, the time
//! to write one row group, its bytes, and the time to decode it into one ready slice: by the
//! Arrow reader and, for lists, by the typed column reader that `ShardReader` uses.
//! Run: `make bench-columns`. One JSON object a line; medians of `ROUNDS` runs, cases in turns.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BinaryArray, FixedSizeListArray, ListArray};
use arrow_array::{PrimitiveArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{Field, Schema};
use jepa3d_schemas::Draws;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::DataType as Physical;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, SerializedFileReader};

const ROWS: usize = 512;
const ROUNDS: usize = 7;
const N: usize = 1024;
const G: usize = 64;
const K: usize = 32;
const R: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    List,
    FixedSizeList,
    Binary,
}

#[derive(Clone, Copy)]
struct Case {
    column: &'static str,
    layout: Layout,
    encoding: Option<Encoding>,
    zstd: i32,
}

/// A bumpy closed surface per sample and, per grouping, the K nearest points of G of its points.
fn samples() -> (Vec<f32>, Vec<u32>) {
    let (mut points, mut patches) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        let mut draws = Draws::new(0, &row.to_string(), "bench");
        let cloud: Vec<[f32; 3]> = (0..N).map(|_| surface_point(&mut draws)).collect();
        points.extend(cloud.iter().flatten());
        for _ in 0..R * G {
            let center = cloud[draws.index(N)];
            let mut keys: Vec<(f32, u32)> = (0..N).map(|i| (distance(cloud[i], center), i as u32)).collect();
            keys.select_nth_unstable_by(K, |a, b| a.0.total_cmp(&b.0));
            keys.truncate(K);
            keys.sort_by(|a, b| a.0.total_cmp(&b.0));
            patches.extend(keys.iter().map(|k| k.1));
        }
    }
    (points, patches)
}

fn surface_point(draws: &mut Draws) -> [f32; 3] {
    let p = [draws.normal(), draws.normal(), draws.normal()];
    let norm = (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]).sqrt();
    let bump = 1.0 + 0.25 * libm::sin(4.0 * p[0] / norm);
    p.map(|x| (x / norm * bump * 0.8) as f32)
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum()
}

fn array<T: ArrowPrimitiveType>(values: &[T::Native], layout: Layout) -> ArrayRef
where
    T::Native: arrow_buffer::ToByteSlice,
{
    let width = values.len() / ROWS;
    let flat = PrimitiveArray::<T>::new(ScalarBuffer::from(values.to_vec()), None);
    let item = Arc::new(Field::new("element", T::DATA_TYPE, false));
    match layout {
        Layout::List => {
            let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(width, ROWS));
            Arc::new(ListArray::new(item, offsets, Arc::new(flat), None))
        }
        Layout::FixedSizeList => Arc::new(FixedSizeListArray::new(item, width as i32, Arc::new(flat), None)),
        Layout::Binary => {
            let rows = values.chunks(width).map(arrow_buffer::ToByteSlice::to_byte_slice);
            Arc::new(BinaryArray::from_iter_values(rows))
        }
    }
}

fn properties(case: Case) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(case.encoding == Some(Encoding::RLE_DICTIONARY))
        .set_dictionary_page_size_limit(1 << 24)
        .set_compression(match case.zstd {
            0 => Compression::UNCOMPRESSED,
            level => Compression::ZSTD(ZstdLevel::try_new(level).expect("a legal level")),
        });
    if let Some(encoding) = case.encoding.filter(|&e| e != Encoding::RLE_DICTIONARY) {
        builder = builder.set_encoding(encoding);
    }
    builder.build()
}

fn write(batch: &RecordBatch, case: Case) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties(case))).expect("writer");
    writer.write(batch).expect("write");
    writer.close().expect("close");
    out
}

/// Decodes with the Arrow reader; returns the number of values in ready slices.
fn decode_arrow<T: ArrowPrimitiveType>(file: &bytes::Bytes, layout: Layout) -> usize {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("open").with_batch_size(ROWS).build();
    let mut values = 0;
    for batch in reader.expect("reader") {
        let column = batch.expect("batch").column(0).clone();
        values += match layout {
            Layout::List => column.as_any().downcast_ref::<ListArray>().expect("list").values().len(),
            Layout::FixedSizeList => {
                column.as_any().downcast_ref::<FixedSizeListArray>().expect("list").values().len()
            }
            Layout::Binary => {
                let rows = column.as_any().downcast_ref::<BinaryArray>().expect("binary");
                std::hint::black_box(rows.value_data()).len() / size_of::<T::Native>()
            }
        };
    }
    values
}

/// Decodes with the typed column reader, straight into one vector.
fn decode_typed<P: Physical>(file: &bytes::Bytes) -> usize {
    let reader = SerializedFileReader::new(file.clone()).expect("open");
    let group = reader.get_row_group(0).expect("row group");
    let mut column = get_typed_column_reader::<P>(group.get_column_reader(0).expect("column"));
    let capacity = group.metadata().column(0).num_values() as usize;
    let (mut values, mut def, mut rep) =
        (Vec::with_capacity(capacity), Vec::with_capacity(capacity), Vec::with_capacity(capacity));
    column.read_records(ROWS, Some(&mut def), Some(&mut rep), &mut values).expect("read");
    std::hint::black_box(values).len()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64() * 1e3
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for zstd in [0, 1, 3] {
        for layout in [Layout::List, Layout::FixedSizeList, Layout::Binary] {
            let plain = Case { column: "points", layout, encoding: None, zstd };
            cases.push(plain);
            cases.push(Case { column: "patch_indices", ..plain });
            if layout == Layout::List {
                cases.push(Case { encoding: Some(Encoding::BYTE_STREAM_SPLIT), ..plain });
                for e in
                    [Encoding::BYTE_STREAM_SPLIT, Encoding::DELTA_BINARY_PACKED, Encoding::RLE_DICTIONARY]
                {
                    cases.push(Case { column: "patch_indices", encoding: Some(e), ..plain });
                }
            }
        }
    }
    cases
}

fn main() {
    let (points, patches) = samples();
    let cases = cases();
    let mut times = vec![[Vec::<f64>::new(), Vec::new(), Vec::new()]; cases.len()];
    let mut sizes = vec![0; cases.len()];
    for _ in 0..ROUNDS {
        for (i, &case) in cases.iter().enumerate() {
            let is_points = case.column == "points";
            let column = if is_points {
                array::<Float32Type>(&points, case.layout)
            } else {
                array::<UInt32Type>(&patches, case.layout)
            };
            let field = Field::new(case.column, column.data_type().clone(), false);
            let batch =
                RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("batch");
            let mut file = Vec::new();
            times[i][0].push(milliseconds(|| file = write(&batch, case)));
            sizes[i] = file.len();
            let file = bytes::Bytes::from(file);
            let expected = if is_points { points.len() } else { patches.len() };
            times[i][1].push(milliseconds(|| {
                let n = if is_points {
                    decode_arrow::<Float32Type>(&file, case.layout)
                } else {
                    decode_arrow::<UInt32Type>(&file, case.layout)
                };
                assert_eq!(n, expected);
            }));
            if case.layout != Layout::Binary {
                times[i][2].push(milliseconds(|| {
                    let n = if is_points {
                        decode_typed::<parquet::data_type::FloatType>(&file)
                    } else {
                        decode_typed::<parquet::data_type::Int32Type>(&file)
                    };
                    assert_eq!(n, expected);
                }));
            }
        }
    }
    for ((case, times), bytes) in cases.iter().zip(times).zip(sizes) {
        let [write, arrow, typed] = times.map(|t| if t.is_empty() { f64::NAN } else { median(t) });
        let encoding = case.encoding.map_or("PLAIN".to_owned(), |e| e.to_string());
        let typed = if typed.is_nan() { "null".to_owned() } else { format!("{typed:.2}") };
        println!(
            r#"{{"case": "{} {:?} {encoding} zstd{}", "rows": {ROWS}, "bytes": {bytes}, "write_ms": {write:.2}, "decode_arrow_ms": {arrow:.2}, "decode_typed_ms": {typed}}}"#,
            case.column, case.layout, case.zstd
        );
    }
}
