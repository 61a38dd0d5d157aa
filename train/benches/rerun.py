"""What `--rerun save=F.rrd` adds to a training step: the same run with and without it, in turns.

Usage: rerun.py JEPA3D [--rounds 7] [--steps 120] [--batch 32] [--threads N]
Input: 128 objects of the built-in set with 12 views each.
Runs:  the small presets of a method on points and of one on images, each `rounds` times with and without a recording, which
       of the two goes first alternating. Whole processes are timed, the first record and the end of the recording included:
       the wall clock, and the processor's time of all threads, which other jobs of the machine disturb less.
Prints one JSON object a line, milliseconds a step; ratio: without / with, asked at least 0.99. Notes go to standard error.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRESETS = ["point-jepa-small", "cross-jepa-hybrid-small"]
OBJECTS, VIEWS = 128, 12
SETTINGS = ["monitor.probe_every=0", "monitor.print_every=1000"]


def call(*command):
    """Milliseconds of a command: by the clock, and of the processor."""
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # noqa: E731
    clock, processor = time.perf_counter(), used()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return {"wall": 1e3 * (time.perf_counter() - clock), "processor": 1e3 * (used() - processor)}


def measure(args, work, preset):
    """Median milliseconds a step without and with a recording, by kind of time."""
    times = {False: [], True: []}
    for turn in range(args.rounds):
        for is_recorded in (False, True) if turn % 2 else (True, False):
            out = work / f"{preset}-{turn}-{is_recorded}"
            sets = [*SETTINGS, f"optim.batch={args.batch}", f"run.max_steps={args.steps}"]
            words = [word for setting in sets for word in ("--set", setting)]
            words += ["--threads", args.threads] if args.threads else []
            words += ["--rerun", f"save={out}.rrd"] if is_recorded else []
            times[is_recorded].append(call(args.jepa3d, "pretrain", preset, "--data", work / "data", "--out", out, *words))
        print(f"{preset}, round {turn} done", file=sys.stderr)
    size = (work / f"{preset}-{args.rounds - 1}-True.rrd").stat().st_size
    print(f"{preset}: a recording of {size / 1e6:.1f} MB", file=sys.stderr)
    for kind in ("wall", "processor"):
        plain, recorded = (statistics.median(t[kind] for t in times[way]) / args.steps for way in (False, True))
        line = {"case": f"{preset}, batches of {args.batch}, {kind} time", "ours": round(recorded, 2), "peer": round(plain, 2)}
        line |= {"unit": "ms a step", "ratio": round(plain / recorded, 3), "peer_name": "without --rerun"}
        print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jepa3d")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        call(args.jepa3d, "prepare", "synthetic-views", "--out", work / "data", "--set", f"dataset.count={OBJECTS}")
        for preset in PRESETS:
            measure(args, work, preset)


if __name__ == "__main__":
    main()
