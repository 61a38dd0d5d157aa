"""One store of prepared groupings, read in shuffled epochs into ready batches by Python's usual means.

Usage: loader_peer.py PREPARED/points STORE --work DIR [--epochs 5]
Needs: pip install numpy torch pyarrow, for mds and mds_map mosaicml-streaming, for webdataset webdataset
Reads: Parquet files of jepa3d: points [1024, 3], R = 4 groupings of 64 centers and 32 neighbours. All stores but `parquet` are
       first written from them (not timed).
STORE: parquet     the files as they are: row groups in random order, a shuffle buffer of 1,024, as many threads decoding
                   ahead as there are workers
       mds         MosaicML streaming, shuffled by its own order; with everything fetched in advance, because its default
                   throttles data that is local already
       mds_map     the same files by random access
       webdataset  tar files of one raw member a sample: order of the files, then a buffer of 1,000
       memmap      uncompressed arrays, memory-mapped, shuffled globally: what a format has to justify itself to
In the time: everything between two batches taken: one of R groupings a sample, patches gathered and centered, batches of 128,
       the last incomplete one dropped; whole epochs after one warming epoch, the median epoch.
Prints one JSON object: samples_per_s with the best of 0, 1 and 2 workers, and processor_us a sample with none.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import concurrent.futures
import json
import shutil
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

BATCH, POINTS, GROUPINGS, CENTERS, NEIGHBORS = 128, 1024, 4, 64, 32
SHAPES = {"points": (POINTS, 3), "center_indices": (GROUPINGS, CENTERS), "patch_indices": (GROUPINGS, CENTERS, NEIGHBORS)}
# How a raw member of a tar file is cut into arrays.
LAYOUT = [(np.dtype(np.float32 if name == "points" else np.uint16), int(np.prod(shape)), shape) for name, shape in SHAPES.items()]
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def gather(points, rows, centers, patches):
    """Patches [B, 64, 32, 3] minus their centers, and centers [B, 64, 3]: the b-th indices are into the cloud `rows[b]`.

    Points are read from where they lie; clouds are not copied into the order of the batch first.
    """
    batch = len(rows)
    flat = torch.from_numpy(points).view(-1, 3)
    first = torch.from_numpy(rows.astype(np.int64)).mul_(POINTS).view(batch, 1)
    at = lambda indices: (torch.from_numpy(indices.astype(np.int64)).view(batch, -1) + first).view(-1)
    found = flat.index_select(0, at(centers)).view(batch, CENTERS, 3)
    near = flat.index_select(0, at(patches)).view(batch, CENTERS, NEIGHBORS, 3)
    return near.sub_(found.unsqueeze(2)), found


def stacked(samples):
    """A batch from samples (points, centers, patches), each with a grouping chosen."""
    points, centers, patches = (np.stack(column) for column in zip(*samples))
    return gather(points, np.arange(len(samples)), centers, patches)


def choose(points, centers, patches):
    grouping = np.random.randint(GROUPINGS)
    return points, centers[grouping], patches[grouping]


def columns(table):
    """The three columns of a Parquet table as arrays; lists all have one length."""
    def array(name):
        values = table.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(table), *SHAPES[name])

    return tuple(map(array, SHAPES))


def torch_loader(data, workers, **options):
    """A DataLoader whose workers stay, with four batches ahead each."""
    if workers:
        options |= {"persistent_workers": True, "prefetch_factor": 4}
    return DataLoader(data, num_workers=workers, **options)


class Parquet:
    """Row groups, decoded ahead by threads, through a buffer of 1,024 rows."""

    def __init__(self, folder, threads):
        files = [pyarrow.parquet.ParquetFile(path) for path in sorted(folder.glob("*.parquet"))]
        self.parts = [(file, group) for file in files for group in range(file.num_row_groups)]
        self.threads = threads

    def decode(self, part):
        file, group = part
        points, centers, patches = columns(file.read_row_group(group, columns=list(SHAPES), use_threads=False))
        rows, chosen = np.arange(len(points)), np.random.randint(GROUPINGS, size=len(points))
        return points, centers[rows, chosen], patches[rows, chosen]

    def decoded(self):
        order = [self.parts[i] for i in np.random.permutation(len(self.parts))]
        if not self.threads:
            yield from map(self.decode, order)
            return
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            ahead = []
            for part in order:
                ahead.append(pool.submit(self.decode, part))
                if len(ahead) > 2 * self.threads:
                    yield ahead.pop(0).result()
            for future in ahead:
                yield future.result()

    def __iter__(self):
        parts, rows = [], 0
        for part in self.decoded():
            parts.append(part)
            rows += len(part[0])
            if rows >= 1024:
                parts = [(yield from self.batches(parts))]
                rows = len(parts[0][0])
        yield from self.batches(parts)

    @staticmethod
    def batches(parts):
        """Whole batches of all parts, shuffled; what is left goes into the next buffer."""
        points, centers, patches = map(np.concatenate, zip(*parts))
        order = np.random.permutation(len(points))
        whole = len(order) - len(order) % BATCH
        for i in range(0, whole, BATCH):
            rows = order[i : i + BATCH]
            yield gather(points, rows, centers[rows], patches[rows])
        rest = order[whole:]
        return points[rest], centers[rest], patches[rest]


def write_mds(data, folder):
    from streaming import MDSWriter

    kinds = {"points": "float32", "center_indices": "uint16", "patch_indices": "uint16"}
    fields = {name: f"ndarray:{kind}:{','.join(map(str, SHAPES[name]))}" for name, kind in kinds.items()}
    with MDSWriter(out=str(folder), columns=fields, compression="zstd:3", size_limit=1 << 24) as writer:
        for row in zip(*data):
            writer.write(dict(zip(SHAPES, row)))


def mds(folder, workers, count):
    from streaming import StreamingDataset

    class Rows(StreamingDataset):
        def __getitem__(self, i):
            row = super().__getitem__(i)
            return choose(*(row[name] for name in SHAPES))

    rows = Rows(local=str(folder), shuffle=True, batch_size=BATCH, predownload=2 * count)
    return torch_loader(rows, workers, batch_size=BATCH, collate_fn=stacked, drop_last=True)


class MdsRows(Dataset):
    """Random access; every file is unpacked here, before workers inherit the reader."""

    def __init__(self, folder):
        from streaming import StreamingDataset

        self.reader = StreamingDataset(local=str(folder), batch_size=BATCH)
        for i in range(0, len(self.reader), 32):
            self.reader[i]

    def __len__(self):
        return len(self.reader)

    def __getitem__(self, i):
        row = self.reader[i]
        return choose(*(row[name] for name in SHAPES))


def mds_map(folder, workers, _count):
    return torch_loader(MdsRows(folder), workers, batch_size=BATCH, shuffle=True, collate_fn=stacked, drop_last=True)


def write_webdataset(data, folder):
    import webdataset

    with webdataset.ShardWriter(str(folder / "%05d.tar"), maxcount=250, verbose=0) as writer:
        for i, row in enumerate(zip(*data)):
            writer.write({"__key__": f"{i:06d}", "bin": b"".join(array.tobytes() for array in row)})


def parse(member):
    body, at, arrays = member["bin"], 0, []
    for kind, count, shape in LAYOUT:
        arrays.append(np.frombuffer(body, kind, count, at).reshape(shape))
        at += count * kind.itemsize
    return choose(*arrays)


def webdataset_loader(folder, workers, _count):
    import webdataset

    files = [str(path) for path in sorted(folder.glob("*.tar"))]
    data = webdataset.WebDataset(files, shardshuffle=len(files), nodesplitter=None, empty_check=False)
    data = data.shuffle(1000).map(parse).batched(BATCH, collation_fn=stacked, partial=False)
    return torch_loader(data, workers, batch_size=None)


def write_memmap(data, folder):
    for name, array in zip(SHAPES, data):
        np.save(folder / f"{name}.npy", array)


class MappedBatches(Dataset):
    """Item = the rows of a batch."""

    def __init__(self, folder):
        self.arrays = [np.load(folder / f"{name}.npy", mmap_mode="c") for name in SHAPES]

    def __getitem__(self, rows):
        points, centers, patches = self.arrays
        chosen = np.random.randint(GROUPINGS, size=len(rows))
        return gather(points, np.asarray(rows), centers[rows, chosen], patches[rows, chosen])


def memmap(folder, workers, count):
    order = BatchSampler(RandomSampler(range(count)), BATCH, drop_last=True)
    return torch_loader(MappedBatches(folder), workers, sampler=order, batch_size=None)


# How a store is written, and how its epochs are opened.
STORES = {
    "parquet": (None, lambda folder, workers, _count: Parquet(folder, workers)),
    "mds": (write_mds, mds),
    "mds_map": (write_mds, mds_map),
    "webdataset": (write_webdataset, webdataset_loader),
    "memmap": (write_memmap, memmap),
}


def run_epochs(loader, epochs):
    """Samples per second of the median epoch and processor microseconds a sample, after one warming epoch."""
    rates, samples, processor = [], 0, 0.0
    for epoch in range(epochs + 1):
        seen, start, start_processor = 0, time.perf_counter(), time.process_time()
        for patches, _ in loader:
            assert patches.shape[1:] == (CENTERS, NEIGHBORS, 3) and patches.is_contiguous()
            seen += len(patches)
        if epoch:
            rates.append(seen / (time.perf_counter() - start))
            processor += time.process_time() - start_processor
            samples += seen
    return statistics.median(rates), 1e6 * processor / samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("store", choices=tuple(STORES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.store.startswith("mds"):
        from streaming.base.util import clean_stale_shared_memory

        clean_stale_shared_memory()  # what an earlier run left stops this one
    write, start = STORES[args.store]
    folder, count = args.prepared, sum(
        pyarrow.parquet.read_metadata(path).num_rows for path in args.prepared.glob("*.parquet"))
    if write:
        folder = args.work / args.store
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        points, *indices = columns(pyarrow.parquet.read_table(args.prepared, columns=list(SHAPES)))
        write((points, *(array.astype(np.uint16) for array in indices)), folder)
    found = {workers: run_epochs(start(folder, workers, count), args.epochs) for workers in (0, 1, 2)}
    best = max(found, key=lambda workers: found[workers][0])
    print(json.dumps({"samples_per_s": found[best][0], "workers": best, "processor_us": found[0][1]}))


if __name__ == "__main__":
    main()
