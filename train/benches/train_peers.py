"""One training step of Point-JEPA or of the official classifier, ours against PyTorch, in turns on as many threads.

Usage: train_peers.py BENCH [--task pretrain|finetune] [--rounds 3] [--steps 10] [--batch 32] [--threads 2] [--size S] [--dtype D]
Needs: the packages of train_peer.py (torch numpy), which says what the peer does to be fast.
Step:  forward, backward, AdamW and EMA on random patches (G = 64, K = 32), context 18, targets 4 x 11, dropout 0.1, attention
       dropout 0.05, stochastic depth up to 0.25. full: 12 blocks of 384, predictor 6 of 192; small: 6 of 192, predictor 3 of 96.
       finetune: the same encoder on all 64 tokens, dropout as above, the official head for 40 classes, label smoothing 0.1; forward,
       backward and AdamW of everything.
dtype: f32; and, where the processor has a matrix unit for it, bf16: ours multiplies blocks and tokens in bf16, the peer runs
       under autocast.
In the time: nothing but the step: no loading, no masks' sequencing. Each run warms up, then the median step counts; the
       median of the rounds is printed.
Prints one JSON object a line, samples per second, ratio = ours / peer, and both split by part in milliseconds; notes go
       to standard error.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "train_peer.py")


def run(command, threads):
    environment = os.environ | {name: str(threads) for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def ours(args, size):
    return run([args.bench, size, str(args.batch), str(args.steps)], args.threads)


def peer(args, size):
    command = [sys.executable, PEER, size, "--batch", str(args.batch), "--steps", str(args.steps), "--threads", str(args.threads)]
    return run(command, args.threads)


def has_matrix_unit():
    """Whether the processor has AMX for bf16, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            return "amx_bf16" in file.read()
    except OSError:
        return False


def split(runs):
    """Medians over the rounds, by part."""
    parts = [r["split_ms"] for r in runs]
    return {name: round(statistics.median(part[name] for part in parts), 1) for name in parts[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--task", choices=("pretrain", "finetune"), default="pretrain")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", choices=("full", "small"), help="only this one")
    parser.add_argument("--dtype", choices=("f32", "bf16"), help="only this one")
    args = parser.parse_args()
    prefix, name = ("finetune-", "finetune") if args.task == "finetune" else ("", "train")
    sizes = [args.size] if args.size else ["full", "small"]
    dtypes = [args.dtype] if args.dtype else ["f32", "bf16"] if has_matrix_unit() else ["f32"]
    for size, dtype in itertools.product(sizes, dtypes):
        whole = prefix + size + {"f32": "", "bf16": "-bf16"}[dtype]
        mine, theirs = [], []
        for i in range(args.rounds):
            mine.append(ours(args, whole))
            theirs.append(peer(args, whole))
            print(f"{size} {dtype}, round {i}: {mine[-1]['samples_per_s']:.1f} against {theirs[-1]['samples_per_s']:.1f}", file=sys.stderr)
        a, b = (statistics.median(r["samples_per_s"] for r in runs) for runs in (mine, theirs))
        print(json.dumps({"case": f"{name} step {size} {dtype}, batch {args.batch}, {args.threads} threads", "ours": round(a, 2),
                          "peer": round(b, 2), "unit": "samples/s", "ratio": round(a / b, 2), "ours_ms": split(mine),
                          "peer_ms": split(theirs)}), flush=True)


if __name__ == "__main__":
    main()
