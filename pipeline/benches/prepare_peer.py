"""The same preparation as ours, from the Python libraries a careful person would choose.

Usage: prepare_peer.py clouds|meshes FOLDER --out DIR [--workers 2]
Needs: pip install numpy pyarrow fpsample pykdtree, for meshes open3d (which needs the system's libusb-1.0)
Reads: clouds  FOLDER/<class>/train/*.pcd, 1,024 points each
       meshes  FOLDER/<class>/*.obj, of which 8,192 points are drawn by area
Makes: R = 4 groupings a sample (a cloud of more than 1,024 points is first thinned to 1,024, anew for each), 64 centers by
       exact farthest point sampling from a random start, the 32 nearest points of each; one Parquet file a task.
In the time: everything from listing the files to the last rename, the start of the worker processes too; imports not.
       Every worker is one process with one thread: arrays never travel between processes.
Prints one JSON object: objects, seconds, objects_per_s.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import json
import multiprocessing
import sys
import time
import zlib
from pathlib import Path

import fpsample
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from pykdtree.kdtree import KDTree

GROUPINGS, SUBSET, CENTERS, NEIGHBORS = 4, 1024, 64, 32
SURFACE_POINTS = 8192
OBJECTS_PER_FILE = {"clouds": 250, "meshes": 63}


def pcd_points(path):
    """x, y, z of a PCD file whose fields are all 32-bit floats, binary or ASCII."""
    head, _, rest = path.read_bytes().partition(b"\nDATA ")
    kind, body = rest.split(b"\n", 1)
    words = {line.split()[0]: line.split()[1:] for line in head.split(b"\n") if line.strip()}
    width, count = len(words[b"FIELDS"]), int(words[b"POINTS"][0])
    if kind.strip() == b"ascii":
        table = np.array(body.split(), np.float32)
    else:
        table = np.frombuffer(body, np.float32, width * count)
    return table.reshape(count, width)[:, :3]


def obj_surface(path, rng):
    """Points drawn uniformly on the triangles of an OBJ file."""
    import open3d

    mesh = open3d.io.read_triangle_mesh(str(path))
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.triangles)]
    origin, first, second = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(first, second), axis=1)
    triangle = rng.choice(len(area), SURFACE_POINTS, p=area / area.sum())
    weights = rng.random((SURFACE_POINTS, 2))
    outside = weights.sum(axis=1) > 1
    weights[outside] = 1 - weights[outside]
    return origin[triangle] + weights[:, :1] * first[triangle] + weights[:, 1:] * second[triangle]


def to_unit_sphere(points):
    points = points.astype(np.float64)
    center = points.mean(axis=0)
    scale = np.linalg.norm(points - center, axis=1).max()
    return ((points - center) / scale).astype(np.float32), center, scale


def farthest(points, count, rng):
    """Exact farthest point sampling; the heights of the tree are the fastest of those tried at these sizes."""
    height = 3 if len(points) <= 2048 else 5
    start = int(rng.integers(len(points)))
    return fpsample.bucket_fps_kdline_sampling(points, count, h=height, start_idx=start).astype(np.int64)


def grouping(points, tree, rng):
    """Centers and their neighbours, as indices into `points`."""
    centers = farthest(points, CENTERS, rng)
    return centers, tree.query(points[centers], NEIGHBORS, sqr_dists=True)[1]


def groupings(points, rng):
    """Index arrays [4, ..]: the thinned clouds (none if nothing was thinned), centers, neighbours."""
    if len(points) <= SUBSET:
        tree = KDTree(points, leafsize=32)
        found = [(None, *grouping(points, tree, rng)) for _ in range(GROUPINGS)]
    else:
        found = []
        for _ in range(GROUPINGS):
            kept = farthest(points, SUBSET, rng)
            centers, near = grouping(points[kept], KDTree(points[kept], leafsize=32), rng)
            found.append((kept, kept[centers], kept[near]))
    subsets, centers, near = zip(*found)
    return (None if subsets[0] is None else np.stack(subsets)), np.stack(centers), np.stack(near)


def sample(kind, path, root):
    name = str(path.relative_to(root))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    points, center, scale = to_unit_sphere(pcd_points(path) if kind == "clouds" else obj_surface(path, rng))
    subset, centers, near = groupings(points, rng)
    indices = {"center_indices": centers, "patch_indices": near} | ({} if subset is None else {"subset": subset})
    return {"sample_id": name, "category": path.relative_to(root).parts[0], "points": points, "norm_center": center,
            "norm_scale": scale, **{column: array.astype(np.uint32) for column, array in indices.items()}}


def as_column(values):
    if not isinstance(values[0], np.ndarray):
        return pa.array(values)
    rows = np.stack([value.ravel() for value in values])
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def write_file(job):
    """Prepares the objects of one file; returns how many."""
    kind, root, paths, out = job
    rows = [sample(kind, path, root) for path in paths]
    table = pa.table({column: as_column([row[column] for row in rows]) for column in rows[0]})
    part = out.with_suffix(".part")
    with open(part, "wb") as file:
        pa.parquet.write_table(table, file, compression="zstd", compression_level=3, row_group_size=128, use_dictionary=False,
                               write_statistics=False, use_byte_stream_split=["points.list.element"])
        file.flush()
        os.fsync(file.fileno())
    part.rename(out)
    return len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=tuple(OBJECTS_PER_FILE))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.kind == "meshes":
        import open3d

        open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)
    start = time.perf_counter()
    args.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(args.folder.glob("*/train/*.pcd" if args.kind == "clouds" else "*/*.obj"))
    each = OBJECTS_PER_FILE[args.kind]
    jobs = [(args.kind, args.folder, paths[i : i + each], args.out / f"{i // each:05d}.parquet")
            for i in range(0, len(paths), each)]
    if not jobs:
        sys.exit(f"{args.folder}: nothing to prepare")
    with multiprocessing.get_context("fork").Pool(args.workers) as pool:
        objects = sum(pool.imap_unordered(write_file, jobs, chunksize=1))
    seconds = time.perf_counter() - start
    print(json.dumps({"objects": objects, "seconds": seconds, "objects_per_s": objects / seconds}))


if __name__ == "__main__":
    main()
