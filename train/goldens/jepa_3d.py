"""PyTorch twin of 3D-JEPA with its context-aware decoder, as jepa3d defines it; writes jepa_3d.safetensors.

Backbone, clouds, rounding and what the tensors are called: point_jepa.py and README.md. Target blocks and contexts are drawn
for every sample: `input/targets` [B,M,L], `input/context` [B,n].

Usage: python jepa_3d.py            (torch 2.x, numpy, safetensors; writes into its own folder)
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import point_jepa as base
from point_jepa import B, G, Mlp, Tokenizer, Transformer, attention, f32, pick, position_mlp

SIZES = dict(width=12, depth=2, heads=3, p_width=6, p_depth=2, p_heads=3, c1=8, c2=16, c3=32)
M, L, N = 4, 3, 4


class SelfAttention(base.Attention):
    """The same, under the decoder's name."""


class CrossAttention(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(context, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x, context):
        b, t, d = x.shape
        split = lambda y: y.reshape(b, -1, self.heads, d // self.heads).transpose(1, 2)
        k, v = self.kv(context).split(d, dim=-1)
        return self.proj(attention(split(self.q(x)), split(k), split(v)).transpose(1, 2).reshape(b, t, d))


class DecoderBlock(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.norm1, self.self_attn = nn.LayerNorm(width), SelfAttention(width, heads)
        self.norm2, self.norm_context = nn.LayerNorm(width), nn.LayerNorm(context)
        self.cross_attn = CrossAttention(width, context, heads)
        self.norm3, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x, context):
        x = x + self.self_attn(self.norm1(x))
        x = x + self.cross_attn(self.norm2(x), self.norm_context(context))
        return x + self.mlp(self.norm3(x))


class Decoder(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, s["p_width"]))
        self.positional_encoding = position_mlp(s["p_width"])
        self.blocks = nn.ModuleList(DecoderBlock(s["p_width"], s["width"], s["p_heads"]) for _ in range(s["p_depth"]))
        self.norm = nn.LayerNorm(s["p_width"])
        self.proj = nn.Linear(s["p_width"], s["width"])

    def forward(self, context, centers):
        """context [B,n,D], centers of one block [B,L,3] -> [B,L,D]."""
        x = self.mask_token + self.positional_encoding(centers)
        for block in self.blocks:
            x = block(x, context)
        return self.proj(self.norm(x))


class Jepa3d(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.tokenizer = Tokenizer(s["c1"], s["c2"], s["c3"], s["width"])
        self.positional_encoding = position_mlp(s["width"])
        self.student = Transformer(s["width"], s["depth"], s["heads"])
        self.teacher = nn.Module()
        self.teacher.ema_model = Transformer(s["width"], s["depth"], s["heads"]).requires_grad_(False)
        self.decoder = Decoder(s)

    def forward(self, patches, centers, context_at, targets_at):
        tokens, positions = self.tokenizer(patches), self.positional_encoding(centers)
        with torch.no_grad():
            target = self.teacher.ema_model
            goal = target.norm(target(tokens, positions, True))
        context = self.student.norm(self.student(pick(tokens, context_at), pick(positions, context_at), True))
        guess = torch.stack([self.decoder(context, pick(centers, targets_at[:, m])) for m in range(M)], 1)
        goal = torch.stack([pick(goal, targets_at[:, m]) for m in range(M)], 1)
        loss = (1 - F.cosine_similarity(guess, goal, dim=-1, eps=1e-6)).mean()
        return dict(predictions=guess, targets=goal, context=context, loss=loss)


def draw_blocks(rng):
    """Any lists will do: blocks that may overlap, and a context outside of them."""
    targets = np.stack([[rng.permutation(G)[:L] for _ in range(M)] for _ in range(B)])
    left = [np.setdiff1d(np.arange(G), t) for t in targets]
    context = np.stack([np.sort(rng.permutation(x)[:N]) for x in left])
    return torch.from_numpy(context), torch.from_numpy(targets)


def golden(seed):
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    model = Jepa3d(SIZES).to(torch.float64)
    base.draw_weights(model, generator)
    patches, centers = base.draw_clouds(generator)
    context_at, targets_at = draw_blocks(rng)
    tensors = base.base_tensors(model, patches, centers)
    tensors |= {"input/context": context_at.contiguous(), "input/targets": targets_at.contiguous()}
    model.train()
    out = model(patches, centers, context_at, targets_at)
    if not base.is_clear(model):
        return None
    tensors |= {f"out/{n}": f32(t.detach()) for n, t in out.items()}
    out["loss"].backward()
    return tensors | base.learned(model, False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    base.write_first("jepa_3d.safetensors", golden)
