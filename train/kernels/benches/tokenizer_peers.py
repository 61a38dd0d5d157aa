"""The fused tokenizer against candle's operators and PyTorch, in turns, all on the same number of threads.

Usage: tokenizer_peers.py BENCH [--batch 128] [--turns 3] [--repeats 3] [--composite-batch 32] [--threads 2]
BENCH is the compiled `tokenizer` bench. Prints one JSON line per size and share of tokens with a gradient: least
milliseconds over all turns of the forward pass and of forward with backward, by the clock and by the processor, and how many
times faster than each peer. Where other work shares the machine, only processor time on one thread (--threads 1) says much.
"""

import argparse
import ctypes
import json
import os
import subprocess
import time

import torch
import torch.nn.functional as F
from torch import nn

GROUPS, POINTS = 64, 32
WIDTHS = {"full": (128, 256, 512, 384), "small": (64, 128, 256, 192)}


class Tokenizer(nn.Module):
    """PyTorch's fastest form that we know: one row per point, the concatenation split into two products."""

    def __init__(self, c1, c2, c3, d):
        super().__init__()
        self.first, self.norm1, self.lift = nn.Linear(3, c1, bias=False), nn.BatchNorm1d(c1), nn.Linear(c1, c2)
        self.mix, self.norm2, self.out = nn.Linear(2 * c2, c3, bias=False), nn.BatchNorm1d(c3), nn.Linear(c3, d)

    def forward(self, patches):
        n, k, _ = patches.shape
        local = self.lift(F.relu(self.norm1(self.first(patches.reshape(-1, 3))), inplace=True))
        summary = local.view(n, k, -1).max(dim=1).values
        from_global, from_local = self.mix.weight.chunk(2, dim=1)
        mixed = F.linear(local, from_local).view(n, k, -1) + F.linear(summary, from_global).unsqueeze(1)
        tokens = self.out(F.relu(self.norm2(mixed.view(n * k, -1)), inplace=True))
        return tokens.view(n, k, -1).max(dim=1).values


def keep_freed_memory():
    """No page faults on activations: glibc neither maps single blocks nor trims (as good for PyTorch as it gets)."""
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-4, 0)
    libc.mallopt(-1, -1)


def least_ms(name, repeats, f):
    f()
    times = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        f()
        times.append(((time.perf_counter() - start[0]) * 1e3, (time.process_time() - start[1]) * 1e3))
    return {f"{name}_ms": min(t[0] for t in times), f"{name}_cpu_ms": min(t[1] for t in times)}


def pytorch(size, batch, share, repeats):
    torch.manual_seed(0)
    model = Tokenizer(*WIDTHS[size]).train()
    patches = 0.08 * torch.randn(GROUPS * batch, POINTS, 3)
    gradient = 1e-3 * torch.randn(GROUPS * batch, WIDTHS[size][3]) * (torch.rand(GROUPS * batch, 1) < share)

    def both():
        model.zero_grad(set_to_none=True)
        model(patches).backward(gradient)

    return least_ms("forward", repeats, lambda: model(patches)) | least_ms("both", repeats, both)


def ours(args, kind, size, batch, share):
    environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads)}
    command = [args.bench, kind, size, str(batch), str(share), str(args.repeats)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def compare(args, size, share):
    best = {}
    for _ in range(args.turns):
        runs = {"fused": ours(args, "fused", size, args.batch, share), "pytorch": pytorch(size, args.batch, share, args.repeats)}
        if args.composite_batch:
            scale = args.batch / args.composite_batch
            composite = ours(args, "composite", size, args.composite_batch, share)
            runs["composite"] = {k: v * scale for k, v in composite.items()}
        for name, run in runs.items():
            for k, v in run.items():
                best.setdefault(name, {})[k] = min(v, best.get(name, {}).get(k, v))
    times = {name: {k: round(v, 1) for k, v in run.items()} for name, run in best.items()}
    ratio = {n: {k[:-3]: round(v / best["fused"][k], 2) for k, v in run.items()} for n, run in best.items() if n != "fused"}
    print(json.dumps({"size": size, "batch": args.batch, "share": share, "times": times, "times_faster_than": ratio}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--composite-batch", type=int, default=32, help="0: without; its times are scaled to --batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", choices=("full", "small"), help="only this one")
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    for size in [args.size] if args.size else ["full", "small"]:
        for share in (1.0, 0.28):
            compare(args, size, share)


if __name__ == "__main__":
    main()
