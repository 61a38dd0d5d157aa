"""Prints what `models/sketched_gaussian.rs` compares with: the statistic of SIGReg (LeJEPA, arXiv 2511.08544, algorithm 1) in
PyTorch, for small fixed features and directions, and the gradient of the first row. Run: python sketched_gaussian.py"""

import torch

torch.set_default_dtype(torch.float64)


def sigreg(x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    t = torch.linspace(-5, 5, 17)
    gaussian = torch.exp(-0.5 * t**2)
    angles = (x @ directions).unsqueeze(2) * t
    empirical = torch.exp(1j * angles).mean(0)
    error = (empirical - gaussian).abs().square() * gaussian
    return (torch.trapezoid(error, t, dim=1) * len(x)).mean()


x = torch.tensor([[1.5 * torch.sin(torch.tensor(7.0 * i + 3.0 * j + 1.0)) for j in range(4)] for i in range(6)])
directions = torch.tensor([[torch.cos(torch.tensor(5.0 * i + 2.0 * j)) for j in range(3)] for i in range(4)])
directions = directions / directions.norm(dim=0)
x.requires_grad_(True)
value = sigreg(x, directions)
value.backward()
print(f"value {value.item():.9f}")
print("gradient of the first row", [round(g, 9) for g in x.grad[0].tolist()])
