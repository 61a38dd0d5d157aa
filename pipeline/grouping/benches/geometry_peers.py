"""FPS and kNN-32 against fpsample, pykdtree, scipy and kiddo: same clouds, one thread, in turns.

Usage: geometry_peers.py BENCH_BINARY [--rounds 5] [--sweep LIDAR.pcd.bin]
       (make bench-geometry builds the binary and finds the sweep below JEPA3D_TEST_DATA; kiddo is a part of the binary)
Needs: pip install numpy scipy fpsample pykdtree
Prints one JSON object a line, ratio = peer / ours; notes go to standard error.
A round times our binary, then every peer, on each cloud; the medians over rounds are compared.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries below are loaded

try:
    import fpsample
    import numpy as np
    from pykdtree.kdtree import KDTree
    from scipy.spatial import cKDTree
except ImportError as missing:
    sys.exit(f"{missing}: pip install numpy scipy fpsample pykdtree")

SIZES = [(1024, 64), (2048, 128), (8192, 1024), (34688, 1024), (200000, 4096)]
NEIGHBORS = 32


def bumpy_sphere(count):
    """Points on a closed surface with bumps, as objects have them."""
    draws = np.random.default_rng(count)
    ways = draws.standard_normal((count, 3))
    ways /= np.sqrt((ways**2).sum(1, keepdims=True))
    radius = 1 + 0.2 * np.sin(5 * ways[:, 1]) * np.sin(3 * ways[:, 2])
    return np.ascontiguousarray(ways * radius[:, None], dtype=np.float32)


def sweep_points(path):
    return np.ascontiguousarray(np.fromfile(path, "<f4").reshape(-1, 5)[:, :3])


def milliseconds(function, seconds=0.4):
    """Median over calls of one visit; the first call warms up."""
    function()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begin < seconds and len(times) < 200):
        start = time.perf_counter()
        function()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def fps_peers(points, m):
    sample = fpsample.bucket_fps_kdline_sampling
    peers = {f"fpsample kdline h={h}": lambda h=h: sample(points, m, h=h, start_idx=0) for h in (3, 5, 7, 9)}
    peers["fpsample kdtree"] = lambda: fpsample.bucket_fps_kdtree_sampling(points, m, start_idx=0)
    return peers


def knn_peers(points, centers):
    peers = {}
    for leaf in (16, 32):
        peers[f"pykdtree leaf {leaf}"] = lambda leaf=leaf: KDTree(points, leafsize=leaf).query(centers, NEIGHBORS)
        peers[f"scipy leaf {leaf}"] = lambda leaf=leaf: cKDTree(
            points, leafsize=leaf, balanced_tree=False, compact_nodes=False
        ).query(centers, NEIGHBORS, workers=1)
    return peers


def run_ours(binary, path, n, m):
    repeats = "200" if n <= 8192 else "15"
    return json.loads(subprocess.run([binary, path, str(n), str(m), repeats], check=True, stdout=subprocess.PIPE).stdout)


def inputs(sweep):
    for n, m in SIZES:
        if n != 34688:
            yield f"surface {n} -> {m}", bumpy_sphere(n), m
        elif sweep:
            yield f"lidar sweep {n} -> {m}", sweep_points(sweep), m
        else:
            print("skipped: no LiDAR sweep (JEPA3D_TEST_DATA or --sweep)", file=sys.stderr)


def compare(binary, name, points, m, rounds):
    centers = points[fpsample.bucket_fps_kdline_sampling(points, m, h=5, start_idx=0).astype(np.int64)]
    peers = {("fps", k): f for k, f in fps_peers(points, m).items()}
    peers |= {("knn", k): f for k, f in knn_peers(points, np.ascontiguousarray(centers)).items()}
    ours, theirs = [], {key: [] for key in peers}
    with tempfile.NamedTemporaryFile(suffix=".f32") as file:
        points.tofile(file.name)
        for _ in range(rounds):
            ours.append(run_ours(binary, file.name, len(points), m))
            for key, function in peers.items():
                theirs[key].append(milliseconds(function))
    best = {}
    for kind in ("fps", "knn"):
        medians = {key[1]: statistics.median(v) for key, v in theirs.items() if key[0] == kind}
        best[kind] = min(medians.items(), key=lambda item: item[1])
    mine = {kind: statistics.median(o[f"{kind}_ms"] for o in ours) for kind in ("fps", "knn", "both")}
    best["both"] = ("both", best["fps"][1] + best["knn"][1])
    print_line(f"FPS {name}", mine["fps"], *best["fps"])
    print_line(f"kNN-32 {name}", mine["knn"], *best["knn"])
    print_line(f"FPS + kNN-32 {name}", mine["both"], *best["both"])
    print_line(f"kNN-32 against kiddo {name}", mine["knn"], "kiddo", statistics.median(o["kiddo_knn_ms"] for o in ours))


def print_line(case, ours, peer_name, peer):
    print(json.dumps({
        "case": case, "ours": round(ours, 4), "peer": round(peer, 4), "unit": "ms",
        "ratio": round(peer / ours, 2), "peer_name": peer_name,
    }), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=5)
    found = sorted(glob.glob(os.path.join(os.environ.get("JEPA3D_TEST_DATA", "."),
                                          "nuscenes/samples/LIDAR_TOP/*.pcd.bin")))
    parser.add_argument("--sweep", default=found[0] if found else None)
    args = parser.parse_args()
    for name, points, m in inputs(args.sweep):
        compare(args.binary, name, points, m, args.rounds)


if __name__ == "__main__":
    main()
