"""PyTorch twin of CrossJEPA as jepa3d defines it; writes cross_jepa.safetensors.

Backbone, clouds, rounding and what the tensors are called: point_jepa.py and README.md. Embeddings `input/embeddings`
[B,V,Dt], `input/poses` [B,V,8], `input/histograms` [B,V,48] and weights [B,V,1], one of them 0.

Usage: python cross_jepa.py            (torch 2.x, numpy, safetensors; writes into its own folder)
"""

import torch
import torch.nn.functional as F
from torch import nn

import point_jepa as base
from point_jepa import B, Tokenizer, Transformer, f32, position_mlp, rounded

SIZES = dict(width=12, depth=2, heads=3, p_width=6, p_depth=2, p_heads=3, c1=8, c2=16, c3=32)
V, DT = 2, 10


def mlp(inputs, width):
    return nn.Sequential(nn.Linear(inputs, 128), nn.GELU(), nn.Linear(128, width))


class ViewPredictor(nn.Module):
    def __init__(self, s):
        super().__init__()
        p = s["p_width"]
        self.predictor_embed = nn.Linear(s["width"], p)
        self.positional_encoding = position_mlp(p)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, p))
        self.pose, self.histogram = mlp(8, p), mlp(48, p)
        self.predictor = Transformer(p, s["p_depth"], s["p_heads"])
        self.predictor_proj = nn.Linear(p, DT)

    def forward(self, tokens, centers, pose, histogram):
        """One view: pose [B,8], histogram [B,48] -> [B,Dt]."""
        known = self.predictor_embed(tokens) + self.positional_encoding(centers)
        query = self.mask_token + (self.pose(pose) + self.histogram(histogram)).unsqueeze(1)
        x = torch.cat([query, known], 1)
        for block in self.predictor.blocks:
            x = block(x)
        return self.predictor_proj(self.predictor.norm(x[:, 0]))


class CrossJepa(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.tokenizer = Tokenizer(s["c1"], s["c2"], s["c3"], s["width"])
        self.positional_encoding = position_mlp(s["width"])
        self.student = Transformer(s["width"], s["depth"], s["heads"])
        self.predictor = ViewPredictor(s)

    def forward(self, patches, centers, embeddings, poses, histograms, weights):
        tokens, positions = self.tokenizer(patches), self.positional_encoding(centers)
        encoded = self.student.norm(self.student(tokens, positions, True))
        guess = torch.stack([self.predictor(encoded, centers, poses[:, v], histograms[:, v]) for v in range(V)], 1)
        goal = F.layer_norm(embeddings, (DT,))
        each = F.smooth_l1_loss(guess, goal, beta=2.0, reduction="none").mean(-1, keepdim=True)
        return dict(predictions=guess, targets=goal, loss=(each * weights).sum() / weights.sum())


def golden(seed):
    generator = torch.Generator().manual_seed(seed)
    model = CrossJepa(SIZES).to(torch.float64)
    base.draw_weights(model, generator)
    patches, centers = base.draw_clouds(generator)
    normal = lambda *shape: rounded(torch.randn(*shape, generator=generator, dtype=torch.float64))
    views = dict(embeddings=2 * normal(B, V, DT) + 1, poses=normal(B, V, 8), histograms=normal(B, V, 48).abs())
    views["weights"] = torch.ones(B, V, 1, dtype=torch.float64)
    views["weights"][1, 0] = 0.0
    tensors = base.base_tensors(model, patches, centers)
    tensors |= {f"input/{n}": f32(t) for n, t in views.items()}
    model.train()
    out = model(patches, centers, **views)
    if not base.is_clear(model):
        return None
    tensors |= {f"out/{n}": f32(t.detach()) for n, t in out.items()}
    out["loss"].backward()
    return tensors | base.learned(model, False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    base.write_first("cross_jepa.safetensors", golden)
