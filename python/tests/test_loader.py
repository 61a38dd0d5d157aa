"""The loader's batches: to the bit those of Rust, in one order for all ranks, restarts and thread counts."""

from __future__ import annotations

import json
import os
import pickle
import subprocess

import numpy as np
import pytest

import jepa3d
from conftest import target_folder

loading = pytest.importorskip("jepa3d.loading")


def batches(loader, count: int | None = None) -> list[dict]:
    out = []
    for batch in loader:
        out.append(batch)
        if count is not None and len(out) == count:
            break
    return out


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(np.asarray(a[name]), np.asarray(b[name])) for name in a if name != "sample_ids"
    ) and a["sample_ids"] == b["sample_ids"]


def make(prepared: str, **names) -> jepa3d.Loader:
    settings = {"batch": 8, "patches": (32, 32), "seed": 5, "augment": {"rotate_up": 1.0, "per": "sample"}, **names}
    return jepa3d.Loader(prepared, **settings)


def test_batches_equal_those_of_the_rust_loader_to_the_bit(prepared):
    program = target_folder() / "release/examples/batch_bytes"
    if not program.is_file():
        pytest.skip(f"{program}: not built")
    found = subprocess.run([program, prepared, "8", "5", "2", "5"], capture_output=True, check=True).stdout
    loader = make(prepared)
    loader.load_state_dict({**loader.state_dict(), "epoch": 2 // len(loader), "batch": 2 % len(loader)})
    own = []
    while len(own) < 5:
        own += batches(loader)
    bytes_of = lambda batch: np.asarray(batch["centers"]).tobytes() + np.asarray(batch["patches"]).tobytes()  # noqa: E731
    assert b"".join(map(bytes_of, own[:5])) == found


def test_tensors_are_the_loaders_own_memory(prepared):
    torch = pytest.importorskip("torch")
    batch = next(iter(make(prepared)))
    assert isinstance(batch["patches"], torch.Tensor) and batch["patches"].is_contiguous()
    assert batch["patches"].shape == (8, 32, 32, 3) and batch["labels"].dtype == torch.int64
    raw = loading._jepa3d.BatchStream([prepared], json.dumps({**make(prepared)._settings, "rank": 0, "world": 1}), 0).next()
    # What numpy shows is owned by a vector of Rust, and a tensor is a view of that.
    assert not raw["patches"].flags.owndata and raw["patches"].base is not None
    assert torch.from_numpy(raw["patches"]).data_ptr() == raw["patches"].ctypes.data


def test_memory_that_is_let_go_serves_the_next_batches_and_what_is_held_stays(prepared):
    loader = make(prepared, prefetch=1, threads=1)
    held, places = [], set()
    for _ in range(8):
        for batch in loader:
            places.add(np.asarray(batch["patches"]).ctypes.data)
    assert len(places) < 8
    for _ in range(4):
        held += [(batch["patches"], np.asarray(batch["patches"]).copy()) for batch in loader]
    del loader
    assert all(np.array_equal(np.asarray(kept), copy) for kept, copy in held)
    assert len({np.asarray(kept).ctypes.data for kept, _ in held}) == len(held)


def test_the_order_depends_on_neither_threads_nor_ranks(prepared):
    whole = batches(make(prepared)) + batches(make(prepared, threads=3, prefetch=9), 2)
    steps = len(make(prepared))
    assert all(same(a, b) for a, b in zip(whole, batches(make(prepared, threads=2))))
    assert all(same(a, b) for a, b in zip(whole[:2], whole[steps:]))
    for world in (2, 4):
        ranks = [batches(make(prepared, rank=rank, world=world)) for rank in range(world)]
        for step in range(steps):
            ids = [name for rank in ranks for name in rank[step]["sample_ids"]]
            assert ids == whole[step]["sample_ids"]
            patches = np.concatenate([np.asarray(rank[step]["patches"]) for rank in ranks])
            assert np.array_equal(patches, np.asarray(whole[step]["patches"]))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_a_state_goes_on_in_the_middle_of_an_epoch_on_any_world(prepared, world):
    loader = make(prepared)
    first = batches(loader) + batches(loader)
    again = make(prepared)
    batches(again)
    batches(again, 1)
    state = json.loads(json.dumps(again.state_dict()))
    assert state == {"fingerprint": loader.fingerprint, "seed": 5, "epoch": 1, "batch": 1}
    ranks = []
    for rank in range(world):
        resumed = make(prepared, rank=rank, world=world)
        resumed.load_state_dict(state)
        ranks.append(batches(resumed))
        assert resumed.state_dict()["epoch"] == 2
    rest = first[len(loader) + 1 :]
    assert len(ranks[0]) == len(rest)
    for step, expected in enumerate(rest):
        patches = np.concatenate([np.asarray(rank[step]["patches"]) for rank in ranks])
        assert np.array_equal(patches, np.asarray(expected["patches"]))


def test_an_epoch_that_was_left_is_not_gone_on_with(prepared):
    loader = make(prepared)
    batches(loader, 1)
    assert batches(loader, 1)[0]["epoch"] == 1
    loader.set_epoch(7)
    assert batches(loader, 1)[0]["epoch"] == 7
    copy = pickle.loads(pickle.dumps(loader))
    assert same(batches(copy, 1)[0], batches(loader, 1)[0])
    done = make(prepared)
    whole = batches(done, len(done))
    assert len(whole) == len(done) and done.state_dict()["epoch"] == 1 and done.state_dict()["batch"] == 0


def test_a_data_loader_takes_it_as_it_is(prepared):
    data = pytest.importorskip("torch.utils.data")
    plain = batches(make(prepared))
    wrapped = list(data.DataLoader(make(prepared), batch_size=None, num_workers=0))
    assert all(same(a, b) for a, b in zip(plain, wrapped)) and len(plain) == len(wrapped)
    with pytest.raises(RuntimeError, match="num_workers=0"):
        list(data.DataLoader(make(prepared), batch_size=None, num_workers=1))


def test_lightning_trains_on_it(prepared, tmp_path):
    lightning = pytest.importorskip("lightning", exc_type=ImportError)
    torch = pytest.importorskip("torch")

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(96, 16), []

        def training_step(self, batch, index):
            self.seen.append(batch["sample_ids"])
            return torch.nn.functional.cross_entropy(self.layer(batch["centers"].flatten(1)), batch["labels"] % 16)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    model, quiet = Model(), {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", devices=1, default_root_dir=tmp_path, **quiet)
    trainer.fit(model, torch.utils.data.DataLoader(make(prepared), batch_size=None, num_workers=0))
    loader = make(prepared)
    assert model.seen == [batch["sample_ids"] for _ in range(2) for batch in loader]


def test_masks_views_and_teachers_come_as_asked(prepared):
    batch = batches(
        make(
            prepared,
            masking={"kind": "region", "blocks": 3, "target_ratio": [0.5, 0.5]},
            views={"image_size": 32, "image_patch": 16, "queries": 6, "visible": 0.25},
            teacher={"name": "hog", "views": 2},
        ),
        1,
    )[0]
    context, targets = np.asarray(batch["context"]), np.asarray(batch["targets"])
    assert context.shape == (8, 16) and targets.shape == (8, 1, 16)
    for seen, hidden in zip(context, targets):
        assert sorted([*seen, *hidden[0]]) == list(range(32))
    assert batch["view_pixels"].shape == (8, 4 * 3 * 16 * 16) and batch["view_patches"].shape == (8, 6)
    assert batch["embeddings"].shape[:2] == (8, 2) and (np.asarray(batch["weights"]) == 1).all()
    assert np.abs(np.asarray(batch["embeddings"])).sum() > 0 and batch["poses"].shape == (8, 2, 8)


def test_cameras_turn_with_clouds(prepared):
    asked = {"teacher": {"name": "hog", "views": 2}}
    still = batches(make(prepared, **asked), 1)[0]
    turned = batches(make(prepared, augment={"rotate_up": 3.0, "per": "sample"}, **asked), 1)[0]
    assert (np.asarray(still["embeddings"]) == np.asarray(turned["embeddings"])).all(), "the same views"
    up = ["X", "Y", "Z"].index(json.load(open(os.path.join(prepared, "manifest.json")))["up_axis"].upper())
    first, second = (up + 1) % 3, (up + 2) % 3

    def angle(batch):
        centers, poses = np.asarray(batch["centers"]), np.asarray(batch["poses"])
        of_cloud = np.arctan2(centers[:, 0, second], centers[:, 0, first])
        return of_cloud, np.arctan2(poses[..., 0], poses[..., 1])

    (cloud, camera), (turned_cloud, turned_camera) = angle(still), angle(turned)
    turns = np.exp(1j * (turned_cloud - cloud))
    assert np.abs(turns - 1).min() > 1e-3
    assert np.allclose(np.exp(1j * (turned_camera - camera)), turns[:, None], atol=1e-4)
    with pytest.raises(ValueError, match="data.augment.mirror: expected no axis with a teacher"):
        make(prepared, augment={"mirror": [True, False, False]}, **asked)


def test_voxel_blocks_bring_counts_cells_and_edges(voxel_sets):
    batch = batches(jepa3d.Loader(voxel_sets["fixed"], batch=8, patches=(32, 32)), 1)[0]
    groups = batch["patches"].shape[1]
    assert groups <= 32 and batch["counts"].shape == (8, groups) and batch["cells"].shape == (8, groups, 3)
    assert np.allclose(np.asarray(batch["edges"]), 0.45)


def test_settings_that_do_not_serve_are_refused_in_words(prepared, tmp_path):
    for names, words in (
        ({"batch": 1000}, "optim.batch: expected at most"),
        ({"batch": 9, "world": 2, "rank": 0}, "expected a multiple of the 2 ranks, found 9"),
        ({"world": 2, "rank": 2}, "rank: expected below the 2 ranks"),
        ({"patches": (64, 32)}, "expected at most the stored 32 x 32"),
        ({"split": "valid"}, "expected one of"),
        ({"augment": {"rotate": 1}}, "unknown field `rotate`"),
        ({"masking": {"kind": "no"}}, "unknown variant `no`"),
    ):
        with pytest.raises(ValueError, match=words):
            make(prepared, **names)
    with pytest.raises(FileNotFoundError, match="expected a complete prepared dataset"):
        make(str(tmp_path))
    loader = make(prepared)
    state = loader.state_dict()
    for wrong in ({**state, "seed": 6}, {**state, "fingerprint": "0"}, {**state, "batch": 99}, {"epoch": 1}):
        with pytest.raises(ValueError, match="state: .*expected"):
            loader.load_state_dict(wrong)


def test_a_broken_shard_is_an_exception_that_names_it(prepared, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(prepared, broken)
    shard = sorted((broken / "points").glob("train-*"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RuntimeError, match=shard.name):
        batches(make(str(broken)))
