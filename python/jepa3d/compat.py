"""Functions with the names and signatures of those they replace, without a CUDA extension: on CPU tensors or numpy arrays.

``pytorch3d.ops``: :func:`sample_farthest_points`, :func:`knn_points`. ``pointnet2_ops``: :func:`furthest_point_sample`.
Points have three coordinates; ties go to the lowest index.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _jepa3d
from ._arrays import GivenBack, take, to_clouds, to_count, to_integers, to_lengths, to_numpy, torch_of


def _to_batch(value: Any, name: str) -> np.ndarray:
    clouds, is_single = to_clouds(value, name)
    if is_single:
        raise ValueError(f"{name}: expected [B, N, 3], found {list(clouds.shape[1:])}")
    return clouds


def sample_farthest_points(
    points: Any, lengths: Any = None, K: Any = 50, random_start_point: bool = False
) -> tuple[Any, Any]:
    """``pytorch3d.ops.sample_farthest_points``: ``[B, P, 3]`` to the chosen points ``[B, K, 3]`` and indices ``[B, K]``.

    ``K`` may be one number or one for every cloud; where it exceeds a cloud, points are 0 and indices -1. Starts at index 0,
    or with ``random_start_point`` at one that torch's (numpy's) generator draws. Gradient flows to the points.
    """
    clouds = _to_batch(points, "points")
    sizes = to_lengths(lengths, clouds)
    asked = to_integers(K, "K", len(clouds), 1, 2**31)
    counts = np.minimum(asked, sizes)
    starts = np.zeros_like(sizes)
    if random_start_point:
        torch = torch_of(points)
        draws = np.random.random(len(sizes)) if torch is None else torch.rand(len(sizes)).numpy()
        starts = np.minimum((draws * sizes).astype(np.int64), sizes - 1)
    found = _jepa3d.fps(clouds, sizes, counts, starts)
    missing = int(asked.max()) - found.shape[1]
    if missing > 0:
        found = np.pad(found, ((0, 0), (0, missing)), constant_values=-1)
    values = points if torch_of(points) is not None else to_numpy(points, "points")
    back = GivenBack(False, points)
    present = back((found >= 0)[..., None])
    chosen = take(values, np.maximum(found, 0)) * present
    return chosen, back(found)


class KNN(NamedTuple):
    """What ``pytorch3d.ops.knn_points`` gives."""

    #: ``[B, P1, K]`` squared distances.
    dists: Any
    #: ``[B, P1, K]`` int64.
    idx: Any
    #: ``[B, P1, K, 3]``, if asked for.
    knn: Any


def knn_points(
    p1: Any,
    p2: Any,
    lengths1: Any = None,
    lengths2: Any = None,
    norm: int = 2,
    K: int = 1,
    version: int = -1,
    return_nn: bool = False,
    return_sorted: bool = True,
) -> KNN:
    """``pytorch3d.ops.knn_points``: for every point of ``p1 [B, P1, 3]`` the ``K`` nearest of ``p2 [B, P2, 3]``.

    Distances are squared; where a cloud has fewer points than ``K``, or a query none, distances and indices are 0. Gradient
    flows to both. ``version`` and ``return_sorted`` change nothing: results are always sorted. ``norm=1`` is refused.
    """
    del version, return_sorted
    if norm != 2:
        raise ValueError(f"norm: expected 2, found {norm!r}")
    queries, clouds = _to_batch(p1, "p1"), _to_batch(p2, "p2")
    if len(queries) != len(clouds):
        raise ValueError(f"p1 and p2: expected as many clouds of both, found {len(queries)} and {len(clouds)}")
    asked, sizes = to_lengths(lengths1, queries, "lengths1"), to_lengths(lengths2, clouds, "lengths2")
    k = to_count(K, "K", 2**31)
    distances, indices = _jepa3d.knn(queries, clouds, sizes, k)
    is_query = np.arange(queries.shape[1])[None, :, None] < asked[:, None, None]
    is_there = is_query & (np.arange(k)[None, None, :] < sizes[:, None, None])
    indices = np.where(is_there, indices, 0)
    torch = torch_of(p1, p2)
    if torch is None:
        kind = to_numpy(p1, "p1").dtype
        distances = np.where(is_there, distances, 0).astype(kind, copy=False)
        return KNN(distances, indices, take(to_numpy(p2, "p2"), indices) if return_nn else None)
    p1, p2 = (value if torch_of(value) else torch.from_numpy(np.asarray(value)) for value in (p1, p2))
    is_tracked = torch.is_grad_enabled() and (p1.requires_grad or p2.requires_grad)
    near = take(p2, indices) if return_nn or is_tracked else None
    if is_tracked:
        # The derivative of the distances is that of the coordinates; which points are near does not change.
        found = ((p1[:, :, None, :] - near) ** 2).sum(-1) * torch.from_numpy(is_there)
    else:
        found = torch.from_numpy(np.where(is_there, distances, 0).astype(np.float32)).to(p1.dtype)
    return KNN(found, torch.from_numpy(indices), near if return_nn else None)


def furthest_point_sample(xyz: Any, npoint: int) -> Any:
    """``pointnet2_ops.pointnet2_utils.furthest_point_sample``: ``[B, N, 3]`` to int32 indices ``[B, npoint]``, from index 0.

    Unlike that kernel, points near the origin (squared norm up to 1e-3) count like all others.
    """
    clouds = _to_batch(xyz, "xyz")
    count = to_count(npoint, "npoint", clouds.shape[1])
    sizes = to_lengths(None, clouds)
    found = _jepa3d.fps(clouds, sizes, np.full(len(clouds), count, np.int64), np.zeros_like(sizes))
    return GivenBack(False, xyz)(found.astype(np.int32))
