"""Whole preparations, ours against a Python pipeline, in turns on the same input.

Usage: prepare_peers.py JEPA3D --data TEST_DATA [--peer peer_prepare.py] [--rounds 5] [--threads 2]
Needs: the peer script and its packages (numpy pyarrow fpsample pykdtree trimesh open3d); found at
       TEST_DATA/../peers/peer_prepare.py unless --peer names it.
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

CASES = {
    "clouds": dict(folder="modelnet10", kind="pcd",
                   sets=["cloud.points=1024", "shards.rows=256", "shards.row_group=128"]),
    "meshes": dict(folder="shapedb", kind="mesh",
                   sets=["cloud.points=8192", "shards.rows=64", "shards.row_group=64"]),
}


def ours(binary, case, data, work, threads):
    out = os.path.join(work, "ours")
    shutil.rmtree(out, ignore_errors=True)
    sets = [word for s in ['dataset.kind="folder"', *case["sets"]] for word in ("--set", s)]
    command = [binary, "prepare", "--data", data, "--out", out, "--threads", str(threads), "--json", *sets]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result["objects"] / result["seconds"]


def peer(script, case, data, work, threads):
    command = [sys.executable, script, case["kind"], data, "--out", os.path.join(work, "peer"),
               "--repeat", "1", "--workers", str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["objects_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--data", required=True)
    parser.add_argument("--peer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help="folder for the outputs; default: a temporary one")
    args = parser.parse_args()
    script = args.peer or os.path.join(args.data, "..", "peers", "peer_prepare.py")
    if not os.path.isfile(script):
        sys.exit(f"{script}: no peer to compare with; name one with --peer")
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
                rates["peer"].append(peer(script, case, data, work, args.threads))
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
