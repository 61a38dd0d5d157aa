"""One training step in PyTorch, of Point-JEPA or of the official classifier: what `train` of these benches does, written for speed.

Usage: train_peer.py full|small|finetune-full|finetune-small[-bf16] [--batch 32] [--steps 10] [--threads 2]
                     [--device cuda] [--compile]
       train_peer.py check            sizes of the official model, and that a loss falls
Needs: pip install torch numpy
Model: the official recipe's. A point network makes a token of every patch (3-128-batch norm-256, maximum, 512-batch
       norm-512-width, maximum); an MLP makes positions, added before every block; the target encoder sees all 64 tokens, the
       context encoder 18, the predictor answers for 4 blocks of 11; smooth L1 with beta 2 against the layer norm of the
       target encoder's last block. AdamW on everything, then an average of weights.
       full: 12 blocks of 384, predictor 6 of 192, 6 heads; small: 6 of 192, predictor 3 of 96, 3 heads.
       finetune-*: the same encoder on all 64 tokens and the official head for 40 classes, label smoothing 0.1.
Fast:  the four target blocks, which do not see each other, are one batch; the 512 x 512 layer behind the first maximum is two
       products, so that global and local features are never concatenated; attention and AdamW are PyTorch's fused ones;
       glibc keeps freed memory instead of giving it back to the kernel.
bf16:  the losses under autocast to bfloat16, as PyTorch recommends; parameters and optimiser in f32.
Device: --device cuda does everything there, --compile hands the losses to torch.compile.
Prints one JSON object: samples_per_s of the median step, and split_ms, medians of its parts measured apart.
"""

import argparse
import copy
import ctypes
import json
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PATCHES, POINTS, CONTEXT, TARGETS, LENGTH = 64, 32, 18, 4, 11
SIZES = {"full": (384, 12, 6, 192, 6, 6), "small": (192, 6, 3, 96, 3, 3)}
DROPOUT, ATTENTION_DROPOUT, DEPTH_DROPOUT = 0.1, 0.05, 0.25
CLASSES, FINETUNE, BF16 = 40, "finetune-", "-bf16"


def keep_freed_memory():
    """mallopt: no blocks of their own for large requests, no trimming."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)
        libc.mallopt(-1, -1)
    except OSError:
        pass  # another libc


class PatchTokens(nn.Module):
    """Patches [B, G, K, 3] to tokens [B, G, D]."""

    def __init__(self, width):
        super().__init__()
        self.points = nn.Sequential(nn.Linear(3, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 256))
        self.whole = nn.Linear(256, 512, bias=False)
        self.single = nn.Linear(256, 512, bias=False)
        self.rest = nn.Sequential(nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, width))

    def forward(self, patches):
        batch, groups, points, _ = patches.shape
        local = self.points(patches.flatten(0, 2))
        whole = local.view(batch * groups, points, -1).amax(1)
        mixed = self.single(local).view(batch * groups, points, -1) + self.whole(whole)[:, None]
        return self.rest(mixed.flatten(0, 1)).view(batch, groups, points, -1).amax(2)


def positions(width):
    return nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))


class Layer(nn.Module):
    """A transformer block with norms in front, and branches that whole samples may skip."""

    def __init__(self, width, heads, skip):
        super().__init__()
        self.heads, self.skip = heads, skip
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(4 * width, width))

    def attention(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).transpose(1, 3).unbind(2)
        found = F.scaled_dot_product_attention(q, k, v, dropout_p=ATTENTION_DROPOUT if self.training else 0.0)
        return self.joined(found.transpose(1, 2).reshape(batch, length, width))

    def branch(self, found):
        if not self.training:
            return found
        found = F.dropout(found, DROPOUT)
        if self.skip > 0:
            found = found * found.new_empty(len(found), 1, 1).bernoulli_(1 - self.skip).div_(1 - self.skip)
        return found

    def forward(self, x):
        x = x + self.branch(self.attention(self.before_attention(x)))
        return x + self.branch(self.mlp(self.before_mlp(x)))


class Trunk(nn.ModuleList):
    """Blocks that see the positions anew in each of them."""

    def __init__(self, width, depth, heads):
        super().__init__(Layer(width, heads, DEPTH_DROPOUT * i / (depth - 1)) for i in range(depth))

    def forward(self, tokens, places):
        for layer in self:
            tokens = layer(tokens + places)
        return tokens


class Predictor(nn.Module):
    """Context tokens, and queries that know where, to the tokens asked for."""

    def __init__(self, width, narrow, depth, heads):
        super().__init__()
        self.enter, self.leave = nn.Linear(width, narrow), nn.Linear(narrow, width)
        self.places, self.query = positions(narrow), nn.Parameter(torch.zeros(narrow))
        self.layers = nn.Sequential(*(Layer(narrow, heads, DEPTH_DROPOUT * i / (depth - 1)) for i in range(depth)))
        self.norm = nn.LayerNorm(narrow)

    def forward(self, context, context_centers, target_centers):
        batch, blocks, length, _ = target_centers.shape
        known = (self.enter(context) + self.places(context_centers)).repeat_interleave(blocks, 0)
        queries = (self.query + self.places(target_centers)).flatten(0, 1)
        answers = self.layers(torch.cat([known, queries], 1))[:, -length:]
        return self.leave(self.norm(answers)).view(batch, blocks, length, -1)


class Model(nn.Module):
    def __init__(self, size):
        super().__init__()
        width, depth, heads, narrow, predictor_depth, predictor_heads = SIZES[size]
        self.tokens, self.places = PatchTokens(width), positions(width)
        self.trunk, self.norm = Trunk(width, depth, heads), nn.LayerNorm(width)
        self.predictor = Predictor(width, narrow, predictor_depth, predictor_heads)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
        self.target = copy.deepcopy(self.trunk).requires_grad_(False)
        self.train()
        self.target.eval()

    def loss(self, patches, centers, context, targets, mark):
        tokens, places = self.tokens(patches), self.places(centers)
        mark("tokenizer")
        with torch.no_grad():
            goal = self.target(tokens, places)
            goal = F.layer_norm(goal, goal.shape[-1:])[:, targets]
        mark("target")
        seen = self.norm(self.trunk(tokens[:, context], places[:, context]))
        mark("context")
        found = self.predictor(seen, centers[:, context], centers[:, targets])
        loss = F.smooth_l1_loss(found, goal, beta=2.0)
        mark("predictor")
        return loss


class Classifier(nn.Module):
    """The encoder on all tokens, maximum and mean of them, two hidden layers of 256."""

    def __init__(self, size):
        super().__init__()
        width, depth, heads, *_ = SIZES[size]
        self.tokens, self.places = PatchTokens(width), positions(width)
        self.trunk, self.norm = Trunk(width, depth, heads), nn.LayerNorm(width)
        hidden = lambda inputs: (nn.Linear(inputs, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Sequential(*hidden(2 * width), *hidden(256), nn.Linear(256, CLASSES))
        self.train()

    def loss(self, patches, centers, labels, mark):
        seen = self.norm(self.trunk(self.tokens(patches), self.places(centers)))
        scores = self.head(torch.cat([seen.amax(1), seen.mean(1)], -1))
        loss = F.cross_entropy(scores, labels, label_smoothing=0.1)
        mark("forward")
        return loss


class Run:
    """A model, its optimiser, and batches of random patches to step on."""

    def __init__(self, size, batch, compiled=False):
        torch.manual_seed(0)
        self.rng = np.random.default_rng(0)
        self.is_finetuned, self.is_bf16 = size.startswith(FINETUNE), size.endswith(BF16)
        size = size.removesuffix(BF16)
        self.model = Classifier(size.removeprefix(FINETUNE)) if self.is_finetuned else Model(size)
        self.loss = torch.compile(self.model.loss) if compiled else self.model.loss
        self.labels = torch.arange(batch) % CLASSES
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-3, weight_decay=0.05, fused=True)
        self.centers = F.normalize(torch.randn(batch, PATCHES, 3), dim=-1)
        self.patches = 0.08 * torch.randn(batch, PATCHES, POINTS, 3)

    def masks(self):
        """Four runs that may overlap, and a run of the rest: those of the recipe at their mean lengths."""
        starts = self.rng.integers(0, PATCHES - LENGTH + 1, TARGETS)
        targets = starts[:, None] + np.arange(LENGTH)
        rest = np.setdiff1d(np.arange(PATCHES), targets)
        start = self.rng.integers(0, len(rest) - CONTEXT + 1)
        return (torch.from_numpy(chosen).to(self.patches.device) for chosen in (rest[start : start + CONTEXT], targets))

    def step(self, mark=lambda part: None):
        asked = (self.labels,) if self.is_finetuned else self.masks()
        with torch.autocast(self.patches.device.type, torch.bfloat16, enabled=self.is_bf16):
            loss = self.loss(self.patches, self.centers, *asked, mark)
        loss.backward()
        mark("backward")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.is_finetuned:
            mark("update")
            return loss.item()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.model.target.parameters()), list(self.model.trunk.parameters()), 0.0005)
        mark("update")
        return loss.item()


def measure(size, batch, steps, compiled):
    run = Run(size, batch, compiled)
    for _ in range(2):
        run.step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        run.step()
        seconds.append(time.perf_counter() - start)
    parts = {}
    for _ in range(min(steps, 5)):
        last = time.perf_counter()

        def mark(part):
            nonlocal last
            now = time.perf_counter()
            parts.setdefault(part, []).append(1e3 * (now - last))
            last = now

        run.step(mark)
    split = {part: round(statistics.median(times), 2) for part, times in parts.items()}
    memory = torch.cuda.max_memory_allocated() if run.patches.is_cuda else 0
    print(json.dumps({"samples_per_s": batch / statistics.median(seconds), "split_ms": split, "peak_bytes": memory}))


def check():
    """The sizes of the official model (millions of parameters), and a loss that falls."""
    model = Model("full")
    parts = {"tokens": 0.494, "places": 0.050, "predictor": 2.843}
    for name, expected in parts.items():
        found = sum(p.numel() for p in getattr(model, name).parameters()) / 1e6
        print(f"{name}: {found:.3f} M parameters, expected {expected:.3f}", file=sys.stderr)
        assert abs(found - expected) < 6e-4
    trunk = sum(p.numel() for part in (model.trunk, model.norm) for p in part.parameters()) / 1e6
    assert abs(trunk - 21.294) < 6e-4, trunk
    run = Run("small", 4)
    losses = [run.step() for _ in range(20)]
    assert losses[-1] < losses[0], losses
    assert all(p.requires_grad is False for p in run.model.target.parameters())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=("check", *(task + size + kind for task in ("", FINETUNE) for size in SIZES for kind in ("", BF16))))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_default_device(args.device)
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    if args.size == "check":
        check()
    else:
        measure(args.size, args.batch, args.steps, args.compile)


if __name__ == "__main__":
    main()
