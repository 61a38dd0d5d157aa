"""Reads a prepared dataset with pyarrow, polars, DuckDB and Hugging Face datasets.

usage: foreign_readers.py DATASET EXPECTED.json

Every reader must show numbers under the documented names, equal to the rows in EXPECTED.json
(all rows by sample_id, as jepa3d reads them). Exit code 77: a package is missing.
"""

import json
import struct
import sys
from glob import glob

try:
    import datasets
    import duckdb
    import polars
    import pyarrow.parquet
except ImportError as error:
    print(f"{error}: pip install pyarrow polars duckdb datasets")
    sys.exit(77)

FOLDER, EXPECTED = sys.argv[1:]
FLOATS = ("points", "normals", "intensity", "centers")


def with_pyarrow(files):
    rows = []
    for file in files:
        rows += pyarrow.parquet.read_table(file).to_pylist()
    return rows


def with_polars(files):
    return polars.scan_parquet(files).collect().to_dicts()


def with_duckdb(files):
    result = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [files])
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def with_datasets(files):
    by_split = {}
    for file in files:
        by_split.setdefault(file.rsplit("/", 1)[1].split("-", 1)[0], []).append(file)
    loaded = datasets.load_dataset("parquet", data_files=by_split)
    assert sorted(loaded) == sorted(by_split), (sorted(loaded), sorted(by_split))
    return [row for split in loaded.values() for row in split]


def with_datasets_folder(files):
    # No list of files: splits and shards from the names alone.
    loaded = datasets.load_dataset("parquet", data_dir=FOLDER + "/points")
    expected = {{"val": "validation"}.get(s, s) for s in (f.rsplit("/", 1)[1].split("-", 1)[0] for f in files)}
    assert set(loaded) == expected, (set(loaded), expected)
    return [row for split in loaded.values() for row in split]


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def same(name, found, expected):
    if name in FLOATS and expected is not None:
        expected = [f32(x) for x in expected]
    if isinstance(expected, list):
        return isinstance(found, list) and all(type(x) in (int, float) for x in found) and found == expected
    return type(found) is type(expected) and found == expected


def main():
    with open(EXPECTED) as file:
        expected = json.load(file)
    files = sorted(glob(FOLDER + "/points/*.parquet"))
    assert expected and files
    for reader in (with_pyarrow, with_polars, with_duckdb, with_datasets, with_datasets_folder):
        rows = sorted(reader(files), key=lambda row: row["sample_id"])
        assert len(rows) == len(expected), (reader.__name__, len(rows), len(expected))
        for row, wanted in zip(rows, expected):
            assert list(row) == list(ORDER), (reader.__name__, list(row))
            for name in ORDER:
                text = f"{reader.__name__}: {wanted['sample_id']}: {name}: {str(row[name])[:80]} is not {str(wanted[name])[:80]}"
                assert same(name, row[name], wanted[name]), text
        print(f"{reader.__name__}: {len(rows)} rows of {len(files)} shards, {len(ORDER)} columns agree", file=sys.stderr)


# The documented columns, in file order.
ORDER = (
    "sample_id dataset category label points normals colors intensity point_labels subset center_indices "
    "patch_indices patch_counts centers boxes box_labels norm_center norm_scale source source_hash"
).split()

if __name__ == "__main__":
    datasets.disable_progress_bars()
    main()
