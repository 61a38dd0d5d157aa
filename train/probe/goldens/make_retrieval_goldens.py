"""Makes retrieval.json: what sklearn answers on small features.

Run: python3 make_retrieval_goldens.py
"""

import json
import pathlib

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

TARGET = pathlib.Path(__file__).with_name("retrieval.json")
N_TRAIN, N, WIDTH, CLASSES = 90, 120, 7, 4


def main():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES, N)
    values = rng.normal(size=(CLASSES, WIDTH))[labels] + rng.normal(size=(N, WIDTH)) * np.linspace(0.5, 3, WIDTH) + 4
    values = np.array([[float(f"{v:.6g}") for v in row] for row in values], np.float32)
    scaler = StandardScaler().fit(values[:N_TRAIN].astype(np.float64))
    standard = scaler.transform(values.astype(np.float64))
    similar = cosine_similarity(standard[N_TRAIN:], standard[:N_TRAIN])
    right = labels[N_TRAIN:, None] == labels[None, :N_TRAIN]
    order = np.argsort(-similar, axis=1)
    ranked = np.take_along_axis(right, order, axis=1)[:, :10]
    pca = PCA(2, svd_solver="full")
    places = pca.fit_transform(StandardScaler().fit_transform(values.astype(np.float64)))
    golden = {
        "width": WIDTH,
        "n_train": N_TRAIN,
        "labels": labels.tolist(),
        "values": [float(f"{v:.6g}") for v in values.ravel()],
        "average_precisions": [average_precision_score(r, s) for r, s in zip(right, similar)],
        "nearest": order[:, :10].tolist(),
        "recall": [100 * float(ranked[:, :k].any(axis=1).mean()) for k in range(1, 11)],
        "precision": [100 * float(ranked[:, :k].mean()) for k in range(1, 11)],
        "places": [[float(f"{v:.8g}") for v in place] for place in places],
        "shares": pca.explained_variance_ratio_.tolist(),
    }
    TARGET.write_text(json.dumps(golden) + "\n")


main()
