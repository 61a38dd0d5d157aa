"""Makes segmentation.json: confusion, accuracies and intersections over union of points by sklearn and numpy.

Run: python3 make_segmentation_goldens.py
The values of shapes follow the published evaluation of ShapeNetPart (PointNet++ and its heirs), the scene metrics the
nuScenes devkit's lidarseg evaluation.
"""

import json
import pathlib
import warnings

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, jaccard_score

TARGET = pathlib.Path(__file__).with_name("segmentation.json")
warnings.simplefilter("ignore")


def scene(name, truth, predictions, classes):
    """Truth -1 counts for nothing."""
    known = truth >= 0
    t, p = truth[known], predictions[known]
    case = {"name": name, "classes": classes, "truth": truth.tolist(), "predictions": predictions.tolist()}
    confusion = confusion_matrix(t, p, labels=range(classes)) if len(t) else np.zeros((classes, classes), int)
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    iou = [float(np.diag(confusion)[c] / union[c]) if union[c] else None for c in range(classes)]
    occurring = [v for v in iou if v is not None]
    case |= {"confusion": confusion.ravel().tolist(), "iou": iou, "points": int(known.sum())}
    if len(t):
        by_sklearn = jaccard_score(t, p, labels=range(classes), average=None, zero_division=0)
        assert np.allclose([v or 0.0 for v in iou], by_sklearn)
    case["mean_iou"] = float(np.mean(occurring)) if occurring else 0.0
    case["accuracy"] = float(accuracy_score(t, p)) if len(t) else 0.0
    case["class_accuracy"] = float(balanced_accuracy_score(t, p)) if len(t) else 0.0
    return case


def shapes(name, rng, parts, categories, count, points):
    """`parts`: first label of each category, and the end."""
    found, by_category = [], {c: [] for c in range(len(parts) - 1)}
    for _ in range(count):
        category = int(rng.choice(categories))
        legal = np.arange(parts[category], parts[category + 1])
        present = rng.permutation(legal)[: rng.integers(1, len(legal) + 1)]
        truth = rng.choice(present, points)
        scores = rng.normal(size=(points, parts[-1])).round(3)
        scores[np.arange(points), truth] += 1.0
        predictions = legal[scores[:, legal].argmax(1)]
        ious = []
        for part in legal:
            a, b = truth == part, predictions == part
            ious.append(1.0 if not a.any() and not b.any() else (a & b).sum() / (a | b).sum())
        by_category[category].append(np.mean(ious))
        shape = {"category": category, "truth": truth.tolist(), "scores": scores.ravel().tolist()}
        found.append(shape | {"predictions": predictions.tolist(), "iou": float(np.mean(ious))})
    means = {c: float(np.mean(v)) for c, v in by_category.items() if v}
    case = {"name": name, "parts": parts, "shapes": found}
    case["instance_iou"] = float(np.mean([s["iou"] for s in found]))
    case["category_iou"] = float(np.mean(list(means.values())))
    case["categories"] = [means.get(c) for c in range(len(parts) - 1)]
    return case


def main():
    rng = np.random.default_rng(7)
    truth = rng.integers(-1, 5, 300)
    mostly = np.where(rng.random(300) < 0.7, np.maximum(truth, 0), rng.integers(0, 5, 300))
    few = np.where(truth == 3, 1, truth)
    scenes = [
        scene("random", truth, rng.integers(0, 5, 300), 5),
        scene("mostly right", truth, mostly, 5),
        scene("a class absent in both", few, np.where(mostly == 3, 1, mostly), 5),
        scene("a class only predicted", few, mostly, 5),
        scene("all of one class", np.full(20, 2), np.full(20, 2), 4),
        scene("all wrong", np.full(20, 2), np.full(20, 1), 4),
        scene("nothing known", np.full(9, -1), rng.integers(0, 3, 9), 3),
        scene("no points", np.zeros(0, int), np.zeros(0, int), 3),
    ]
    parts = [
        shapes("three categories", rng, [0, 4, 6, 9], [0, 1, 2], 9, 24),
        shapes("a category without shapes", rng, [0, 2, 5, 8], [0, 2], 5, 16),
        shapes("one part", rng, [0, 1], [0], 2, 6),
    ]
    TARGET.write_text(json.dumps({"scenes": scenes, "parts": parts}, separators=(",", ":")) + "\n")


main()
