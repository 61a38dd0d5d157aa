"""Geometry against brute force on numpy, and the drop-in helpers against the definitions of what they replace."""

from __future__ import annotations

import os

import numpy as np
import pytest

import jepa3d


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``[M, N]`` in the order of operations that the package promises."""
    x, y, z = (a[:, None, axis] - b[None, :, axis] for axis in range(3))
    return (x * x + y * y) + z * z


def brute_fps(points: np.ndarray, k: int, start: int) -> list[int]:
    chosen, near = [start], np.full(len(points), np.inf, np.float32)
    for _ in range(k - 1):
        near = np.minimum(near, squared_distances(points[chosen[-1:]], points)[0])
        near[chosen] = -1
        chosen.append(int(near.argmax()))
    return chosen


def brute_knn(queries: np.ndarray, points: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(squared_distances(queries, points), axis=1, kind="stable")[:, :k]


def clouds(rng: np.random.Generator) -> np.ndarray:
    """Some with many ties."""
    cloud = rng.standard_normal((4, 300, 3)).astype(np.float32)
    cloud[1] = np.round(cloud[1] * 2) / 2
    cloud[2, 100:] = cloud[2, :200]
    return cloud


def test_farthest_points_are_the_greedy_choice(rng):
    xyz = clouds(rng)
    found = jepa3d.fps(xyz, 70, start=[0, 5, 7, 299])
    assert found.dtype == np.int64 and found.shape == (4, 70)
    for cloud, row, start in zip(xyz, found, [0, 5, 7, 299]):
        assert row.tolist() == brute_fps(cloud, 70, start)
    canonical = jepa3d.fps(xyz[0], 5)
    mean = xyz[0].astype(np.float64).mean(0)
    assert canonical[0] == ((xyz[0] - mean) ** 2).sum(1).argmax()
    assert canonical.tolist() == brute_fps(xyz[0], 5, canonical[0])


def test_lengths_hide_the_rest_of_a_cloud(rng):
    xyz = clouds(rng)
    found = jepa3d.fps(xyz, 20, lengths=[20, 50, 100, 300], start=0)
    for cloud, row, length in zip(xyz, found, [20, 50, 100, 300]):
        assert row.tolist() == brute_fps(cloud[:length], 20, 0)
    near = jepa3d.knn(xyz[:, :9], xyz, 20, lengths=[20, 50, 100, 300])
    for cloud, row, length in zip(xyz, near.indices, [20, 50, 100, 300]):
        assert np.array_equal(row, brute_knn(cloud[:9], cloud[:length], 20))


def test_neighbours_are_what_sorting_finds(rng):
    xyz = clouds(rng)
    queries = np.concatenate([xyz[:, ::7], rng.standard_normal((4, 30, 3)).astype(np.float32) * 3], axis=1)
    found = jepa3d.knn(queries, xyz, 33)
    for i in range(4):
        expected = brute_knn(queries[i], xyz[i], 33)
        assert np.array_equal(found.indices[i], expected)
        rows = np.take_along_axis(squared_distances(queries[i], xyz[i]), expected, 1)
        assert np.array_equal(found.distances[i], rows)
    many = rng.standard_normal((10_000, 3)).astype(np.float32)
    assert np.array_equal(jepa3d.knn(many, xyz[0], 3).indices, brute_knn(many, xyz[0], 3))


def test_other_types_and_layouts_give_the_same(rng):
    xyz = clouds(rng)
    wide = xyz.astype(np.float64)
    strided = np.zeros((4, 600, 6))[:, ::2, ::2]
    strided[:] = xyz
    readonly = xyz.copy()
    readonly.flags.writeable = False
    for other in (wide, strided, np.asfortranarray(xyz), readonly, wide.tolist()):
        assert np.array_equal(jepa3d.fps(other, 30), jepa3d.fps(xyz, 30))
        cut = jepa3d.patches(other, 8, 16, points=128)
        assert np.array_equal(cut.indices, jepa3d.patches(xyz, 8, 16, points=128).indices)
    assert jepa3d.patches(wide, 8, 16).patches.dtype == np.float64
    assert jepa3d.knn(wide[0], wide[0], 3).distances.dtype == np.float64


def test_patches_are_farthest_points_and_their_neighbours(rng):
    xyz = clouds(rng)
    made = jepa3d.patches(xyz, 16, 8, points=None)
    assert made.patches.shape == (4, 16, 8, 3)
    for i, cloud in enumerate(xyz):
        assert np.array_equal(made.center_indices[i], jepa3d.fps(cloud, 16))
        assert np.array_equal(made.indices[i], brute_knn(made.centers[i], cloud, 8))
        assert np.array_equal(made.patches[i], cloud[made.indices[i]] - made.centers[i][:, None])
    thinned = jepa3d.patches(xyz[0], 16, 8, points=100)
    subset = np.sort(jepa3d.fps(xyz[0], 100))
    inside = jepa3d.patches(xyz[0][subset], 16, 8, points=None)
    assert np.array_equal(thinned.indices, subset[inside.indices])
    one, two = (jepa3d.patches(xyz, 16, 8, seed=seed).center_indices for seed in (1, 2))
    assert np.array_equal(one, jepa3d.patches(xyz, 16, 8, seed=1).center_indices) and not np.array_equal(one, two)


def test_voxel_blocks_are_cells_of_a_grid(rng):
    xyz = clouds(rng)[0]
    blocks = jepa3d.voxels(xyz, 500, 400, edge=0.7)
    cells = np.floor((xyz.astype(np.float64) - xyz.min(0)) / 0.7).astype(int)
    found = {frozenset(row[:count].tolist()) for row, count in zip(blocks.indices, blocks.counts)}
    expected = {frozenset(np.flatnonzero((cells == cell).all(1)).tolist()) for cell in np.unique(cells, axis=0)}
    assert found == expected
    row = blocks.indices[0][: blocks.counts[0]]
    assert np.allclose(blocks.centers[0], xyz[row].mean(0), atol=1e-6)
    assert np.allclose(blocks.patches[0][: len(row)], (xyz[row] - blocks.centers[0]) / np.float32(0.7), atol=1e-6)
    batch = jepa3d.voxels(clouds(rng), 500, 16, edge=0.7)
    assert (batch.counts == 0).any() and (batch.patches[batch.counts == 0] == 0).all()
    assert jepa3d.voxels(clouds(rng), 20, 16).counts.min() > 0


def test_points_on_a_surface_and_what_a_camera_sees():
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float64)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    points, normals = jepa3d.sample_surface(vertices, faces, 4000, seed=3)
    assert np.array_equal(points, jepa3d.sample_surface(vertices, faces, 4000, seed=3).points)
    assert abs(points[:, 2]).max() == 0 and abs(points[:, :2].mean(0)).max() < 0.05
    assert np.array_equal(normals, np.tile(np.float32([0, 0, 1]), (4000, 1)))
    # A camera two units before the square, looking along -z; the points behind the square are hidden.
    pose = np.array([[[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2]]], np.float64)
    camera = jepa3d.Cameras(pose, np.array([[50.0, 50.0, 32.0, 32.0]]), (64, 64))
    seen = np.array([[0, 0, 0.5], [0, 0, -0.5], [0.5, 0, 0.5], [9, 0, 0.5]], np.float32)
    (found,) = jepa3d.visible(seen, camera, mesh=(vertices, faces))
    assert found.points.tolist() == [0, 2]
    assert np.allclose(found.pixels, [[32, 32], [32 + 50 * 0.5 / 1.5, 32]]) and np.allclose(found.depth, 1.5)
    drawn = jepa3d.render((vertices, faces), camera)
    inside = drawn.index[0] >= 0
    assert inside.sum() == 50 * 50 and np.allclose(drawn.depth[0][inside], 2) and np.isinf(drawn.depth[0][~inside]).all()
    assert set(np.unique(drawn.index)) == {-1, 0, 1} and drawn.image.shape == (1, 64, 64, 4)
    around = jepa3d.cameras(points.astype(np.float32), 5, size=32)
    assert around.camera_from_world.shape == (5, 3, 4)
    splats = jepa3d.render(points[:500].astype(np.float32), around)
    assert (splats.index >= 0).any(axis=(1, 2)).sum() >= 4 and splats.index.max() < 500


def test_normalized_clouds_lie_in_the_unit_sphere(rng):
    xyz = rng.standard_normal((3, 50, 3)).astype(np.float32) * 40 + 1000
    unit = jepa3d.normalize(xyz)
    assert np.allclose(unit.mean(1), 0, atol=1e-5) and np.allclose(np.linalg.norm(unit, axis=-1).max(1), 1)


def test_drop_in_helpers_without_torch(rng):
    xyz = clouds(rng)
    points, index = jepa3d.sample_farthest_points(xyz, lengths=[3, 300, 40, 5], K=[10, 4, 40, 2])
    assert index.shape == (4, 40)
    assert index[0].tolist() == brute_fps(xyz[0][:3], 3, 0) + [-1] * 37 and (points[0, 3:] == 0).all()
    assert index[2].tolist() == brute_fps(xyz[2][:40], 40, 0)
    assert jepa3d.furthest_point_sample(xyz, 9).dtype == np.int32
    near = jepa3d.knn_points(xyz, xyz, lengths1=[2, 300, 300, 300], lengths2=[4, 300, 300, 300], K=6, return_nn=True)
    assert (near.dists[0, 2:] == 0).all() and (near.idx[0, :, 4:] == 0).all() and near.knn.shape == (4, 300, 6, 3)
    assert np.array_equal(near.idx[1], brute_knn(xyz[1], xyz[1], 6))


def test_tensors_come_back_as_tensors_and_gradient_flows(rng):
    torch = pytest.importorskip("torch")
    xyz = torch.from_numpy(clouds(rng)).double().requires_grad_()
    found = jepa3d.fps(xyz, 12)
    assert isinstance(found, torch.Tensor) and found.dtype == torch.int64
    assert np.array_equal(found.numpy(), jepa3d.fps(xyz.detach().numpy(), 12))
    made = jepa3d.patches(xyz, 8, 8)
    made.patches.square().sum().backward()
    assert xyz.grad.abs().sum() > 0
    a, b = (torch.randn(2, 40, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    near = jepa3d.knn_points(a, b, K=3)
    distances = torch.cdist(a, b).square()
    assert torch.allclose(near.dists, distances.topk(3, largest=False).values, atol=1e-5)
    assert torch.autograd.gradcheck(lambda a, b: jepa3d.knn_points(a, b, K=3).dists, (a, b), atol=1e-4)
    points, _ = jepa3d.sample_farthest_points(a, K=5)
    points.sum().backward()
    assert a.grad.sum() == 30
    with pytest.raises(ValueError, match="expected a tensor on the CPU, found one on meta"):
        jepa3d.fps(torch.zeros(4, 3, device="meta"), 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own(rng):
    xyz = clouds(rng)
    before = jepa3d.fps(xyz, 20)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(jepa3d.fps(xyz, 20), before) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
