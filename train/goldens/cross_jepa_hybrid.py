"""PyTorch twin of hybrid CrossJEPA as jepa3d defines it; writes cross_jepa_hybrid.safetensors.

Backbone, clouds, rounding and what the tensors are called: point_jepa.py and README.md. Image tokens `input/pixels` [B,T,3pp],
patches that a view shows `input/shown` [B,Q] with `input/counts` [B] of them valid (5, 3 and none), `input/projected`
[B,Q,3]; masks of the local term `input/context` [B,n], `input/targets` [B,L].

Usage: python cross_jepa_hybrid.py            (torch 2.x, numpy, safetensors; writes into its own folder)
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import point_jepa as base
from cross_jepa import mlp
from point_jepa import B, TAU, Predictor, Tokenizer, Transformer, f32, pick, position_mlp, rounded

SIZES = dict(width=12, depth=2, heads=3, p_width=8, p_depth=1, p_heads=2, c1=4, c2=8, c3=16)
SIDE, PIXELS, Q = 2, 48, 5
COUNTS = [5, 3, 0]


def grid_sinusoids(width):
    """[SIDE * SIDE, width], row by row: sines and cosines of the column, then of the row."""
    n = width // 4
    rate = 10000.0 ** (-torch.arange(n, dtype=torch.float64) / n)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    parts = [f(at.flatten()[:, None] * rate) for at in (column, row) for f in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=-1)


class SeenPredictor(nn.Module):
    def __init__(self, s):
        super().__init__()
        p = s["p_width"]
        self.predictor_embed = nn.Linear(s["width"], p)
        self.positional_encoding = position_mlp(p)
        self.projected = mlp(3, p)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, p))
        self.predictor = Transformer(p, s["p_depth"], s["p_heads"])
        self.predictor_proj = nn.Linear(p, s["width"])

    def forward(self, tokens, centers, projected):
        """One sample without padding: tokens [T,D], centers and projected [q,3] -> [q,D]."""
        known = self.predictor_embed(tokens) + grid_sinusoids(self.mask_token.shape[-1])
        query = self.mask_token[0] + self.positional_encoding(centers) + self.projected(projected)
        x = torch.cat([known, query]).unsqueeze(0)
        for block in self.predictor.blocks:
            x = block(x)
        return self.predictor_proj(self.predictor.norm(x[0, len(known) :]))


class PointSide(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.tokenizer = Tokenizer(s["c1"], s["c2"], s["c3"], s["width"])
        self.positional_encoding = position_mlp(s["width"])
        self.point_modality = nn.Parameter(torch.zeros(1, 1, s["width"]))


class Hybrid(PointSide):
    def __init__(self, s):
        super().__init__(s)
        self.student = Transformer(s["width"], s["depth"], s["heads"])
        self.image_tokenizer = nn.Module()
        self.image_tokenizer.proj = nn.Linear(PIXELS, s["width"])
        self.image_modality = nn.Parameter(torch.zeros(1, 1, s["width"]))
        self.teacher = PointSide(s).requires_grad_(False)
        self.teacher.ema_model = Transformer(s["width"], s["depth"], s["heads"]).requires_grad_(False)
        self.view_predictor = SeenPredictor(s)
        self.predictor = Predictor(s["width"], s["p_width"], s["p_depth"], s["p_heads"], s["width"], True)

    def targets(self, patches, centers):
        t = self.teacher
        tokens = t.tokenizer(patches) + t.point_modality
        latents = t.ema_model.norm(t.ema_model(tokens, t.positional_encoding(centers), False))
        return F.layer_norm(latents, latents.shape[-1:])

    def forward(self, patches, centers, pixels, shown, projected, context_at, targets_at):
        # The tokenizer only sees the context, as with the target tokenizer an average.
        tokens = self.tokenizer(pick(patches, context_at)) + self.point_modality
        with torch.no_grad():
            goal = self.targets(patches, centers)
        positions = self.positional_encoding(centers)
        context = self.student.norm(self.student(tokens, pick(positions, context_at), False))
        places = self.predictor.positional_encoding(centers)
        guess = self.predictor(context, pick(places, context_at), pick(places, targets_at))
        local_goal = pick(goal, targets_at)
        local = ((guess - local_goal) ** 2).sum(-1).mean()
        image = self.image_tokenizer.proj(pixels) + grid_sinusoids(context.shape[-1]) + self.image_modality
        encoded = self.student.norm(self.student(image, 0.0, False))
        rows = [
            (self.view_predictor(encoded[b], centers[b, shown[b, :n]], projected[b, :n]), goal[b, shown[b, :n]])
            for b, n in enumerate(COUNTS) if n > 0
        ]
        cross_guess, cross_goal = torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows])
        cross = ((cross_guess - cross_goal) ** 2).sum(-1).mean()
        std = (context.mean(1).var(0) + 1e-4).sqrt()
        spread = 0.1 * F.relu(0.5 - std).mean()
        predictions = torch.cat([guess.flatten(0, 1), cross_guess])
        targets = torch.cat([local_goal.flatten(0, 1), cross_goal])
        return dict(predictions=predictions, targets=targets, cross=cross, local=local, loss=cross + local + spread)


def averaged(model):
    """The whole target side after one EMA step; `student` was done by base.learned."""
    source = dict(model.named_parameters()) | dict(model.named_buffers())
    values = dict(model.teacher.named_parameters()) | dict(model.teacher.named_buffers())
    return {
        f"ema/teacher.{n}": f32(t.detach() * TAU + source[n].detach() * (1 - TAU))
        for n, t in values.items() if not n.startswith("ema_model.") and t.is_floating_point()
    }


def golden(seed):
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    model = Hybrid(SIZES).to(torch.float64)
    base.draw_weights(model, generator)
    normal = lambda *shape: rounded(torch.randn(*shape, generator=generator, dtype=torch.float64))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("modality"):
                p.copy_(rounded(0.3 * normal(*p.shape)))
    patches, centers = base.draw_clouds(generator)
    context_at, targets_at, _ = base.draw_masks("region", centers, rng)
    shown = torch.from_numpy(np.stack([np.sort(rng.permutation(base.G)[:Q]) for _ in range(B)]))
    views = dict(pixels=normal(B, SIDE * SIDE, PIXELS), projected=normal(B, Q, 3))
    tensors = base.base_tensors(model, patches, centers) | {f"input/{n}": f32(t) for n, t in views.items()}
    tensors |= {"input/shown": shown, "input/counts": torch.tensor(COUNTS)}
    tensors |= {"input/context": context_at.contiguous(), "input/targets": targets_at.contiguous()}
    model.train()
    model.teacher.eval()
    out = model(patches, centers, shown=shown, context_at=context_at, targets_at=targets_at, **views)
    if not base.is_clear(model):
        return None
    tensors |= {f"out/{n}": f32(t.detach()) for n, t in out.items()}
    out["loss"].backward()
    return tensors | base.learned(model, False) | averaged(model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    base.write_first("cross_jepa_hybrid.safetensors", golden)
