"""Self-supervised pretraining on 3D data, from Python.

Geometry (:func:`fps`, :func:`knn`, :func:`neighborly`, :func:`patches`, :func:`voxels`, :func:`sample_surface`, :func:`render`, :func:`visible`) works
on numpy arrays and torch CPU tensors; :class:`Dataset` and :class:`Loader` read what `jepa3d prepare` wrote;
:class:`jepa3d.torch.PointEncoder` is a trained encoder as an ``nn.Module``; :func:`run` runs any command of the tool, and
:func:`jepa3d.ray.prepare` prepares on a cluster.

Only numpy is needed. torch, polars, pyarrow and ray are used where they are asked for, and named where they are missing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._jepa3d import __version__
from .cli import CommandError, prepare, run, run_json
from .compat import KNN, furthest_point_sample, knn_points, sample_farthest_points
from .data import ArrowTable, Dataset
from .geometry import (
    Cameras,
    Neighbors,
    Patches,
    Pictures,
    SurfacePoints,
    Visible,
    VoxelBlocks,
    cameras,
    fps,
    knn,
    neighborly,
    normalize,
    patches,
    render,
    sample_surface,
    visible,
    voxels,
)

if TYPE_CHECKING:
    from . import ray, torch
    from .loading import Loader

__all__ = [
    "KNN",
    "ArrowTable",
    "Cameras",
    "CommandError",
    "Dataset",
    "Loader",
    "Neighbors",
    "Patches",
    "Pictures",
    "SurfacePoints",
    "Visible",
    "VoxelBlocks",
    "__version__",
    "cameras",
    "fps",
    "furthest_point_sample",
    "knn",
    "knn_points",
    "neighborly",
    "normalize",
    "patches",
    "prepare",
    "ray",
    "render",
    "run",
    "run_json",
    "sample_farthest_points",
    "sample_surface",
    "torch",
    "visible",
    "voxels",
]


def __getattr__(name: str) -> Any:
    """What needs torch or ray is imported when it is asked for: ``import jepa3d`` stays quick."""
    if name == "Loader":
        return importlib.import_module(".loading", __name__).Loader
    if name in ("torch", "ray"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
