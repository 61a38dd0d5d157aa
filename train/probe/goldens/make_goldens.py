"""Makes evaluate.json: what sklearn and numpy answer on small inputs.

Run: python3 make_goldens.py [FEATURES.npz]
FEATURES.npz (arrays F [n, width] and y [n]) are real features of a frozen encoder; without it the slice that is
already in the file is used again. Here: 12 of the 384 features of a 6 x 192 x 3 encoder with random weights on ModelNet10.
"""

import json
import pathlib
import sys

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC, LinearSVC

TARGET = pathlib.Path(__file__).with_name("evaluate.json")


def short(values):
    return [float(f"{v:.6g}") for v in np.asarray(values, np.float64).ravel()]


def synthetic(seed, n, width, classes):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centers = rng.normal(size=(classes, width))
    # A large common offset: what raw features look like, and what a penalised bias would suffer from.
    values = 0.8 * centers[labels] + rng.normal(size=(n, width)) + 5.0
    return np.array(short(values), np.float32).reshape(n, width), labels * 3 - 4


def real():
    if len(sys.argv) > 1:
        data = np.load(sys.argv[1])
        rng = np.random.default_rng(0)
        rows = rng.permutation(len(data["y"]))[:240]
        columns = rng.permutation(data["F"].shape[1])[:12]
        values, labels = data["F"][rows][:, columns], data["y"][rows]
        return np.array(short(values), np.float32).reshape(values.shape), labels.astype(int)
    old = next(c for c in json.loads(TARGET.read_text())["svm"] if c["name"] == "real")
    return np.array(old["values"], np.float32).reshape(-1, old["width"]), np.array(old["labels"])


def pair_objectives(values, labels, c):
    classes, found = np.unique(labels), []
    for i, a in enumerate(classes):
        for b in classes[i + 1 :]:
            rows = (labels == a) | (labels == b)
            svc = SVC(kernel="linear", C=c).fit(values[rows], labels[rows])
            found.append(0.5 * np.sum(svc.coef_**2) - np.abs(svc.dual_coef_).sum())
    return short(found)


def svm_case(name, values, labels, n_train):
    train, known, asked = values[:n_train].astype(np.float64), labels[:n_train], values[n_train:].astype(np.float64)
    case = {"name": name, "width": values.shape[1], "n_train": n_train, "labels": labels.tolist()}
    case |= {"values": short(values), "fits": []}
    for c in [0.012, 0.3, 5.0]:
        svc = SVC(kernel="linear", C=c).fit(train, known)
        # Tolerance and rounds far beyond the defaults: the optimum itself.
        linear = LinearSVC(C=c, dual=False, tol=1e-10, max_iter=100_000).fit(train, known)
        case["fits"].append({
            "c": c,
            "svc": svc.predict(asked).tolist(),
            "objectives": pair_objectives(train, known, c),
            "linear_svc": linear.predict(asked).tolist(),
            "linear_decisions": short(linear.decision_function(asked)),
        })
    near = NearestNeighbors(n_neighbors=5, metric="cosine").fit(train).kneighbors(asked, return_distance=False)
    case["neighbours"] = near.tolist()
    return case


def rank_case(seed, n, width):
    values = np.random.default_rng(seed).normal(size=(n, width)) * 0.7 ** np.arange(width) + 0.3
    values = np.array(short(values), np.float32).reshape(n, width)
    s = np.linalg.svd(values.astype(np.float64), compute_uv=False)
    p = s / s.sum()
    return {"width": width, "values": short(values), "rank": float(np.exp(-(p * np.log(p)).sum()))}


def position_case(seed, clouds, per_cloud, width, waves):
    rng = np.random.default_rng(seed)
    centers = np.array(short(rng.uniform(-0.7, 0.7, (clouds * per_cloud, 3))), np.float32).reshape(-1, 3)
    basis = np.concatenate([rng.normal(size=(waves, 3)) / 0.4, rng.uniform(0, 2 * np.pi, (waves, 1))], 1)
    basis = np.array(short(basis)).reshape(waves, 4)
    signal = np.sin(centers @ rng.normal(size=(3, width)) * 2)
    vectors = np.array(short(2 + signal + 0.4 * rng.normal(size=signal.shape)), np.float32).reshape(-1, width)
    at = centers.astype(np.float64)
    design = np.concatenate([np.cos(at @ basis[:, :3].T + basis[:, 3]), at, np.ones((len(at), 1))], 1)
    even = (np.arange(len(at)) // per_cloud) % 2 == 0
    known, asked = vectors[even].astype(np.float64), vectors[~even].astype(np.float64)
    mean = known.mean(0)
    ridge = Ridge(alpha=1e-3 * even.sum(), fit_intercept=False).fit(design[even], known - mean)
    share = r2_score(asked, ridge.predict(design[~even]) + mean, multioutput="variance_weighted")
    case = {"per_cloud": per_cloud, "width": width, "centers": short(centers), "vectors": short(vectors)}
    return case | {"waves": basis.tolist(), "share": share}


def main():
    goldens = {
        "svm": [svm_case("synthetic", *synthetic(1, 260, 8, 4), 180), svm_case("real", *real(), 180)],
        "rank": [rank_case(1, 40, 6), rank_case(2, 7, 30)],
        "position": position_case(3, 9, 20, 3, 10),
    }
    TARGET.write_text(json.dumps(goldens, separators=(",", ":")) + "\n")


main()
