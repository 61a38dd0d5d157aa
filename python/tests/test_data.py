"""Rows and tables of prepared sets: against pyarrow where it is, and through the Arrow C interface."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import jepa3d


def test_rows_are_views_of_what_the_shard_holds(prepared):
    dataset = jepa3d.Dataset(prepared, split=None)
    assert len(dataset) == 36 and len(dataset.classes) > 1 and len(dataset.fingerprint) == 32
    row = dataset[3]
    assert row["points"].shape == (512, 3) and row["points"].dtype == np.float32
    assert not row["points"].flags.owndata and row["points"].base is not None
    assert row["patch_indices"].shape == (4, 32, 32) and row["center_indices"].shape == (4, 32)
    assert row["subset"].shape == (4, 256) and row["boxes"] is None
    center = row["points"][row["center_indices"][0]]
    distance = np.linalg.norm(row["points"][row["patch_indices"][0]] - center[:, None], axis=-1)
    assert (np.diff(distance, axis=-1) >= 0).all()
    assert np.array_equal(dataset[-33]["points"], row["points"])
    some = jepa3d.Dataset(prepared, split=None, columns=["label", "points"])
    assert set(some[0]) == {"label", "points"} and some[5]["label"] == dataset[5]["label"]
    copy = pickle.loads(pickle.dumps(some))
    assert np.array_equal(copy[7]["points"], some[7]["points"])


def test_views_are_rows_of_a_table_of_their_own(prepared):
    views = jepa3d.Dataset(prepared, split=None, table="views", columns=["sample_id", "image", "corr_point", "camera_from_world"])
    assert len(views) == 3 * 36
    row = views[4]
    assert row["image"].startswith(b"\x89PNG") and row["camera_from_world"].shape == (3, 4)
    assert 0 < len(row["corr_point"]) < 512


def test_what_cannot_be_read_is_named(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a complete prepared dataset"):
        jepa3d.Dataset(tmp_path)
    with pytest.raises(ValueError, match="expected one of .*found \"valid\""):
        jepa3d.Dataset(prepared, split="valid")
    with pytest.raises(ValueError, match="columns: expected some of sample_id.*found \"xyz\""):
        jepa3d.Dataset(prepared, columns=["xyz"])
    with pytest.raises(IndexError, match="expected an index below"):
        jepa3d.Dataset(prepared)[36]
    with pytest.raises(TypeError, match="expected an integer"):
        jepa3d.Dataset(prepared)["points"]
    with pytest.raises(ValueError, match="s3:/bucket/set: expected a URL as a string, found one that a Path"):
        jepa3d.Dataset(Path("s3://bucket/set"))
    with pytest.raises(ValueError, match="az:/container/set: expected a URL as a string"):
        jepa3d.prepare("synthetic", out=Path("az://container/set"))


def test_a_table_leaves_through_the_arrow_interface(prepared):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    dataset = jepa3d.Dataset(prepared, split="train")
    table = pyarrow.table(dataset.to_arrow())
    manifest = json.loads((Path(prepared) / "manifest.json").read_text())
    files = [Path(prepared) / shard["file"] for shard in manifest["shards"] if shard["split"] == "train"]
    expected = pyarrow.concat_tables([parquet.read_table(file) for file in files])
    assert table.num_rows == len(dataset) and table.equals(expected.replace_schema_metadata(table.schema.metadata))
    some = pyarrow.table(jepa3d.Dataset(prepared, columns=["label", "points"]).to_arrow())
    assert some.column_names == ["label", "points"]


def test_a_table_is_a_frame_of_polars(prepared):
    pytest.importorskip("polars")
    dataset = jepa3d.Dataset(prepared, columns=["sample_id", "label", "points"])
    frame = dataset.to_polars()
    assert frame.height == len(dataset) and frame["label"].to_list() == [row["label"] for row in dataset]
    assert np.array_equal(np.array(frame["points"][2]).reshape(-1, 3), dataset[2]["points"])


def test_without_polars_the_error_names_it(prepared, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        jepa3d.Dataset(prepared).to_polars()


def test_workers_of_a_data_loader_read_rows(prepared):
    data = pytest.importorskip("torch.utils.data")
    dataset = jepa3d.Dataset(prepared, columns=["points", "label"])
    for workers in (0, 2):
        loader = data.DataLoader(dataset, batch_size=4, num_workers=workers)
        batches = list(loader)
        assert batches[0]["points"].shape == (4, 512, 3)
        assert sum(len(batch["label"]) for batch in batches) == len(dataset)


def test_the_card_lets_datasets_find_splits_and_tables(prepared):
    card = (Path(prepared) / "README.md").read_text()
    manifest = json.loads((Path(prepared) / "manifest.json").read_text())
    assert card.startswith("---\n") and manifest["fingerprint"] in card and "| `points` | list f32 | S x 3 |" in card
    assert "\nlicense: " in card and "named by no manifest" not in jepa3d.run(["verify", prepared])
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(prepared)
    counts = {split: counts["written"] for split, counts in manifest["splits"].items() if counts["written"]}
    assert {split: len(rows) for split, rows in found.items()} == counts
    first = found["train"].with_format("numpy")[0]
    assert np.array_equal(first["points"].reshape(-1, 3), jepa3d.Dataset(prepared)[0]["points"])
    views = datasets.load_dataset(prepared, "views", split="train")
    assert len(views) == 3 * counts["train"]
