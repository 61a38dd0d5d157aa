"""Our linear SVMs against sklearn's SVC(kernel="linear") and LinearSVC on the same features, in turns.

Usage: python3 probe_peers.py PROBE [--turns N] [--real FEATURES.npz]
PROBE is the built bench `probe`. One JSON object a line: seconds to fit, medians over the turns; ratio above 1 = ours is
faster; also processor time to fit and classify, which other programs on the machine disturb less. Accuracies
are those of the same held-out rows; a difference above 0.3 points ends with exit code 1.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.svm import SVC, LinearSVC

HELD_OUT = 800


def synthetic(n, width, classes, seed):
    """Classes that overlap, in features whose spectrum falls as that of pooled encoder features."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width)) * np.exp(-np.arange(width) / (width / 8))[:, None]
    labels = rng.integers(0, classes, n + HELD_OUT)
    centers = 0.35 * rng.normal(size=(classes, width))
    latent = centers[labels] + rng.normal(size=(n + HELD_OUT, width))
    values = latent @ mixing / np.sqrt(width) * 2 + 0.1 * rng.normal(size=latent.shape) + 1
    return values.astype("<f4"), labels.astype("<i4")


def ours(binary, files, width, n, solver, c, threads=None):
    command = [binary, "fit", *files, str(width), str(n), solver, str(c)]
    environment = os.environ | ({"RAYON_NUM_THREADS": str(threads)} if threads else {})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Reading the files and classifying included.
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout) | {"cpu_s": cpu}


def theirs(values, labels, n, solver, c):
    peer = SVC(kernel="linear", C=c) if solver == "ovo" else LinearSVC(C=c)
    start, cpu = time.perf_counter(), time.process_time()
    peer.fit(values[:n], labels[:n])
    fitted = time.perf_counter()
    found = peer.predict(values[n:])
    predicted = time.perf_counter() - fitted
    cpu = time.process_time() - cpu
    accuracy = 100 * float((found == labels[n:]).mean())
    return {"fit_s": fitted - start, "predict_s": predicted, "cpu_s": cpu, "accuracy": accuracy}


def compare(binary, name, data, case, turns):
    (values, labels), (solver, c) = data, case
    n = len(labels) - HELD_OUT
    with tempfile.TemporaryDirectory() as folder:
        files = [str(pathlib.Path(folder, part)) for part in ("values", "labels")]
        values.tofile(files[0])
        labels.tofile(files[1])
        single = ours(binary, files, values.shape[1], n, solver, c, threads=1)["fit_s"]
        runs = [(ours(binary, files, values.shape[1], n, solver, c), theirs(values, labels, n, solver, c)) for _ in range(turns)]
    mine, peer = ({k: statistics.median(r[i][k] for r in runs) for k in ("fit_s", "predict_s", "cpu_s", "accuracy")} for i in (0, 1))
    who = "SVC(linear)" if solver == "ovo" else "LinearSVC"
    line = {"case": f"{who} C={c}, {name}, {n} x {values.shape[1]}, {len(set(labels.tolist()))} classes", "unit": "s"}
    line |= {"ours": mine["fit_s"], "peer": peer["fit_s"], "ratio": peer["fit_s"] / mine["fit_s"]}
    line |= {"ours_one_thread": single, "ours_predict": mine["predict_s"], "peer_predict": peer["predict_s"]}
    line |= {"ours_cpu": mine["cpu_s"], "peer_cpu": peer["cpu_s"]}
    line |= {"ours_accuracy": mine["accuracy"], "peer_accuracy": peer["accuracy"], "unconverged": runs[0][0]["unconverged"]}
    print(json.dumps(line), flush=True)
    return abs(mine["accuracy"] - peer["accuracy"]) <= 0.3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--real", help="features of an encoder: arrays F [n, width] and y [n]")
    parser.add_argument("--large-turns", type=int, default=1, help="turns of 9840 x 768 with 40 classes (minutes each)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    same = []
    sets = [("synthetic", synthetic(3193, 384, 10, 0), arguments.turns)]
    if arguments.real:
        data = np.load(arguments.real)
        order = np.random.default_rng(1).permutation(len(data["y"]))
        values = data["F"][order].astype("<f4")
        known = values[:-HELD_OUT]
        labels = data["y"][order].astype("<i4")
        sets.append(("real, raw", (values, labels), arguments.turns))
        sets.append(("real, standardised", ((values - known.mean(0)) / known.std(0), labels), arguments.turns))
    sets.append(("synthetic", synthetic(9840, 768, 40, 1), arguments.large_turns))
    for name, data, turns in sets:
        # sklearn needs minutes for the last one.
        cases = [("ovo", 0.012), ("ovr", 0.012)] + [("ovr", 0.075)] * (len(data[1]) < 9000)
        for case in cases:
            if turns:
                same.append(compare(arguments.binary, name, data, case, turns))
    return 0 if all(same) else 1


sys.exit(main())
