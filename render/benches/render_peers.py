"""Views of meshes, ours against Open3D's Embree ray caster, in turns on the same meshes.

Usage: render_peers.py BENCH --data TEST_DATA [--rounds 3] [--meshes 128]
Needs: the bench binary of this crate, meshes in TEST_DATA/shapedb, and pip install numpy open3d
       opencv-python-headless for the peer, render_peer.py beside this file.
Case:  12 views of 224x224 from the same cameras, 8192 surface points, grey, flat, PNG; two threads
       against two processes.
Prints one JSON object a line, milliseconds a mesh, ratio = peer / ours; notes go to standard error. Stage
times of the peer are wall times inside a process: on a busy machine only `whole`, wall on both sides, is fair.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys


def last_line(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--meshes", type=int, default=128)
    args = parser.parse_args()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "render_peer.py")
    folder = os.path.join(args.data, "shapedb")
    if not os.path.isdir(folder):
        sys.exit(f"nothing to compare on: need meshes in {folder}")
    rounds = []
    for i in range(args.rounds):
        ours = last_line([args.bench, "peers", folder, str(args.meshes), "1", "1"])
        theirs = last_line([sys.executable, script, folder, "--limit", str(args.meshes), "--repeat", "1"])
        fine = last_line([args.bench, "peers", folder, str(args.meshes), "2", "1"])
        rounds.append((ours, theirs, fine))
        print(f"round {i}: ours {json.dumps(ours)}\n         peer {json.dumps(theirs)}", file=sys.stderr)
    middle = lambda value: statistics.median(value(*r) for r in rounds)
    stages = lambda *names: lambda _o, t, _f: sum(t["stage_ms_mean"][n] for n in names)
    cases = [
        ("geometry: depth and ids", lambda o, _t, _f: o["geometry_wall_ms"], stages("geometry")),
        ("visible points, exact", lambda o, _t, _f: o["visibility_wall_ms"], stages("visible")),
        ("whole, wall", lambda o, _t, _f: o["wall_ms_per_mesh"], lambda _o, t, _f: t["wall_ms_per_mesh"]),
        ("whole with 16-bit depth PNG, wall", lambda o, _t, _f: o["wall_ms_per_mesh_with_depth_png"],
         lambda _o, t, _f: t["wall_ms_per_mesh"]),
        ("whole, 4 samples a pixel, wall", lambda _o, _t, f: f["wall_ms_per_mesh"],
         lambda _o, t, _f: t["wall_ms_per_mesh"]),
    ]
    for name, mine, peer in cases:
        mine, peer = middle(mine), middle(peer)
        print(json.dumps({"case": f"render {name}", "ours": round(mine, 2), "peer": round(peer, 2),
                          "unit": "ms/mesh", "ratio": round(peer / mine, 2)}), flush=True)
    size = [middle(lambda o, _t, _f: o["png_bytes_per_view"]), middle(lambda _o, t, _f: t["png_bytes_per_view"])]
    print(json.dumps({"case": "image PNG", "ours": size[0], "peer": size[1], "unit": "bytes/view",
                      "ratio": round(size[1] / size[0], 2)}), flush=True)


if __name__ == "__main__":
    main()
