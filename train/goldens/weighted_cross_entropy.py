"""PyTorch's weighted and smoothed cross entropy of three rows: prints the numbers in train/src/nn/cross_entropy.rs.

Usage: python weighted_cross_entropy.py            (torch 2.x)
"""

import torch
import torch.nn.functional as F

scores = torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.5, -0.5], [3.0, 0.25, -2.0]], dtype=torch.float64, requires_grad=True)
labels, weights = torch.tensor([2, 1, 0]), torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
loss = F.cross_entropy(scores, labels, weight=weights, label_smoothing=0.1)
loss.backward()
print(f"{loss.item():.8f}", [f"{value:.8f}" for value in scores.grad[0].tolist()])
