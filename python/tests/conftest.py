"""What several tests need: small prepared sets, made once, and numbers that are the same in every run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import jepa3d

SMALL = [
    "dataset.count=36",
    "cloud.points=512",
    "groups.points=256",
    "groups.centers=32",
    "groups.neighbors=32",
    "shards.rows=16",
    "shards.row_group=8",
]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> str:
    """36 clouds of the built-in set, with views and a cached teacher; patches."""
    out = os.fspath(tmp_path_factory.mktemp("sets") / "views")
    sets = [*SMALL, "views.size=64", "views.rig={ kind = \"fibonacci\", views = 3 }"]
    jepa3d.prepare("synthetic-views", out, set=sets, progress=False)
    jepa3d.run(["teacher", out, "--teacher", "hog"])
    return out


@pytest.fixture(scope="session")
def voxel_sets(tmp_path_factory) -> dict[str, str]:
    """The same clouds in voxel blocks: of an edge that fits, and of a fixed one, where clouds have different numbers."""
    folder = tmp_path_factory.mktemp("voxels")
    edges = {"auto": "0.0", "fixed": "0.45"}
    for name, edge in edges.items():
        sets = [*SMALL, "groups.kind=\"voxel\"", f"groups.voxel_edge={edge}", "groups.groupings=1", "groups.points=512"]
        jepa3d.prepare("synthetic", folder / name, set=sets, progress=False)
    return {name: os.fspath(folder / name) for name in edges}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def target_folder() -> Path:
    """Where the workspace is built, for tests that compare with a Rust program."""
    named = os.environ.get("JEPA3D_TARGET") or os.environ.get("CARGO_TARGET_DIR")
    return Path(named) if named else Path(__file__).parents[2] / "target"
