"""Accuracy, mean class accuracy and confusion by scikit-learn, on random and degenerate cases.

    python classification.py > classification.json
"""

import json
import warnings

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

warnings.filterwarnings("ignore")
random = np.random.default_rng(7)


def case(classes, labels, predictions):
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    return {
        "classes": classes,
        "labels": labels.tolist(),
        "predictions": predictions.tolist(),
        "accuracy": accuracy_score(labels, predictions),
        "mean_class_accuracy": balanced_accuracy_score(labels, predictions),
        "counts": confusion_matrix(labels, predictions, labels=range(classes)).tolist(),
    }


cases = [
    case(3, random.integers(0, 3, 200), random.integers(0, 3, 200)),
    case(10, random.integers(0, 10, 57), random.integers(0, 10, 57)),
    case(4, [2] * 9, [2] * 9),
    case(4, [2] * 9, [1] * 9),
    case(5, [0, 0, 0, 0, 4], [0, 0, 0, 0, 0]),
    case(2, [1], [1]),
    case(6, random.integers(0, 3, 40), random.integers(2, 6, 40)),
]
print(json.dumps(cases))
