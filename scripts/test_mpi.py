#!/usr/bin/env python3
"""Trains with mpirun: the same bits on 1, 2 and 4 processes, a run continued by fewer, one killed, one that hangs.

    scripts/test_mpi.py BINARY OUT

BINARY was built with the feature mpi. Prints what each check took; exits with 1 if one fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

# Everyone must have ended so soon after one has died or hangs.
MOST_SECONDS = 30
PRESETS = ["3d-jepa-small", "point-jepa-small"]
STEPS = 50
SETS = ["parts=4", "monitor.print_every=10", "run.checkpoint_every=10", "monitor.probe_every=1000", "monitor.subset=32"]


def command(binary, preset, data, out, sets=(), processes=1):
    launch = [] if processes == 1 else [
        "mpirun", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "-n", str(processes)]
    arguments = [binary, "pretrain", preset, "--data", data, "--out", out, "--resume", "--threads", "1"]
    for text in [*SETS, *sets]:
        arguments += ["--set", text]
    return [str(part) for part in [*launch, *arguments]]


def run(*arguments, **named):
    started = time.monotonic()
    done = subprocess.run(command(*arguments, **named), stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started, done.stderr


def result(out):
    """Bytes of the checkpoint, and the record without timings."""
    timings = {"samples_per_s", "data_ms", "step_ms", "crc32c"}
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    record = [{key: value for key, value in line.items() if key not in timings} for line in lines]
    return (out / "last.safetensors").read_bytes(), record


def children(parent):
    """Processes below a process, as /proc tells them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[1]) == parent:
            found += [int(entry.name), *children(int(entry.name))]
    return found


def ranks_of(launcher, binary):
    """The processes of a run by rank."""
    ranks = {}
    for process in children(launcher.pid):
        try:
            if os.readlink(f"/proc/{process}/exe") != str(binary):
                continue
            environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        values = dict(entry.split(b"=", 1) for entry in environment if b"=" in entry)
        ranks[int(values[b"OMPI_COMM_WORLD_RANK"])] = process
    return ranks


def wait_for(is_there, what, seconds=120):
    end = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def lose(binary, data, out, how):
    """Starts four processes, hurts one after the first checkpoint, and waits for the end of all."""
    asked = command(binary, PRESETS[0], data, out, ["run.max_steps=100000"], processes=4)
    launcher = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    wait_for((out / "last.safetensors").exists, "no checkpoint was written")
    ranks = ranks_of(launcher, binary)
    assert sorted(ranks) == [0, 1, 2, 3], ranks
    started = time.monotonic()
    os.kill(ranks[2], how)
    _, told = launcher.communicate(timeout=2 * MOST_SECONDS)
    seconds = time.monotonic() - started
    gone = lambda: not any(Path(f"/proc/{process}/exe").exists() for process in ranks.values())
    wait_for(gone, "processes are left", 2 * MOST_SECONDS)
    assert launcher.returncode != 0, told
    return seconds, told


def main():
    binary, place = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    data = place / "data"
    subprocess.run([binary, "prepare", "synthetic", "--out", data, "--limit", "256"], check=True, stderr=subprocess.DEVNULL)

    for preset in PRESETS:
        outs = {processes: place / f"{preset}-{processes}" for processes in (1, 2, 4)}
        steps = [f"run.max_steps={STEPS}"]
        took = {n: run(binary, preset, data, out, steps, processes=n)[0] for n, out in outs.items()}
        want = result(outs[1])
        assert len(want[1]) >= STEPS, len(want[1])
        for processes in (2, 4):
            assert result(outs[processes]) == want, f"{preset}: {processes} processes trained something else"
        times = ", ".join(f"{seconds:.1f} s on {n}" for n, seconds in took.items())
        print(f"{preset}: {STEPS} steps have the same bits on 1, 2 and 4 processes ({times})", flush=True)

    pieces = place / "pieces"
    for processes, stop in [(4, 20), (1, 5), (2, 0)]:
        sets = [f"run.max_steps={STEPS}", f"run.stop_after={stop}"]
        run(binary, PRESETS[0], data, pieces, sets, processes=processes)
    assert result(pieces) == result(place / f"{PRESETS[0]}-1"), "a continued run trained something else"
    print("a run begun on 4 processes and continued on 1 and 2 has the same bits", flush=True)

    for name, how, word in [("killed", signal.SIGKILL, "signal 9"), ("stopped", signal.SIGSTOP, "no sign of life")]:
        out = place / name
        seconds, told = lose(binary, data, out, how)
        assert seconds < MOST_SECONDS, f"{name}: {seconds:.0f} s"
        assert word in told, told
        if how == signal.SIGSTOP:
            for rank in (0, 1, 3):
                assert f"process {rank} of 4" in told, told
        before = (out / "last.safetensors").stat().st_mtime
        run(binary, PRESETS[0], data, out, ["run.max_steps=100000", "run.stop_after=3"], processes=2)
        assert (out / "last.safetensors").stat().st_mtime > before
        print(f"one of four {name}: all ended after {seconds:.1f} s, two go on from the checkpoint", flush=True)

    print("test-mpi: everything holds")


if __name__ == "__main__":
    main()
