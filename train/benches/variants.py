"""What a step of each preset costs beside Point-JEPA's, and what caching a teacher's embeddings saves.

Usage: variants.py JEPA3D [--rounds 3] [--steps 60] [--threads N]
Input: 128 objects of the built-in set with 12 views each, embedded by `hog`.
Runs:  every preset in turns, `rounds` times: the small ones `steps` steps of 32 samples, the full-size ones a fifth of that of
       8 samples. The median of all steps but the first quarter of a run counts, by its metrics.jsonl.
Prints one JSON object a line, milliseconds of a step; the peer is Point-JEPA of that size, and for a teacher at every step (two
       views a sample, by its time on one thread) the same preset with cached embeddings. Notes go to standard error.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FAMILIES = ["point-jepa", "point-jepa-region", "3d-jepa", "3d-jepa-l2", "cross-jepa", "cross-jepa-hybrid"]
OBJECTS, VIEWS = 128, 12
SETTINGS = ["monitor.probe_every=0", "monitor.print_every=1000"]


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")


def step_times(run, steps):
    """Milliseconds of the steps of a run after its first quarter."""
    entries = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [entry["step_ms"] for entry in entries if "step_ms" in entry][steps // 4 :]


def measure(args, work, presets, batch, steps):
    """Median milliseconds of a step, by preset."""
    times = {preset: [] for preset in presets}
    for turn in range(args.rounds):
        for preset in presets:
            out = work / f"{preset}-{turn}"
            sets = [*SETTINGS, f"optim.batch={batch}", f"run.max_steps={steps}"]
            threads = ["--threads", args.threads] if args.threads else []
            call(args.jepa3d, "pretrain", preset, "--data", work / "data", "--out", out, *threads,
                 *(word for setting in sets for word in ("--set", setting)))
            times[preset] += step_times(out, steps)
        print(f"batches of {batch}, round {turn} done", file=sys.stderr)
    return {preset: statistics.median(values) for preset, values in times.items()}


def show(case, ours, peer, name):
    print(json.dumps({"case": case, "ours": round(ours, 1), "peer": round(peer, 1), "unit": "ms a step",
                      "ratio": round(peer / ours, 2), "peer_name": name}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jepa3d")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        call(args.jepa3d, "prepare", "synthetic-views", "--out", work / "data", "--set", f"dataset.count={OBJECTS}")
        start = time.perf_counter()
        call(args.jepa3d, "teacher", work / "data", "--teacher", "hog", "--threads", 1)
        view_ms = 1e3 * (time.perf_counter() - start) / (OBJECTS * VIEWS)
        print(f"hog: {view_ms:.2f} ms a view on one thread", file=sys.stderr)
        for suffix, batch, steps in (("-small", 32, args.steps), ("", 8, args.steps // 5)):
            found = measure(args, work, [family + suffix for family in FAMILIES], batch, steps)
            first = FAMILIES[0] + suffix
            for preset, ms in found.items():
                show(f"{preset}, batches of {batch}", ms, found[first], first)
            cached = found["cross-jepa" + suffix]
            show(f"cross-jepa{suffix}, hog at every step", cached + 2 * batch * view_ms, cached, "cached")


if __name__ == "__main__":
    main()
