"""Makes tsne.json: what sklearn's exact t-SNE computes of 42 samples in three groups.

    python make_tsne_goldens.py        # needs numpy and scikit-learn
"""

import json
from pathlib import Path

import numpy as np
from sklearn.manifold import TSNE
from sklearn.manifold._t_sne import _gradient_descent, _joint_probabilities, _kl_divergence

N, PERPLEXITY, RATE, SLOW_RATE = 42, 9.0, 50.0, 5.0
rng = np.random.default_rng(5)
centers = rng.normal(size=(3, 8)) * 3
values = centers[np.arange(N) % 3] + rng.normal(size=(N, 8))
# Rounded, so that the file says exactly what was given.
distances = np.round(((values[:, None] - values[None]) ** 2).sum(-1), 4)
np.fill_diagonal(distances, 0.0)
odds = _joint_probabilities(distances, PERPLEXITY, 0)
places = np.round(rng.normal(size=(N, 2)), 4)
divergence, gradient = _kl_divergence(places.ravel(), odds, 1, N, 2)
early, *_ = _gradient_descent(
    _kl_divergence,
    (1e-4 * places).ravel(),
    it=0,
    max_iter=30,
    momentum=0.5,
    learning_rate=SLOW_RATE,
    n_iter_check=50,
    n_iter_without_progress=250,
    args=[odds * 12.0, 1, N, 2],
)
whole = TSNE(method="exact", metric="precomputed", init=1e-4 * places, perplexity=PERPLEXITY, learning_rate=RATE, max_iter=1000)
whole.fit(np.sqrt(distances))  # it takes the squares itself
golden = {
    "n": N,
    "perplexity": PERPLEXITY,
    "distances": distances.ravel().tolist(),
    "odds": odds.tolist(),
    "x": places[:, 0].tolist(),
    "y": places[:, 1].tolist(),
    "divergence": float(divergence),
    "gradient": gradient.reshape(N, 2).tolist(),
    "early": early.reshape(N, 2).tolist(),
    "last_divergence": float(whole.kl_divergence_),
}
Path(__file__).with_name("tsne.json").write_text(json.dumps(golden) + "\n")
print(f"divergence {divergence:.4f}, at the end {whole.kl_divergence_:.4f}")
