"""What `--rerun save=F.rrd` adds to a training step: the same run with and without it, in turns.

Usage: rerun.py JEPA3D [--presets P,..] [--rounds 5] [--steps N] [--batch 32] [--threads N]
Input: 128 objects of the built-in set with 12 views each.
Runs:  a small preset on points and one on images, each `rounds` times with and without a recording; which of the two goes
       first alternates. Whole processes are timed, by the clock and by the processor's time of all threads, which other jobs
       of the machine disturb less; a run of SHORT steps beside each is taken off, and with it what beginning and ending costs.
       Unless told otherwise a run has as many steps as take half a minute: what beginning takes differs by more than a
       hundredth of less.
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

STEPS = {"point-jepa-small": 600, "cross-jepa-hybrid-small": 200}
OBJECTS, SHORT = 128, 4
SETTINGS = ["monitor.probe_every=0", "monitor.print_every=1000"]


def call(*command):
    """Milliseconds of a command: by the clock, and of the processor."""
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # noqa: E731
    clock, processor = time.perf_counter(), used()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return {"wall": 1e3 * (time.perf_counter() - clock), "processor": 1e3 * (used() - processor)}


def train(args, work, preset, steps, recording):
    """Times of a run of so many steps."""
    out = Path(tempfile.mkdtemp(dir=work)) / "run"
    # Of so few objects an epoch is a few steps, and a preset would end before.
    sets = [*SETTINGS, f"optim.batch={args.batch}", f"run.max_steps={steps}", f"run.epochs={steps}"]
    words = [word for setting in sets for word in ("--set", setting)]
    words += ["--threads", args.threads] if args.threads else []
    words += ["--rerun", f"save={recording}"] if recording else []
    return call(args.jepa3d, "pretrain", preset, "--data", work / "data", "--out", out, *words)


def measure(args, work, preset):
    """Median milliseconds a step without and with a recording, by kind of time."""
    recording, times, short = work / f"{preset}.rrd", {False: [], True: []}, {False: [], True: []}
    steps = args.steps or STEPS.get(preset, 200)
    for turn in range(args.rounds):
        for is_recorded in (False, True) if turn % 2 else (True, False):
            file = recording if is_recorded else None
            short[is_recorded].append(train(args, work, preset, SHORT, file))
            times[is_recorded].append(train(args, work, preset, SHORT + steps, file))
        print(f"{preset}, round {turn} done", file=sys.stderr)
    print(f"{preset}: a recording of {recording.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    for kind in ("wall", "processor"):
        median = lambda found, way: statistics.median(t[kind] for t in found[way])  # noqa: E731
        plain, recorded = ((median(times, way) - median(short, way)) / steps for way in (False, True))
        print(f"{preset}: beginning and ending adds {median(short, True) - median(short, False):.0f} ms of {kind} time", file=sys.stderr)
        line = {"case": f"{preset}, batches of {args.batch}, {kind} time", "ours": round(recorded, 2), "peer": round(plain, 2)}
        line |= {"unit": "ms a step", "ratio": round(plain / recorded, 3), "peer_name": "without --rerun"}
        print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jepa3d")
    parser.add_argument("--presets", default=",".join(STEPS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        call(args.jepa3d, "prepare", "synthetic-views", "--out", work / "data", "--set", f"dataset.count={OBJECTS}")
        for preset in args.presets.split(","):
            measure(args, work, preset)


if __name__ == "__main__":
    main()
