"""The parts of check.sh, one after the other; each may fail without ending the rest.

Usage: check.py --work FOLDER --out FOLDER      (check.sh calls it)
Prints what it does to standard error; result.json has every number, result.md the table for docs/gpu.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
STARTED = time.monotonic()
# What is left out when it would take longer than the ten minutes.
LIMIT_S = 600


def say(text):
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


def run(command, limit_s=240, **settings):
    """Standard output, and whether it went well; the end of what was said otherwise."""
    left = LIMIT_S - (time.monotonic() - STARTED)
    if left < 10:
        return None, "left out: the ten minutes are over"
    say(" ".join(map(str, command)))
    try:
        environment = {**os.environ, **settings}
        done = subprocess.run(command, capture_output=True, text=True, timeout=min(limit_s, left), env=environment)
    except subprocess.TimeoutExpired:
        return None, f"longer than {min(limit_s, left):.0f} s"
    if done.returncode != 0:
        return None, (done.stdout + done.stderr)[-1500:]
    return done.stdout + done.stderr, None


class PeakMemory:
    """The most memory in use on the device while something runs, by nvidia-smi."""

    def __init__(self, is_gpu):
        self.most, self.ends, self.is_gpu = 0, threading.Event(), is_gpu
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while not self.ends.wait(0.2):
            found = subprocess.run(query, capture_output=True, text=True)
            if found.returncode == 0:
                self.most = max(self.most, int(found.stdout.split()[0]))

    def __enter__(self):
        if self.is_gpu:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()


def tests(work, is_gpu):
    """The tests of every kernel, and a step of the presets against the CPU."""
    on = {"JEPA3D_TEST_CUDA": "1"} if is_gpu else {}
    cases = [("kernels", [work / "kernels-tests", "cuda::"])]
    cases.append(("steps", [work / "train-tests", *(["--ignored", "cuda"] if is_gpu else ["emulation"]), "--nocapture"]))
    if is_gpu and (work / "nccl-tests").exists():
        cases.append(("NCCL, one process", [work / "nccl-tests", "--ignored", "the_sum_of_one_process"]))
    found = {}
    for name, command in cases:
        out, fault = run(command, **on)
        lines = (out or "").splitlines()
        found[name] = fault or next((line for line in lines if line.startswith("test result")), "no result")
    return found


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if "step_ms" in record]


def ours(work, data, case, device):
    """Median step of a run, without the first steps."""
    name = f"step-{case['batch']}-{case['precision']}"
    command = [work / "jepa3d", "pretrain", case["preset"], "--data", data, "--out", work / name, "--device", device]
    settings = {"optim.batch": case["batch"], "run.max_steps": case["steps"], "monitor.print_every": 1, "monitor.probe_every": 0}
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    if case["precision"] == "bf16":
        command.append("--bf16")
    with PeakMemory(device != "cpu") as memory:
        _, fault = run(command)
    if fault:
        return {"fault": fault}
    found = records(work / name)[case["steps"] // 3 :]
    step, wait = (statistics.median(r[key] for r in found) for key in ("step_ms", "data_ms"))
    rate = 1e3 * case["batch"] / (step + wait)
    return {"step_ms": step, "loader_wait_ms": wait, "samples_per_s": rate, "peak_mib": memory.most}


def peer(case, device, compiled):
    size = case["peer"] + ("-bf16" if case["precision"] == "bf16" else "")
    command = [sys.executable, HERE / "train_peer.py", size, "--batch", case["batch"], "--steps", case["steps"]]
    command += ["--device", "cuda" if device != "cpu" else "cpu", "--threads", os.cpu_count()]
    out, fault = run(list(map(str, command + (["--compile"] if compiled else []))))
    return {"fault": fault} if fault else json.loads([line for line in out.splitlines() if line.startswith("{")][-1])


def ceiling(device):
    """TFLOP/s of a large product, in bf16 and f32."""
    found = {}
    for dtype, size in ((torch.bfloat16, 8192), (torch.float32, 8192)):
        size = size if device != "cpu" else 1024
        where = "cuda" if device != "cpu" else "cpu"
        a, b = (torch.randn(size, size, device=where, dtype=dtype) for _ in range(2))
        wait = torch.cuda.synchronize if device != "cpu" else lambda: None
        times = []
        for _ in range(6):
            begun = time.perf_counter()
            a @ b
            wait()
            times.append(time.perf_counter() - begun)
        found[str(dtype).removeprefix("torch.")] = 2 * size**3 / min(times) / 1e12
    return found


def pretraining(work, data, device, rate, preset):
    """Two minutes of pretraining, and its probe beside random weights."""
    clouds = json.loads((data / "manifest.json").read_text()).get("rows", 0) if (data / "manifest.json").exists() else 0
    batch = 512 if device != "cpu" else 16
    steps = max(8, int(rate * (120 if device != "cpu" else 20) / batch))
    command = [work / "jepa3d", "pretrain", preset, "--data", data, "--out", work / "run", "--device", device]
    settings = {"optim.batch": batch, "run.max_steps": steps, "optim.warmup_epochs": 1, "monitor.probe_every": 0}
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    out, fault = run(command + (["--bf16"] if device != "cpu" else []))
    if fault:
        return {"fault": fault}
    out, fault = run([work / "jepa3d", "probe", work / "run", "--data", data, "--light", "--device", device])
    return {"steps": steps, "batch": batch, "clouds": clouds, "probe": fault or out.strip()}


def table(result):
    lines = [f"## {result['card']}", "", f"Measured {result['date']} by `gpu/check.sh`, in {result['seconds']:.0f} s.", ""]
    lines += ["| what | batch | samples/s | step ms | loader wait ms | peak MiB |", "|---|---|---|---|---|---|"]
    for row in result["steps"]:
        if "fault" in row:
            lines.append(f"| {row['what']} | {row['batch']} | {' '.join(row['fault'].split())[:80]} | | | |")
            continue
        step = row.get("step_ms", 1e3 * row["batch"] / row["samples_per_s"])
        peak = row.get("peak_mib") or row.get("peak_bytes", 0) / 2**20
        wait = f"{row['loader_wait_ms']:.2f}" if "loader_wait_ms" in row else ""
        lines.append(f"| {row['what']} | {row['batch']} | {row['samples_per_s']:.0f} | {step:.1f} | {wait} | {peak:.0f} |")
    lines += ["", f"Products: {', '.join(f'{k} {v:.1f} TFLOP/s' for k, v in result['ceiling'].items())}."]
    lines += [line for name, found in result["tests"].items() for line in ("", f"Tests, {name}: {found}")] + [""]
    probe = result["pretraining"].get("probe", result["pretraining"].get("fault", ""))
    return "\n".join(lines + ["Pretraining:", "", "```text", probe, "```", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    is_gpu = torch.cuda.is_available()
    device = "cuda:0" if is_gpu else "cpu"
    card = torch.cuda.get_device_name(0) if is_gpu else f"no device: the CPU in its place ({os.cpu_count()} threads), small sizes"
    result = {"card": card, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"), "steps": []}
    result["tests"] = tests(args.work, is_gpu)
    data = args.work / "data"
    count = [] if is_gpu else ["--limit", "192"]
    _, fault = run([args.work / "jepa3d", "prepare", "synthetic", "--out", data, *count])
    if fault:
        say(f"no data: {fault}")
    preset, peers = ("point-jepa", "full") if is_gpu else ("point-jepa-small", "small")
    rate = 1.0
    for batch in (128, 512) if is_gpu else (16,):
        for precision in ("f32", "bf16") if is_gpu else ("f32",):
            steps = 30 if is_gpu else 6
            case = {"batch": batch, "precision": precision, "steps": steps, "preset": preset, "peer": peers}
            found = {"jepa3d": ours(args.work, data, case, device), "PyTorch eager": peer(case, device, False)}
            if is_gpu:
                found["PyTorch compiled"] = peer(case, device, True)
            rate = found["jepa3d"].get("samples_per_s", rate)
            result["steps"] += [{"what": f"{who}, {precision}", "batch": batch, **row} for who, row in found.items()]
    result["ceiling"] = ceiling(device)
    result["pretraining"] = pretraining(args.work, data, device, rate, preset)
    result["seconds"] = time.monotonic() - STARTED
    (args.out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "result.md").write_text(table(result))
    print(table(result))


if __name__ == "__main__":
    main()
