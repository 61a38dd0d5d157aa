"""How well features of `jepa3d embed` tell classes apart where a set is too small to hold a part out.

    python scripts/cross_validate.py FEATURES.parquet...

Prints, for each file, the accuracy of a linear SVM over 5 stratified folds (standardised within each fold, the best of five C) and of the
nearest neighbour by cosine of every sample among all others (standardised). Needs scikit-learn and pyarrow.
"""

import sys

import numpy as np
import pyarrow.parquet as pq
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)


def read(path):
    """Features `[n, D]` and the category of each."""
    table = pq.read_table(path, columns=["features", "category"])
    features = np.stack([np.asarray(row, np.float64) for row in table["features"].to_pylist()])
    return features, np.asarray(table["category"].to_pylist())


def score_svm(features, categories):
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def score(penalty):
        model = make_pipeline(StandardScaler(), SVC(kernel="linear", C=penalty))
        return cross_val_score(model, features, categories, cv=folds).mean()

    return max(map(score, PENALTIES))


def score_neighbour(features, categories):
    rows = StandardScaler().fit_transform(features)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # Without a query, no row is its own neighbour.
    nearest = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(return_distance=False)[:, 0]
    return (categories[nearest] == categories).mean()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        features, categories = read(path)
        svm, neighbour = score_svm(features, categories), score_neighbour(features, categories)
        print(f"{path}: {len(features)} samples of {len(set(categories))} classes, {features.shape[1]} numbers each: "
              f"SVM {100 * svm:.1f}, nearest neighbour {100 * neighbour:.1f}")


if __name__ == "__main__":
    main()
