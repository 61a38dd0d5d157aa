"""`Loader` against other data loaders of Python, and against the Rust loader, in turns, on the same content.

Every one gives batches of patches, centers and labels as torch tensors in a shuffled order that differs from epoch to epoch; the
peers read shards that hold the finished float32 arrays, in the form that each writes itself. One JSON line a comparison; ratio
above 1: ours is faster. A peer that is not installed is named and left out.

    python benches/loaders.py PREPARED [--rust PROGRAM] [--batch 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import jepa3d

COLUMNS = ["points", "center_indices", "patch_indices", "label"]


def rows(prepared: str):
    """The canonical patches of every sample."""
    for row in jepa3d.Dataset(prepared, columns=COLUMNS):
        points = row["points"]
        centers = points[row["center_indices"][0]]
        patches = points[row["patch_indices"][0]] - centers[:, None]
        yield {"patches": patches, "centers": centers, "labels": int(row["label"])}


def consume(batches) -> int:
    """Samples of an epoch; every value of a batch must be there."""
    count = 0
    for batch in batches:
        count += len(batch["labels"])
        batch["patches"].view(-1)[-1].item()
    return count


#: Samples of the shuffle buffer: all of a set, which stays decoded in memory, as is the default for one of this size; or so
#: few that every epoch decodes every shard anew.
BUFFERS = {"held": 65_536, "streamed": 1024}


class Ours:
    def __init__(self, prepared: str, batch: int, threads: int, way: str) -> None:
        shape = jepa3d.Dataset(prepared).manifest["shape"]
        letters = (shape["G"], shape["K"])
        self.loader = jepa3d.Loader(prepared, batch=batch, patches=letters, threads=threads, shuffle_buffer=BUFFERS[way])

    def epoch(self) -> int:
        return consume(self.loader)


class Streaming:
    name = "mosaicml-streaming"

    def __init__(self, prepared: str, folder: str, batch: int, threads: int) -> None:
        import streaming
        from torch.utils.data import DataLoader

        example = next(rows(prepared))
        of = lambda name: "x".join(map(str, example[name].shape))  # noqa: E731
        columns = {
            "patches": f"ndarray:float32:{of('patches').replace('x', ',')}",
            "centers": f"ndarray:float32:{of('centers').replace('x', ',')}",
            "labels": "int",
        }
        with streaming.MDSWriter(out=folder, columns=columns) as out:
            for row in rows(prepared):
                out.write(row)
        dataset = streaming.StreamingDataset(local=folder, shuffle=True, batch_size=batch)
        self.loader = DataLoader(dataset, batch_size=batch, num_workers=threads, drop_last=True, persistent_workers=threads > 0)

    def epoch(self) -> int:
        return consume(self.loader)


class LitData:
    name = "litdata"

    def __init__(self, prepared: str, folder: str, batch: int, threads: int) -> None:
        import litdata
        from litdata.streaming.writer import BinaryWriter

        writer = BinaryWriter(folder, chunk_bytes="64MB")
        for i, row in enumerate(rows(prepared)):
            writer.add_item(i, {name: torch.from_numpy(v) if name != "labels" else v for name, v in row.items()})
        writer.done()
        writer.merge()
        dataset = litdata.StreamingDataset(folder, shuffle=True, drop_last=True)
        self.loader = litdata.StreamingDataLoader(dataset, batch_size=batch, num_workers=threads, persistent_workers=threads > 0)

    def epoch(self) -> int:
        return consume(self.loader)


class HuggingFace:
    name = "datasets"

    def __init__(self, prepared: str, folder: str, batch: int, threads: int) -> None:
        import datasets
        from torch.utils.data import DataLoader

        example = next(rows(prepared))
        shape = lambda name: example[name].shape  # noqa: E731
        features = datasets.Features(
            patches=datasets.Array3D(shape("patches"), "float32"),
            centers=datasets.Array2D(shape("centers"), "float32"),
            labels=datasets.Value("int64"),
        )
        flat = lambda: rows(prepared)  # noqa: E731
        made = datasets.Dataset.from_generator(flat, features=features, cache_dir=folder)
        made = made.with_format("torch")
        self.loader = DataLoader(made, batch_size=batch, shuffle=True, num_workers=threads, drop_last=True, persistent_workers=threads > 0)

    def epoch(self) -> int:
        return consume(self.loader)


class WebDataset:
    name = "webdataset"

    def __init__(self, prepared: str, folder: str, batch: int, threads: int) -> None:
        import webdataset
        from torch.utils.data import DataLoader

        def encode(values: np.ndarray) -> bytes:
            out = io.BytesIO()
            np.save(out, values)
            return out.getvalue()

        with webdataset.ShardWriter(f"{folder}/%04d.tar", maxcount=512, verbose=0) as out:
            for i, row in enumerate(rows(prepared)):
                parts = {"patches.npy": encode(row["patches"]), "centers.npy": encode(row["centers"])}
                out.write({"__key__": f"{i:07}", **parts, "label.cls": row["labels"]})
        shards = sorted(str(path) for path in Path(folder).glob("*.tar"))
        load = lambda data: np.load(io.BytesIO(data))  # noqa: E731
        pipeline = (
            webdataset.WebDataset(shards, shardshuffle=len(shards), nodesplitter=None)
            .shuffle(1000)
            .to_tuple("patches.npy", "centers.npy", "label.cls")
            .map_tuple(load, load, int)
            .batched(batch, partial=False, collation_fn=self.collate)
        )
        self.loader = DataLoader(pipeline, batch_size=None, num_workers=threads, persistent_workers=threads > 0)

    @staticmethod
    def collate(samples):
        patches, centers, labels = zip(*samples)
        return {
            "patches": torch.from_numpy(np.stack(patches)),
            "centers": torch.from_numpy(np.stack(centers)),
            "labels": torch.tensor(labels),
        }

    def epoch(self) -> int:
        return consume(self.loader)


def rust_rate(program: str, prepared: str, *numbers: int) -> float:
    """Samples a second of the Rust loader alone, as its own program measures them."""
    arguments = [program, prepared, *map(str, numbers), "20"]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def measure(subject) -> float:
    """Samples a second: the median of whole epochs over half a second at least, for a fast one is over in milliseconds."""
    rates, end = [], time.perf_counter() + 0.5
    while not rates or time.perf_counter() < end:
        start = time.perf_counter()
        count = subject.epoch()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def make_peers(prepared: str, folder: str, batch: int, threads: list[int]) -> list:
    peers = []
    for kind in (Streaming, LitData, HuggingFace, WebDataset):
        for count in threads:
            place = os.path.join(folder, f"{kind.name}-{count}")
            os.makedirs(place)
            try:
                peer = kind(prepared, place, batch, count)
                peer.epoch()
            except Exception as error:
                print(f"{kind.name}, {count} workers: left out: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            peer.label = f"{kind.name}, {count} workers"
            peers.append(peer)
    return peers


def cpu() -> str:
    try:
        names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor()


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("prepared")
    arguments.add_argument("--rust")
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    threads = len(os.sched_getaffinity(0))
    folder = tempfile.mkdtemp()
    try:
        ours = {way: Ours(options.prepared, options.batch, threads, way) for way in BUFFERS}
        peers = make_peers(options.prepared, folder, options.batch, [0, threads])
        for own in ours.values():
            own.epoch()
        rates: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for way, own in ours.items():
                rates.setdefault(way, []).append(measure(own))
                if options.rust:
                    found = rust_rate(options.rust, options.prepared, options.batch, threads, BUFFERS[way])
                    rates.setdefault(f"Rust loader, {way}", []).append(found)
            for peer in peers:
                rates.setdefault(peer.label, []).append(measure(peer))
        print(f"{cpu()}, {threads} threads, torch {torch.__version__}", file=sys.stderr)
        medians = {name: statistics.median(found) for name, found in rates.items()}
        for way in BUFFERS:
            own = medians[way]
            for name, peer in medians.items():
                if name in BUFFERS or (name.startswith("Rust loader") and not name.endswith(way)):
                    continue
                line = {"case": f"Loader, {way}", "ours": round(own), "peer": round(peer), "peer_name": name}
                print(json.dumps({**line, "unit": "samples/s", "ratio": round(own / peer, 2)}), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
