"""Reads a prepared dataset with pyarrow, polars, DuckDB and Hugging Face datasets.

usage: foreign_readers.py DATASET EXPECTED.json

Every reader must show numbers under the documented names, equal to the rows in EXPECTED.json
(all rows of both tables by sample_id and view, as jepa3d reads them; bytes as hex digits). Images
and depths must decode to the size they state. Exit code 77: a package is missing.
"""

import io
import json
import struct
import sys
from glob import glob

try:
    import datasets
    import duckdb
    import polars
    import pyarrow.parquet
    from PIL import Image
except ImportError as error:
    print(f"{error}: pip install pyarrow polars duckdb datasets pillow")
    sys.exit(77)

FOLDER, EXPECTED = sys.argv[1:]
FLOATS = ("points", "normals", "intensity", "centers", "corr_u", "corr_v", "corr_depth")
BYTES = ("image", "depth", "pixel_point")


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


def batch_size(files):
    # datasets takes the rows of the first row group for its batch size, and refuses 0: the first row
    # group of a views shard is empty where no sample of that of the points has a view.
    footers = [pyarrow.parquet.read_metadata(file) for file in files]
    first_rows = [footer.row_group(0).num_rows for footer in footers if footer.num_row_groups]
    return {} if all(first_rows) else {"batch_size": 1000}


def with_datasets(files):
    by_split = {}
    for file in files:
        by_split.setdefault(file.rsplit("/", 1)[1].split("-", 1)[0], []).append(file)
    loaded = datasets.load_dataset("parquet", data_files=by_split, **batch_size(files))
    assert sorted(loaded) == sorted(by_split), (sorted(loaded), sorted(by_split))
    return [row for split in loaded.values() for row in split]


def with_datasets_folder(files):
    # No list of files: splits and shards from the names alone.
    loaded = datasets.load_dataset("parquet", data_dir=files[0].rsplit("/", 1)[0], **batch_size(files))
    expected = {{"val": "validation"}.get(s, s) for s in (f.rsplit("/", 1)[1].split("-", 1)[0] for f in files)}
    assert set(loaded) == expected, (set(loaded), expected)
    return [row for split in loaded.values() for row in split]


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def same(name, found, expected):
    if name in FLOATS and expected is not None:
        expected = [f32(x) for x in expected]
    if name in BYTES and expected is not None:
        expected = bytes.fromhex(expected)
    if isinstance(expected, list):
        return isinstance(found, list) and all(type(x) in (int, float) for x in found) and found == expected
    return type(found) is type(expected) and found == expected


def check(table, columns, expected):
    files = sorted(glob(f"{FOLDER}/{table}/*.parquet"))
    assert expected and files, table
    for reader in (with_pyarrow, with_polars, with_duckdb, with_datasets, with_datasets_folder):
        rows = sorted(reader(files), key=lambda row: (row["sample_id"], row.get("view", 0)))
        assert len(rows) == len(expected), (reader.__name__, table, len(rows), len(expected))
        for row, wanted in zip(rows, expected):
            assert list(row) == columns, (reader.__name__, list(row))
            for name in columns:
                text = f"{reader.__name__}: {wanted['sample_id']}: {name}: {str(row[name])[:80]} is not {str(wanted[name])[:80]}"
                assert same(name, row[name], wanted[name]), text
        line = f"{reader.__name__}: {len(rows)} rows of {len(files)} {table} shards, {len(columns)} columns agree"
        print(line, file=sys.stderr)
    return rows


def check_images(rows):
    for row in rows:
        size = (row["width"], row["height"])
        image = Image.open(io.BytesIO(row["image"]))
        image.load()
        assert image.size == size and image.mode in ("RGBA", "RGB"), (row["sample_id"], row["view"], image)
        if row["depth"] is not None:
            depth = Image.open(io.BytesIO(row["depth"]))
            depth.load()
            assert depth.size == size and depth.mode.startswith("I;16"), (row["sample_id"], row["view"], depth)
            farthest = max(depth.getdata()) * row["depth_scale"]
            assert max(row["corr_depth"], default=0) <= farthest * 1.2, (row["sample_id"], row["view"])
    print(f"Pillow: {len(rows)} images and depths decode", file=sys.stderr)


def main():
    with open(EXPECTED) as file:
        expected = json.load(file)
    check("points", POINTS, expected["points"])
    if expected["views"]:
        check_images(check("views", VIEWS, expected["views"]))


# The documented columns, in file order.
POINTS = (
    "sample_id dataset category label points normals colors intensity point_labels subset center_indices "
    "patch_indices patch_counts centers boxes box_labels norm_center norm_scale source source_hash"
).split()
VIEWS = (
    "sample_id view name image width height fx fy cx cy camera_from_world depth depth_scale "
    "corr_point corr_u corr_v corr_depth pixel_point"
).split()

if __name__ == "__main__":
    datasets.disable_progress_bars()
    main()
