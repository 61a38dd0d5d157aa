"""Shuffled epochs into ready batches: the loader against Python's, in turns on the same content.

Usage: loader_peers.py JEPA3D BENCH --data TEST_DATA [--peer peer_stream.py] [--rounds 3] [--epochs 5]
Needs: the peer script and its packages (numpy torch pyarrow mosaicml-streaming webdataset); found at
       TEST_DATA/../peers/peer_stream.py unless --peer names it.
Content: the 3,991 ModelNet10 clouds, N = 1024, R = 4, G = 64, K = 32, prepared by JEPA3D; the peers read its Parquet files
         or write their formats from them (not timed).
In the time: everything between two batches taken: reading (page cache warm), decoding, shuffling, one of R groupings a
         sample, gathering and centering. Batches of 128, the last incomplete one dropped; whole epochs after
         one warming epoch, the median epoch of a run, the median of the rounds. Each peer counts with its best of 0, 1, 2 workers.
Ours: `streamed` = a shuffle buffer of 1,024, every row group decoded in every epoch, as Parquet peers do;
      `held` = a buffer that holds the set: decoded once, then gathered from memory, as memory-mapped arrays are.
Prints one JSON object a line, samples per second, ratio = ours / peer; notes go to standard error.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

SETS = ["cloud.points=1024", "groups.points=1024", "groups.centers=64", "groups.neighbors=32", "groups.groupings=4"]
CASES = [(name, buffer, threads) for name, buffer in (("streamed", 1024), ("held", 4096)) for threads in (1, 2)]
# Compressed stores, the best of which is the bar, and the memory-mapped arrays.
STORES = ["parquet", "mds", "mds_map", "wds_raw"]
ARRAYS = "memmap"


def prepare(binary, data, out):
    command = [binary, "prepare", "configs/prepare/modelnet.toml", "--data", data, "--out", out, "--json"]
    command += [word for s in SETS for word in ("--set", s)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["objects"]


def ours(bench, folder, buffer, threads, epochs):
    command = [bench, folder, "--buffer", str(buffer), "--threads", str(threads), "--epochs", str(epochs)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["samples_per_s"]


def peer(script, folder, name, work, epochs):
    """Samples per second with the best number of workers, None if it does not run here."""
    command = [sys.executable, script, os.path.join(folder, "points"), "--work", work, "--formats", name,
               "--epochs", str(epochs)]
    # The datasets of MosaicML leave shared memory behind that stops the next run.
    subprocess.run([sys.executable, "-c", "from streaming.base.util import clean_stale_shared_memory as c; c()"],
                   capture_output=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])["formats"][name]["best_samples_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("bench")
    parser.add_argument("--data", required=True)
    parser.add_argument("--peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--work", help="folder for the files; default: a temporary one")
    args = parser.parse_args()
    script = args.peer or os.path.join(args.data, "..", "peers", "peer_stream.py")
    clouds = os.path.join(args.data, "modelnet10")
    for path in (script, clouds):
        if not os.path.exists(path):
            sys.exit(f"{path}: not there; name the peer with --peer and the data with --data")
    work = tempfile.mkdtemp(prefix="bench-loader-", dir=args.work)
    rates = {}
    try:
        folder = os.path.join(work, "prepared")
        print(f"prepared {prepare(args.binary, clouds, folder)} clouds", file=sys.stderr)
        for i in range(args.rounds):
            for name, buffer, threads in CASES:
                rates.setdefault((name, threads), []).append(ours(args.bench, folder, buffer, threads, args.epochs))
            for name in (*STORES, ARRAYS):
                rate = peer(script, folder, name, os.path.join(work, "peers"), args.epochs)
                rates.setdefault(name, []).extend([] if rate is None else [rate])
            print(f"round {i}: " + ", ".join(f"{k}: {v[-1]:.0f}" for k, v in rates.items() if v), file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    medians = {key: statistics.median(values) for key, values in rates.items() if values}
    best = max((name for name in STORES if name in medians), key=medians.get, default=None)
    for name, _, threads in CASES:
        for peers in (best, ARRAYS):
            if peers in medians:
                mine, theirs = medians[name, threads], medians[peers]
                print(json.dumps({"case": f"load {name}, {threads} threads, against {peers}", "ours": round(mine),
                                  "peer": round(theirs), "unit": "samples/s", "ratio": round(mine / theirs, 2)}))


if __name__ == "__main__":
    main()
