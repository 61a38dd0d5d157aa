"""Twelve views of meshes with Open3D's Embree ray caster: the peer of the render bench.

Usage: render_peer.py FOLDER [--limit 128] [--repeat 1] [--workers 2]
Needs: pip install numpy open3d opencv-python-headless
Case:  every mesh of FOLDER/**/*.obj (evenly `--limit` of them), normalised to the unit sphere of 8192 points of its
       surface, seen by 12 cameras at distance 2.5, 224x224, 50 degrees. One process a core, Embree on one thread in each.
Stages of a mesh, timed inside its process while all cores work:
  geometry  the tree over the triangles, and one ray through the centre of every pixel that the mesh's box can reach
  shade     grey of a headlight, one value a triangle and view, looked up by triangle number
  encode    PNG of every view
  visible   for every point and camera one occlusion ray that ends a thousandth before the point
Prints one JSON object: milliseconds a mesh of every stage (mean) and of the whole, by the clock on the wall of the pool
(loading and sampling left out; median over repeats, after one that warms up), and bytes of a PNG.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries below are loaded

import cv2
import numpy as np
import open3d as o3d

VIEWS, SIZE, POINTS, DISTANCE, FIELD_OF_VIEW = 12, 224, 8192, 2.5, np.radians(50)
FOCAL = SIZE / 2 / np.tan(FIELD_OF_VIEW / 2)
STAGES = ("geometry", "shade", "encode", "visible")
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
NOTHING = o3d.t.geometry.RaycastingScene.INVALID_ID


def fibonacci_eyes():
    number = np.arange(VIEWS) + 0.5
    height, turn = 1 - 2 * number / VIEWS, np.pi * (1 + 5**0.5) * number
    ring = np.sqrt(1 - height**2)
    return DISTANCE * np.column_stack([ring * np.cos(turn), height, ring * np.sin(turn)])


def look_at_origin(eye):
    """Rows right, down, forward."""
    forward = -eye / np.linalg.norm(eye)
    right = np.cross(forward, (0, 1, 0))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


class Camera:
    def __init__(self, eye):
        self.eye, self.rotation = eye, look_at_origin(eye)
        across = (np.arange(SIZE) + 0.5 - SIZE / 2) / FOCAL
        u, v = np.meshgrid(across, across)
        # Directions of depth 1, so that the distance of a hit is its depth.
        ways = np.stack([u, v, np.ones_like(u)], -1) @ self.rotation
        self.rays = np.concatenate([np.broadcast_to(eye, ways.shape), ways], -1).astype(np.float32)

    def box(self, vertices):
        """Rows and columns of pixels that can show the vertices, a pixel of margin around them."""
        local = (vertices - self.eye) @ self.rotation.T
        pixels = local[:, :2] / local[:, 2:] * FOCAL + SIZE / 2
        (left, top), (right, bottom) = np.floor(pixels.min(0)) - 1, np.ceil(pixels.max(0)) + 1
        cut = lambda low, high: slice(int(np.clip(low, 0, SIZE)), int(np.clip(high, 0, SIZE)))
        return cut(top, bottom), cut(left, right)


def surface_points(vertices, triangles):
    draws = np.random.default_rng(0)
    corners = vertices[triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not 0 < areas.sum() < np.inf:
        return None
    chosen = corners[draws.choice(len(areas), POINTS, p=areas / areas.sum())]
    root, share = np.sqrt(draws.random((POINTS, 1))), draws.random((POINTS, 1))
    return chosen[:, 0] * (1 - root) + chosen[:, 1] * root * (1 - share) + chosen[:, 2] * root * share


def read_mesh(path):
    """Vertices, triangles and points in the unit sphere; None for a mesh without area."""
    mesh = o3d.io.read_triangle_mesh(str(path))
    vertices, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    points = surface_points(vertices, triangles)
    if points is None:
        return None
    center = points.mean(0)
    scale = np.linalg.norm(points - center, axis=1).max()
    fit = lambda x: np.ascontiguousarray((x - center) / scale, dtype=np.float32)
    return fit(vertices), triangles.astype(np.uint32), fit(points)


def first_hits(scene, vertices, cameras):
    """Depth and triangle of every pixel of every view, infinite and NOTHING where no ray hits."""
    depth = np.full((VIEWS, SIZE, SIZE), np.inf, np.float32)
    triangle = np.full((VIEWS, SIZE, SIZE), NOTHING, np.uint32)
    boxes = [camera.box(vertices) for camera in cameras]
    rays = [camera.rays[box].reshape(-1, 6) for camera, box in zip(cameras, boxes)]
    hits = scene.cast_rays(o3d.core.Tensor(np.concatenate(rays)), nthreads=1)
    ends = np.cumsum([len(part) for part in rays])[:-1]
    for whole, key in ((depth, "t_hit"), (triangle, "primitive_ids")):
        for view, (box, part) in enumerate(zip(boxes, np.split(hits[key].numpy(), ends))):
            window = whole[view][box]
            window[...] = part.reshape(window.shape)
    return depth, triangle


def shade(vertices, triangles, triangle, cameras):
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    images = np.empty((VIEWS, SIZE, SIZE), np.uint8)
    greys = np.full(len(triangles) + 1, 255, np.uint8)
    for view, camera in enumerate(cameras):
        greys[:-1] = 24 + 180 * np.abs(normals @ camera.rotation[2].astype(np.float32))
        # NOTHING is clipped to the last entry, the background.
        images[view] = greys.take(triangle[view], mode="clip")
    return images


def visible_points(scene, points, cameras):
    eyes = np.stack([camera.eye for camera in cameras]).astype(np.float32)[:, None]
    rays = np.concatenate([np.broadcast_to(eyes, (VIEWS, *points.shape)), points - eyes], -1)
    return ~scene.test_occlusions(o3d.core.Tensor(rays), 0.0, 0.999, nthreads=1).numpy()


def render(mesh, cameras):
    """Milliseconds of every stage, bytes of all PNGs, visible points of all views."""
    vertices, triangles, points = mesh
    times = [time.perf_counter()]
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(triangles))
    _, triangle = first_hits(scene, vertices, cameras)
    times.append(time.perf_counter())
    images = shade(vertices, triangles, triangle, cameras)
    times.append(time.perf_counter())
    files = [cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), PNG)[1] for image in images]
    times.append(time.perf_counter())
    visible = visible_points(scene, points, cameras)
    times.append(time.perf_counter())
    return np.diff(times) * 1e3, sum(len(file) for file in files), int(visible.sum())


SHARED = {}


def work(index):
    if "cameras" not in SHARED:
        SHARED["cameras"] = [Camera(eye) for eye in fibonacci_eyes()]
    return render(SHARED["meshes"][index], SHARED["cameras"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    paths = sorted(args.folder.rglob("*.obj"))
    paths = paths[:: max(1, len(paths) // args.limit)][: args.limit]
    SHARED["meshes"] = [mesh for mesh in map(read_mesh, paths) if mesh]
    count, walls, rows = len(SHARED["meshes"]), [], []
    # Forked, so that the processes share the meshes.
    with multiprocessing.get_context("fork").Pool(args.workers) as pool:
        for _ in range(args.repeat + 1):
            start = time.perf_counter()
            rows = pool.map(work, range(count), chunksize=2)
            walls.append(time.perf_counter() - start)
    means = np.mean([row[0] for row in rows], 0)
    print(json.dumps({
        "meshes": count,
        "stage_ms_mean": {stage: round(float(ms), 3) for stage, ms in zip(STAGES, means)},
        "wall_ms_per_mesh": round(statistics.median(walls[1:]) / count * 1e3, 3),
        "png_bytes_per_view": round(sum(row[1] for row in rows) / count / VIEWS, 1),
        "pairs_per_mesh": round(sum(row[2] for row in rows) / count, 1),
        "open3d": o3d.__version__,
    }))


if __name__ == "__main__":
    main()
