"""Whole preparations, ours against a Python pipeline, in turns on the same input.

Usage: prepare_peers.py JEPA3D --data TEST_DATA [--rounds 5] [--threads 2]
Needs: the packages of prepare_peer.py, which says what the pipeline does.
Cases: ModelNet10 clouds (R = 4, N = 1024) and shapedb meshes (S = 8192, N = 1024, R = 4).
Prints one JSON object a line, objects per second, ratio = ours / peer; notes go to standard error.
Both write to the same disk and sync every shard; ours hashes sources and shards as well.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prepare_peer.py")
CASES = {
    "clouds": dict(folder="modelnet10", kind="clouds",
                   sets=["cloud.points=1024", "shards.rows=256", "shards.row_group=128"]),
    "meshes": dict(folder="shapedb", kind="meshes",
                   sets=["cloud.points=8192", "shards.rows=64", "shards.row_group=64"]),
}


def ours(binary, case, data, work, threads):
    out = os.path.join(work, "ours")
    shutil.rmtree(out, ignore_errors=True)
    sets = [word for s in ['dataset.kind="folder"', *case["sets"]] for word in ("--set", s)]
    command = [binary, "prepare", "--data", data, "--out", out, "--threads", str(threads), "--json", *sets]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result["objects"] / result["seconds"]


def peer(case, data, work, threads):
    out = os.path.join(work, "peer")
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, PEER, case["kind"], data, "--out", out, "--workers", str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["objects_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help="folder for the outputs; default: a temporary one")
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="bench-prepare-", dir=args.work)
    try:
        for name, case in CASES.items():
            data = os.path.join(args.data, case["folder"])
            if not os.path.isdir(data):
                print(f"skipped: no {data}", file=sys.stderr)
                continue
            rates = {"ours": [], "peer": []}
            for i in range(args.rounds):
                rates["ours"].append(ours(args.binary, case, data, work, args.threads))
                rates["peer"].append(peer(case, data, work, args.threads))
                print(f"{name} round {i}: {rates['ours'][-1]:.0f} against {rates['peer'][-1]:.0f} objects/s",
                      file=sys.stderr)
            mine, theirs = (statistics.median(rates[side]) for side in ("ours", "peer"))
            print(json.dumps({"case": f"prepare {name}, {args.threads} threads", "ours": round(mine, 1),
                              "peer": round(theirs, 1), "unit": "objects/s", "ratio": round(mine / theirs, 2)}),
                  flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
