"""Geometry of point clouds on the CPU: exact, batched, on all cores, without Python's lock.

All functions take numpy arrays or torch CPU tensors, float32 or float64, and give back the same kind: indices are int64,
coordinates have the type of the input. Distances are computed in float32 as ``(dx*dx + dy*dy) + dz*dz`` whatever the type of
the input (float64 is rounded first), and **ties go to the lowest index**, so that results are equal on every processor, for any
number of threads. A single cloud ``[N, 3]`` gives results without the batch dimension.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from . import _jepa3d
from ._arrays import (
    GivenBack,
    take,
    to_clouds,
    to_count,
    to_integers,
    to_lengths,
    to_numpy,
    to_seed,
    torch_of,
)


def fps(xyz: Any, k: int, *, lengths: Any = None, start: Any = "farthest") -> Any:
    """Farthest point sampling: each next point is one farthest from all chosen before.

    Args:
        xyz: ``[N, 3]`` or ``[B, N, 3]``.
        k: How many points, at most ``N`` (at most the shortest of ``lengths``).
        lengths: ``[B]``: the first points of each cloud that count; all, if not given.
        start: The first point: ``"farthest"`` from the mean of the cloud (as `jepa3d prepare` takes it), an index, or one
            for every cloud ``[B]``.

    Returns:
        ``[k]`` or ``[B, k]`` int64 indices, all different. Of equally far points the lowest index is chosen; points that
        coincide with chosen ones come last.

    Raises:
        ValueError: The arrays are not as said, or ``k`` exceeds a cloud.
    """
    clouds, is_single = to_clouds(xyz)
    sizes = to_lengths(lengths, clouds)
    k = to_count(k, "k", int(sizes.min()))
    starts = _to_starts(start, sizes)
    found = _jepa3d.fps(clouds, sizes, np.full(len(clouds), k, np.int64), starts)
    return GivenBack(is_single, xyz)(found)


def _to_starts(start: Any, sizes: np.ndarray) -> np.ndarray:
    if isinstance(start, str):
        if start != "farthest":
            raise ValueError(f"start: expected \"farthest\" or indices, found {start!r}")
        return np.full(len(sizes), -1, np.int64)
    return to_integers(start, "start", len(sizes), 0, int(sizes.min()) - 1)


class Neighbors(NamedTuple):
    """The nearest points of some places."""

    #: ``[.., M, k]`` squared distances, ascending.
    distances: Any
    #: ``[.., M, k]`` int64 indices.
    indices: Any


def knn(queries: Any, xyz: Any, k: int, *, lengths: Any = None) -> Neighbors:
    """The ``k`` nearest points of ``xyz`` for every query, sorted by (squared distance, index).

    Args:
        queries: ``[M, 3]`` or ``[B, M, 3]``: any places, not only points of the cloud.
        xyz: ``[N, 3]`` or ``[B, N, 3]``, as many clouds as queries have.
        k: How many, at most ``N``.
        lengths: ``[B]``: the first points of each cloud that count.

    Returns:
        :class:`Neighbors`: **squared** distances (in the type of the queries, float32 precise) and int64 indices.

    Raises:
        ValueError: The arrays are not as said, or ``k`` exceeds a cloud.
    """
    places, is_single = to_clouds(queries, "queries")
    clouds, is_single_cloud = to_clouds(xyz)
    if is_single != is_single_cloud or len(places) != len(clouds):
        found = f"{list(np.shape(queries))} and {list(np.shape(xyz))}"
        raise ValueError(f"queries and xyz: expected as many clouds of both, found {found}")
    sizes = to_lengths(lengths, clouds)
    k = to_count(k, "k", int(sizes.min()))
    distances, indices = _jepa3d.knn(places, clouds, sizes, k)
    back = GivenBack(is_single, queries, xyz)
    kind = to_numpy(queries, "queries").dtype
    return Neighbors(back(distances.astype(kind, copy=False)), back(indices))


def neighborly(xyz: Any, ratio: float = 2.0, *, lengths: Any = None) -> Any:
    """Which points do not stand alone: those whose mean distance to their 4 nearest is at most ``ratio`` times what it is for these.

    The local outlier factor (Breunig et al. 2000) with mean distances: sparse parts of a cloud are no outliers. What
    ``jepa3d embed --regroup --outliers RATIO`` keeps of a cloud.

    Args:
        xyz: ``[N, 3]`` or ``[B, N, 3]``.
        ratio: Above 1.
        lengths: ``[B]``: the first points of each cloud that count; the others are ``False``.

    Returns:
        ``[N]`` or ``[B, N]`` bool. Points that coincide count once and stay or go together; clouds of fewer than 6 distinct
        points stay whole.

    Raises:
        ValueError: The arrays are not as said, or the ratio is not above 1.
    """
    clouds, is_single = to_clouds(xyz)
    if not (isinstance(ratio, (int, float)) and 1.0 < ratio < float("inf")):
        raise ValueError(f"ratio: expected a number above 1, found {ratio!r}")
    return GivenBack(is_single, xyz)(_jepa3d.neighborly(clouds, to_lengths(lengths, clouds), float(ratio)))


class Patches(NamedTuple):
    """Patches of clouds, relative to their centers."""

    #: ``[.., G, K, 3]`` coordinates minus the center; of voxel blocks in units of the cells' edge.
    patches: Any
    #: ``[.., G, 3]``.
    centers: Any
    #: ``[.., G, K]`` int64 indices into the cloud.
    indices: Any
    #: ``[.., G]`` int64 indices of the centers (of voxel blocks: of the points nearest to them).
    center_indices: Any


def patches(
    xyz: Any,
    groups: int = 64,
    size: int = 32,
    *,
    points: int | None = 1024,
    lengths: Any = None,
    seed: int | None = None,
) -> Patches:
    """Farthest points as centers, and their nearest neighbours: what the encoders of `jepa3d` see.

    Args:
        xyz: ``[S, 3]`` or ``[B, S, 3]``.
        groups: Centers ``G``.
        size: Points ``K`` of a patch.
        points: ``N``: a larger cloud is thinned out to so many farthest points first; ``None``: never.
        lengths: ``[B]``: the first points of each cloud that count.
        seed: Draws the starts of farthest point sampling; not given, they are canonical (the point farthest from the
            mean), exactly the grouping that `jepa3d prepare` stores first and `jepa3d embed --regroup` makes.

    Returns:
        :class:`Patches`. Centers are in farthest-point order, each patch by (squared distance, index). Gradient flows from
        coordinates to ``xyz`` where that is a tensor that asks for it.

    Raises:
        ValueError: The arrays are not as said, or a cloud has fewer points than groups or than a patch.
    """
    clouds, is_single = to_clouds(xyz)
    sizes = to_lengths(lengths, clouds)
    most = min(int(sizes.min()), 2**31 if points is None else to_count(points, "points"))
    letters = (2**31 if points is None else points, to_count(groups, "groups", most), to_count(size, "size", most))
    seed = None if seed is None else to_seed(seed)
    center_indices, indices = _jepa3d.group(clouds, sizes, letters, seed)
    return _cut(xyz, is_single, center_indices, indices)


def _cut(xyz: Any, is_single: bool, center_indices: np.ndarray, indices: np.ndarray) -> Patches:
    values = xyz if torch_of(xyz) is not None else to_numpy(xyz, "xyz")
    batch = values[None] if is_single else values
    centers = take(batch, center_indices)
    cut = take(batch, indices) - centers[:, :, None, :]
    back = GivenBack(is_single, xyz)
    if is_single:
        cut, centers = cut[0], centers[0]
    return Patches(cut, centers, back(indices), back(center_indices))


class VoxelBlocks(NamedTuple):
    """Voxel blocks of clouds: occupied cells of a grid as groups."""

    #: ``[.., G, K, 3]`` coordinates minus the center, in units of the cells' edge.
    patches: Any
    #: ``[.., G, 3]`` means of all points of a cell.
    centers: Any
    #: ``[.., G, K]`` int64 indices into the cloud: the first ``counts`` distinct, then repeated.
    indices: Any
    #: ``[.., G]`` int64 distinct points of a block; 0: a cloud has fewer blocks.
    counts: Any
    #: ``[..]`` float64: the edge of the cells.
    edges: Any


def voxels(
    xyz: Any,
    groups: int = 64,
    size: int = 32,
    *,
    edge: float | None = None,
    lengths: Any = None,
) -> VoxelBlocks:
    """Occupied cells of a grid as groups, in farthest-point order of their centroids.

    Args:
        xyz: ``[N, 3]`` or ``[B, N, 3]``.
        groups: The most blocks ``G``; of more, farthest point sampling keeps so many.
        size: Points ``K`` of a block; of more, farthest point sampling keeps so many.
        edge: Edge of the cells in units of ``xyz``; not given, the widest of ``E * 2^(-j/4)`` (``E`` the longest side of
            the bounding box) that gives ``groups`` occupied cells.
        lengths: ``[B]``: the first points of each cloud that count.

    Returns:
        :class:`VoxelBlocks`; where clouds have different numbers of blocks, the rest has a count of 0.

    Raises:
        ValueError: The arrays are not as said, or a cloud has too few distinct points.
    """
    clouds, is_single = to_clouds(xyz)
    sizes = to_lengths(lengths, clouds)
    if edge is not None and not (isinstance(edge, (int, float)) and 0 < edge < float("inf")):
        raise ValueError(f"edge: expected a positive number, found {edge!r}")
    letters = (to_count(groups, "groups", 2**31), to_count(size, "size", 65535), edge)
    _, centers, indices, counts, edges = _jepa3d.voxels(clouds, sizes, letters)
    cut = take(clouds, indices) - centers[:, :, None, :]
    cut /= edges.astype(np.float32)[:, None, None, None]
    cut[counts == 0] = 0.0
    back = GivenBack(is_single, xyz)
    kind = to_numpy(xyz, "xyz").dtype
    cut, centers = (back(array.astype(kind, copy=False)) for array in (cut, centers))
    return VoxelBlocks(cut, centers, back(indices), back(counts), back(edges))


def normalize(xyz: Any) -> Any:
    """Clouds moved to their mean and into the unit sphere, as `jepa3d prepare` stores objects.

    Args:
        xyz: ``[N, 3]`` or ``[B, N, 3]``.

    Returns:
        The same shape and type; a cloud whose points all coincide stays at the origin. Computed in float64.
    """
    _, is_single = to_clouds(xyz)
    values = to_numpy(xyz, "xyz")
    batch = (values[None] if is_single else values).astype(np.float64)
    low = batch.min(axis=1, keepdims=True)
    batch = batch - (low + (batch - low).sum(axis=1, keepdims=True) / batch.shape[1])
    radius = np.sqrt((batch * batch).sum(-1).max(axis=1))[:, None, None]
    batch /= np.where(radius > 0, radius, 1.0)
    return GivenBack(is_single, xyz)(batch.astype(values.dtype))


class SurfacePoints(NamedTuple):
    """Points on a mesh."""

    #: ``[n, 3]``, in the type of the vertices.
    points: Any
    #: ``[n, 3]`` float32 unit normals of the faces, by their winding.
    normals: Any


def _to_mesh(vertices: Any, faces: Any) -> tuple[np.ndarray, np.ndarray]:
    corners, is_single = to_clouds(vertices, "vertices")
    if not is_single:
        raise ValueError(f"vertices: expected [V, 3], found {list(corners.shape)}")
    indices = to_numpy(faces, "faces")
    if indices.ndim != 2 or indices.shape[1] != 3 or indices.dtype.kind not in "iu" or not len(indices):
        raise ValueError(f"faces: expected integers [F, 3], found {indices.dtype} {list(indices.shape)}")
    exact = np.ascontiguousarray(to_numpy(vertices, "vertices"), dtype=np.float64)
    return exact, np.ascontiguousarray(indices, dtype=np.int64)


def sample_surface(vertices: Any, faces: Any, n: int, *, seed: int = 0) -> SurfacePoints:
    """``n`` points uniformly over the surface of a triangle mesh.

    Args:
        vertices: ``[V, 3]``.
        faces: ``[F, 3]`` integers below ``V``; triangles without area get no points.
        n: How many points.
        seed: Equal seeds give equal points.

    Returns:
        :class:`SurfacePoints`.

    Raises:
        ValueError: The arrays are not as said, or the mesh has no area.
    """
    corners, indices = _to_mesh(vertices, faces)
    points, normals = _jepa3d.sample_surface(corners, indices, to_count(n, "n", MOST_POINTS), to_seed(seed))
    back = GivenBack(False, vertices, faces)
    return SurfacePoints(back(points.astype(to_numpy(vertices, "vertices").dtype, copy=False)), back(normals))


MOST_POINTS = 2**27


class Cameras(NamedTuple):
    """Pinhole cameras: axes x right, y down, z forward; pixel (0, 0) is the top left *corner* of the image."""

    #: ``[V, 3, 4]`` float64: rows of rotation and translation.
    camera_from_world: np.ndarray
    #: ``[V, 4]`` float64: fx, fy, cx, cy in pixels.
    lenses: np.ndarray
    #: Height and width in pixels.
    size: tuple[int, int]


def cameras(
    xyz: Any,
    views: int = 12,
    *,
    size: int = 224,
    up: str = "y",
    field_of_view: float = 50.0,
    elevations: list[float] | None = None,
) -> Cameras:
    """Cameras around a cloud, or the vertices of a mesh, that look at its middle.

    Args:
        xyz: ``[N, 3]``.
        views: How many: on a Fibonacci sphere or, with ``elevations``, so many azimuths at each.
        size: Height and width in pixels.
        up: The axis that points up: ``"x"``, ``"y"`` or ``"z"``.
        field_of_view: Vertical opening angle in degrees, 5 to 120.
        elevations: Degrees above the horizon.

    Returns:
        :class:`Cameras`; a camera stands where the cloud fills 95 % of the half image.
    """
    seen = _to_seen(xyz, None, None)
    views = to_count(views, "views", 4096)
    rig: dict[str, Any] = {"kind": "fibonacci", "views": views}
    if elevations is not None:
        rig = {"kind": "orbit", "elevations": [float(e) for e in elevations], "azimuths": views}
    settings = {"rig": rig, "size": to_count(size, "size", 4096), "field_of_view": float(field_of_view)}
    rows, lenses = _jepa3d.place_cameras(seen, up, json.dumps(settings))
    return Cameras(rows.reshape(-1, 3, 4), lenses, (size, size))


class _Seen:
    """A mesh or a cloud as the renderer takes it."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> None:
        self.vertices, self.faces, self.points = vertices, faces, points


def _to_seen(mesh_or_xyz: Any, points: Any, name: str | None) -> _Seen:
    if isinstance(mesh_or_xyz, tuple) and len(mesh_or_xyz) == 2:
        vertices, faces = _to_mesh(*mesh_or_xyz)
        if points is None:
            points = np.zeros((0, 3), np.float32)
        else:
            points = _to_one(points, name or "points")
        return _Seen(vertices, faces, points)
    cloud = _to_one(mesh_or_xyz, "xyz")
    return _Seen(np.zeros((0, 3)), np.zeros((0, 3), np.int64), cloud)


def _to_one(value: Any, name: str) -> np.ndarray:
    clouds, is_single = to_clouds(value, name)
    if not is_single:
        raise ValueError(f"{name}: expected [N, 3], found {list(clouds.shape)}")
    return clouds[0]


def _to_cameras(given: Any) -> tuple[np.ndarray, np.ndarray, int, int]:
    try:
        poses, lenses, (height, width) = given
    except (TypeError, ValueError):
        raise ValueError(f"cameras: expected Cameras(camera_from_world, lenses, size), found {type(given).__name__}") from None
    poses, lenses = to_numpy(poses, "camera_from_world"), to_numpy(lenses, "lenses")
    if poses.shape[-2:] != (3, 4) or poses.ndim != 3 or lenses.shape != (len(poses), 4) or not len(poses):
        found = f"{list(poses.shape)} and {list(lenses.shape)}"
        raise ValueError(f"cameras: expected camera_from_world [V, 3, 4] and lenses [V, 4], found {found}")
    if poses.dtype.kind not in "fiu" or lenses.dtype.kind not in "fiu":
        raise ValueError(f"cameras: expected numbers, found {poses.dtype} and {lenses.dtype}")
    rows = np.ascontiguousarray(poses, dtype=np.float64).reshape(-1, 12)
    height, width = to_count(height, "height", 4096), to_count(width, "width", 4096)
    return rows, np.ascontiguousarray(lenses, dtype=np.float64), height, width


class Pictures(NamedTuple):
    """Pictures of a mesh or a cloud."""

    #: ``[V, H, W, 4]`` uint8: sRGB and coverage.
    image: Any
    #: ``[V, H, W]`` float32: z in the camera's frame at the pixel's centre, infinity where nothing is.
    depth: Any
    #: ``[V, H, W]`` int64: the triangle or point that is seen, -1 for none.
    index: Any


def render(mesh_or_xyz: Any, cameras: Cameras, *, up: str = "y", supersample: int = 2, color: str = "auto") -> Pictures:
    """Pictures of a mesh ``(vertices [V, 3], faces [F, 3])`` or of a cloud ``[N, 3]``, whose points are discs.

    Args:
        mesh_or_xyz: What is drawn, in the world of the cameras.
        cameras: As :func:`cameras` places them, or your own.
        up: The axis that ``color="height"`` goes along.
        supersample: Samples a pixel along each axis, 1 to 4; depth and index have one.
        color: ``"auto"`` (grey, or by height for clouds), ``"plain"`` or ``"height"``.

    Returns:
        :class:`Pictures`. Lit by a lamp at the camera; exact integer edges, so every pixel centre has one owner.

    Raises:
        ValueError: An array is not as said, or a setting is out of range.
    """
    drawn = _draw(_to_seen(mesh_or_xyz, None, None), cameras, up, {"supersample": supersample, "color": color})
    back = GivenBack(False, mesh_or_xyz, *(mesh_or_xyz if isinstance(mesh_or_xyz, tuple) else ()))
    return Pictures(back(drawn["image"]), back(drawn["depth"]), back(drawn["id"]))


def _draw(seen: _Seen, given: Any, up: str, settings: dict[str, Any]) -> dict[str, Any]:
    if up not in ("x", "y", "z"):
        raise ValueError(f"up: expected \"x\", \"y\" or \"z\", found {up!r}")
    try:
        text = json.dumps(settings)
    except TypeError as error:
        raise ValueError(f"settings: expected numbers and names, found {error}") from None
    return _jepa3d.render(seen, up, _to_cameras(given), text)


class Visible(NamedTuple):
    """Which points a camera sees, and where."""

    #: ``[C]`` int64, ascending.
    points: Any
    #: ``[C, 2]`` float32 pixels (u, v).
    pixels: Any
    #: ``[C]`` float32: z in the camera's frame.
    depth: Any


def visible(xyz: Any, cameras: Cameras, *, mesh: tuple[Any, Any] | None = None) -> list[Visible]:
    """Which points of a cloud each camera sees: inside the image, before the camera, hidden by nothing.

    Args:
        xyz: ``[N, 3]``.
        cameras: ``V`` cameras.
        mesh: The surface ``(vertices, faces)`` that the points lie on: a point is hidden if a triangle crosses the first
            99.9 % of the way to it (exact, no depth map). Not given, the points hide each other as discs.

    Returns:
        One :class:`Visible` a camera.

    Raises:
        ValueError: An array is not as said.
    """
    seen = _to_seen(xyz, None, None) if mesh is None else _to_seen(tuple(mesh), xyz, "xyz")
    drawn = _draw(seen, cameras, "y", {"supersample": 1, "color": "plain"})
    back = GivenBack(False, xyz)
    pixels = np.stack([drawn["u"], drawn["v"]], axis=1)
    starts = [0, *drawn["ends"][:-1].tolist()]
    ranges = [slice(start, end) for start, end in zip(starts, drawn["ends"].tolist())]
    return [Visible(back(drawn["point"][r]), back(pixels[r]), back(drawn["z"][r])) for r in ranges]
