"""Shuffled epochs into ready batches: the loader against Python's, in turns on the same content.

Usage: loader_peers.py JEPA3D BENCH --data TEST_DATA [--rounds 3] [--epochs 5]
Needs: the packages of loader_peer.py (numpy torch pyarrow mosaicml-streaming webdataset), which says what each store is.
Content: the 3,991 ModelNet10 clouds, N = 1024, R = 4, G = 64, K = 32, prepared by JEPA3D; the peers read its Parquet files
         or write their formats from them (not timed).
In the time: everything between two batches taken: reading (page cache warm), decoding, shuffling, one of R groupings a
         sample, gathering and centering. Batches of 128, the last incomplete one dropped; whole epochs after
         one warming epoch, the median epoch of a run, the median of the rounds. Each peer counts with its best of 0, 1, 2 workers.
Ours: `streamed` = a shuffle buffer of 1,024, every row group decoded in every epoch, as Parquet peers do;
      `held` = a buffer that holds the set: decoded once, then gathered from memory, as memory-mapped arrays are.
Prints one JSON object a line, notes go to standard error: samples per second (ratio = ours / peer), and processor
time a sample (ratio = peer / ours), which other programs on the machine disturb less: ours with one thread, the peer's
with 0 workers, which costs it least.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "loader_peer.py")
SETS = ["cloud.points=1024", "groups.points=1024", "groups.centers=64", "groups.neighbors=32", "groups.groupings=4"]
CASES = [(name, buffer, threads) for name, buffer in (("streamed", 1024), ("held", 4096)) for threads in (1, 2)]
# Compressed stores, the best of which is the bar, and the memory-mapped arrays.
STORES = ["parquet", "mds", "mds_map", "webdataset"]
ARRAYS = "memmap"


def prepare(binary, data, out):
    command = [binary, "prepare", "modelnet", "--data", data, "--out", out, "--json"]
    command += [word for s in SETS for word in ("--set", s)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["objects"]


def ours(bench, folder, buffer, threads, epochs):
    command = [bench, folder, "--buffer", str(buffer), "--threads", str(threads), "--epochs", str(epochs)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found["samples_per_s"], found["processor_us"]


def peer(folder, store, work, epochs):
    """Samples per second with the best number of workers and processor time a sample, None if it does not run here."""
    command = [sys.executable, PEER, os.path.join(folder, "points"), store, "--work", work, "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{store}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found["samples_per_s"], found["processor_us"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("bench")
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--work", help="folder for the files; default: a temporary one")
    args = parser.parse_args()
    clouds = os.path.join(args.data, "modelnet10")
    if not os.path.exists(clouds):
        sys.exit(f"{clouds}: not there; name the data with --data")
    work = tempfile.mkdtemp(prefix="bench-loader-", dir=args.work)
    rates = {}
    try:
        folder = os.path.join(work, "prepared")
        print(f"prepared {prepare(args.binary, clouds, folder)} clouds", file=sys.stderr)
        for i in range(args.rounds):
            for name, buffer, threads in CASES:
                rates.setdefault((name, threads), []).append(ours(args.bench, folder, buffer, threads, args.epochs))
            for name in (*STORES, ARRAYS):
                found = peer(folder, name, os.path.join(work, "peers"), args.epochs)
                rates.setdefault(name, []).extend([] if found is None else [found])
            print(f"round {i}: " + ", ".join(f"{k}: {v[-1][0]:.0f}/s {v[-1][1]:.1f} us" for k, v in rates.items() if v),
                  file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    compare(rates)


def compare(rates):
    medians = {key: [statistics.median(part) for part in zip(*values)] for key, values in rates.items() if values}
    stores = [name for name in STORES if name in medians]
    fastest = max(stores, key=lambda name: medians[name][0], default=None)
    cheapest = min(stores, key=lambda name: medians[name][1], default=None)
    for name, _, threads in CASES:
        mine = medians[name, threads]
        for other in filter(medians.get, (fastest, ARRAYS)):
            case = f"load {name}, {threads} thread{'s' if threads > 1 else ''}, against {other}"
            show(case, mine[0], medians[other][0], "samples/s", mine[0] / medians[other][0])
        for other in filter(medians.get, (cheapest, ARRAYS) if threads == 1 else ()):
            case = f"load {name}, processor time, against {other}"
            show(case, mine[1], medians[other][1], "us/sample", medians[other][1] / mine[1])


def show(case, mine, theirs, unit, ratio):
    print(json.dumps({"case": case, "ours": round(mine, 1), "peer": round(theirs, 1), "unit": unit,
                      "ratio": round(ratio, 2)}), flush=True)


if __name__ == "__main__":
    main()
