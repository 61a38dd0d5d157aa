"""`fps` and `knn` against fpsample, pykdtree and brute force in torch, in turns, on batches [32, 1024, 3].

One JSON line a comparison; ratio above 1: ours is faster. A peer that is not installed is named and left out.

    python benches/geometry.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np
import torch

import jepa3d

B, N, G, K = 32, 1024, 64, 32


def torch_fps(xyz: torch.Tensor, k: int) -> torch.Tensor:
    """The loop that point cloud code uses where no extension is built."""
    rows = torch.arange(len(xyz))
    chosen = torch.zeros(len(xyz), k, dtype=torch.int64)
    near = torch.full(xyz.shape[:2], torch.inf)
    last = torch.zeros(len(xyz), dtype=torch.int64)
    for i in range(k):
        chosen[:, i] = last
        near = torch.minimum(near, ((xyz - xyz[rows, last][:, None]) ** 2).sum(-1))
        last = near.argmax(1)
    return chosen


def torch_knn(queries: torch.Tensor, xyz: torch.Tensor, k: int) -> torch.Tensor:
    return torch.cdist(queries, xyz).topk(k, largest=False).indices


def time_once(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def make_cases(xyz: np.ndarray, queries: np.ndarray) -> dict:
    tensor, asked = torch.from_numpy(xyz), torch.from_numpy(queries)
    cases = {
        "fps": {"ours": lambda: jepa3d.fps(xyz, G, start=0), "torch brute force": lambda: torch_fps(tensor, G)},
        "knn": {"ours": lambda: jepa3d.knn(queries, xyz, K), "torch brute force": lambda: torch_knn(asked, tensor, K)},
    }
    try:
        import fpsample

        for name in ("fps_sampling", "bucket_fps_kdline_sampling", "bucket_fps_kdtree_sampling"):
            sample = getattr(fpsample, name)
            extra = (3,) if "kdline" in name else ()
            cases["fps"][f"fpsample.{name}"] = lambda sample=sample, extra=extra: [
                sample(cloud, G, *extra, start_idx=0) for cloud in xyz
            ]
    except ImportError:
        print("fpsample: left out: not installed", file=sys.stderr)
    try:
        from pykdtree.kdtree import KDTree

        cases["knn"]["pykdtree"] = lambda: [KDTree(cloud).query(q, K) for cloud, q in zip(xyz, queries)]
    except ImportError:
        print("pykdtree: left out: not installed", file=sys.stderr)
    return cases


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=9)
    rounds = arguments.parse_args().rounds
    rng = np.random.default_rng(0)
    # Points on surfaces, as clouds are: spheres of different axes.
    xyz = rng.standard_normal((B, N, 3)).astype(np.float32)
    xyz /= np.linalg.norm(xyz, axis=-1, keepdims=True)
    xyz *= rng.uniform(0.3, 1.0, (B, 1, 3)).astype(np.float32)
    centers = jepa3d.fps(xyz, G, start=0)
    queries = xyz[np.arange(B)[:, None], centers]
    print(f"[{B}, {N}, 3], {G} farthest points, {K} neighbours of each, torch on {torch.get_num_threads()} threads", file=sys.stderr)
    for case, subjects in make_cases(xyz, queries).items():
        times: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(rounds + 1):
            for name, call in subjects.items():
                times[name].append(time_once(call))
        medians = {name: 1e3 * statistics.median(found[1:]) for name, found in times.items()}
        own = medians.pop("ours")
        for name, peer in medians.items():
            line = {"case": f"{case} [{B}, {N}, 3]", "ours": round(own, 3), "peer": round(peer, 3), "peer_name": name}
            print(json.dumps({**line, "unit": "ms", "ratio": round(peer / own, 2)}), flush=True)


if __name__ == "__main__":
    main()
