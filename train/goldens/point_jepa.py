"""PyTorch twin of Point-JEPA as jepa3d defines it; writes the golden files the Rust tests compare with.

The two presets and the raw-coordinate baseline at a tiny size, parameters under the names of the official state dict.
Weights and inputs are drawn, rounded to f32, and everything after that is computed in f64 and stored as f32, so a golden
carries no error of its own. README.md says what every tensor is.

Usage: python point_jepa.py            (torch 2.x, numpy, safetensors; writes into its own folder)
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent
B, G, K = 3, 16, 8
# Widths that differ wherever two of them could be confused; depth and heads small, so that files stay small.
LATENT = dict(width=12, depth=3, heads=3, p_width=6, p_depth=2, p_heads=3, c1=8, c2=16, c3=32, sinusoids=False)
REGION = dict(width=18, depth=2, heads=3, p_width=12, p_depth=2, p_heads=3, c1=8, c2=16, c3=32, sinusoids=True)
LR, BETAS, EPS, DECAY, TAU = 1e-3, (0.9, 0.999), 1e-8, 0.05, 0.99
# Below these gaps f32 and f64 could disagree about a maximum or the sign of a ReLU's input: another seed is tried.
MAX_GAP, RELU_GAP = 2e-5, 2e-6


class Embedding(nn.Module):
    """Mini-PointNet: patches [B,G,K,3] -> tokens [B,G,D]; keeps the smallest gaps of its maxima and ReLUs."""

    def __init__(self, c1, c2, c3, width):
        super().__init__()
        self.first_conv = nn.Sequential(nn.Conv1d(3, c1, 1, bias=False), nn.BatchNorm1d(c1), nn.ReLU(), nn.Conv1d(c1, c2, 1))
        self.second_conv = nn.Sequential(
            nn.Conv1d(2 * c2, c3, 1, bias=False), nn.BatchNorm1d(c3), nn.ReLU(), nn.Conv1d(c3, width, 1)
        )

    def largest(self, x):
        top = x.topk(2, dim=2).values
        self.max_gap = min(self.max_gap, (top[..., 0] - top[..., 1]).min().item())
        return x.max(dim=2, keepdim=True).values

    def stage(self, layers, x):
        x = layers[1](layers[0](x))
        self.relu_gap = min(self.relu_gap, x.abs().min().item())
        return layers[3](layers[2](x))

    def forward(self, patches):
        self.max_gap = self.relu_gap = math.inf
        b, g, k, _ = patches.shape
        local = self.stage(self.first_conv, patches.reshape(b * g, k, 3).transpose(1, 2))
        both = torch.cat([self.largest(local).expand(-1, -1, k), local], dim=1)
        return self.largest(self.stage(self.second_conv, both)).reshape(b, g, -1)


class Tokenizer(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.embedding = nn.Module()
        self.embedding.encoder = Embedding(*widths)

    def forward(self, patches):
        return self.embedding.encoder(patches)


def position_mlp(width):
    return nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))


def sinusoids(centers, width):
    """centers [..,3] -> [..,width]: per axis width/6 sines then width/6 cosines, wavelengths geometric from 0.1 to 4."""
    n = width // 6
    wave = 0.1 * (4.0 / 0.1) ** (torch.arange(n, dtype=torch.float64) / (n - 1))
    angle = centers.unsqueeze(-1) * (2 * math.pi / wave)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def attention(q, k, v):
    """q, k, v [..,T,d] -> [..,T,d]; scale 1/sqrt(d)."""
    return ((q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])).softmax(-1) @ v


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(attention(q, k, v).transpose(1, 2).reshape(b, t, d))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, width, depth, heads):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x, positions, every_block):
        """Hidden state after the last block, before the final norm."""
        for i, block in enumerate(self.blocks):
            x = block(x + positions if every_block or i == 0 else x)
        return x


class Predictor(nn.Module):
    def __init__(self, width, p_width, p_depth, p_heads, out, with_mlp):
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, p_width))
        self.predictor_embed = nn.Linear(width, p_width)
        if with_mlp:
            self.positional_encoding = position_mlp(p_width)
            # Declared by the official code and never used.
            self.predictor_norm = nn.LayerNorm(p_width)
        self.predictor = Transformer(p_width, p_depth, p_heads)
        self.predictor_proj = nn.Linear(p_width, out)

    def forward(self, context, context_positions, target_positions):
        """context [B,n,D], positions [B,n,P] and [B,L,P] -> predictions [B,L,out]."""
        known = self.predictor_embed(context) + context_positions
        sequence = torch.cat([known, self.mask_token + target_positions], dim=1)
        for block in self.predictor.blocks:
            sequence = block(sequence)
        return self.predictor_proj(self.predictor.norm(sequence[:, -target_positions.shape[1] :]))


class PointJepa(nn.Module):
    def __init__(self, s, coordinates=False):
        super().__init__()
        self.s = s
        self.tokenizer = Tokenizer(s["c1"], s["c2"], s["c3"], s["width"])
        if not s["sinusoids"]:
            self.positional_encoding = position_mlp(s["width"])
            self.mask_token = nn.Parameter(torch.zeros(s["width"]))
        self.student = Transformer(s["width"], s["depth"], s["heads"])
        if not coordinates:
            self.teacher = nn.Module()
            self.teacher.ema_model = Transformer(s["width"], s["depth"], s["heads"]).requires_grad_(False)
        out = 3 * K if coordinates else s["width"]
        self.predictor = Predictor(s["width"], s["p_width"], s["p_depth"], s["p_heads"], out, not s["sinusoids"])

    def places(self, centers):
        """Positions for the encoder [B,G,D] and for the predictor [B,G,P]."""
        if self.s["sinusoids"]:
            return sinusoids(centers, self.s["width"]), sinusoids(centers, self.s["p_width"])
        return self.positional_encoding(centers), self.predictor.positional_encoding(centers)

    def latent(self, patches, centers, context_at, targets_at):
        """Section 2: one context [n] and M overlapping runs [M,L] for the whole batch, positions before every block."""
        tokens = self.tokenizer(patches)
        positions, p_positions = self.places(centers)
        with torch.no_grad():
            latents = self.teacher.ema_model(tokens, positions, True)
            goal = F.layer_norm(latents, latents.shape[-1:])
        context = self.student.norm(self.student(tokens[:, context_at], positions[:, context_at], True))
        guess = torch.stack([self.predictor(context, p_positions[:, context_at], p_positions[:, run]) for run in targets_at], 1)
        loss = F.smooth_l1_loss(guess, goal[:, targets_at], beta=2.0)
        return dict(tokens=tokens, positions=positions, target_latents=latents, targets=goal, context=context,
                    predictions=guess, loss=loss)

    def region(self, patches, centers, context_at, targets_at):
        """Section 3: masks [B,n] per sample, positions once, targets after the final norm, one pass, sum_dim."""
        tokens = self.tokenizer(patches)
        positions, p_positions = self.places(centers)
        with torch.no_grad():
            hidden = self.teacher.ema_model(tokens, positions, False)
            latents = self.teacher.ema_model.norm(hidden)
            goal = F.layer_norm(latents, latents.shape[-1:])
        context, guess = self.encode_and_predict(tokens, positions, p_positions, context_at, targets_at)
        error = guess - pick(goal, targets_at)
        return dict(tokens=tokens, positions=positions, target_hidden=hidden, target_latents=latents, targets=goal,
                    context=context, predictions=guess, loss=(error**2).sum(-1).mean(), loss_mean_elem=(error**2).mean())

    def encode_and_predict(self, tokens, positions, p_positions, context_at, targets_at):
        hidden = self.student(pick(tokens, context_at), pick(positions, context_at), False)
        context = self.student.norm(hidden)
        return context, self.predictor(context, pick(p_positions, context_at), pick(p_positions, targets_at))

    def coordinates(self, patches, centers, context_at, targets_at):
        """The raw-coordinate baseline: as `region`, but the K local points of each masked patch, symmetric Chamfer."""
        tokens = self.tokenizer(patches)
        positions, p_positions = self.places(centers)
        context, guess = self.encode_and_predict(tokens, positions, p_positions, context_at, targets_at)
        guess = guess.unflatten(-1, (K, 3))
        goal = patches[torch.arange(B).unsqueeze(1), targets_at]
        squared = ((guess.unsqueeze(-2) - goal.unsqueeze(-3)) ** 2).sum(-1)
        loss = squared.amin(-1).mean() + squared.amin(-2).mean()
        return dict(tokens=tokens, positions=positions, targets=goal, context=context, predictions=guess, loss=loss)


def pick(x, at):
    """x [B,G,..], at [B,n] -> [B,n,..]."""
    return x[torch.arange(x.shape[0]).unsqueeze(1), at]


def f32(x):
    return torch.as_tensor(x).to(torch.float32).contiguous()


def rounded(x):
    return x.to(torch.float32).to(torch.float64)


def draw_weights(model, generator):
    """Weights uniform in +-1/sqrt(fan_in), norms near 1 and 0, tokens and running statistics away from their start."""
    uniform = lambda p, bound: p.copy_(rounded((torch.rand(p.shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)):
                bound = 1 / math.sqrt(module.weight.shape[1])
                for p in module.parameters():
                    uniform(p, bound)
            if isinstance(module, (nn.LayerNorm, nn.BatchNorm1d)):
                uniform(module.weight, 0.4).add_(1.0)
                uniform(module.bias, 0.3)
                module.weight.copy_(rounded(module.weight))
            if isinstance(module, nn.BatchNorm1d):
                uniform(module.running_mean, 0.2)
                module.running_var.copy_(rounded(uniform(module.running_var, 0.1) + 0.3))
        for name, p in model.named_parameters():
            if name.endswith("mask_token"):
                uniform(p, 0.6)


def draw_clouds(generator):
    """Centers on a noisy sphere [B,G,3], patches [B,G,K,3] around them."""
    normal = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    centers = F.normalize(normal(B, G, 3), dim=-1) * (0.7 + 0.3 * torch.rand(B, G, 1, generator=generator, dtype=torch.float64))
    return rounded(0.15 * normal(B, G, K, 3)), rounded(centers)


def region_mask(centers, anchors, n):
    """Anchor-and-expand of section 3 for one sample: centers [G,3] -> the n target indices, ascending."""
    distance = ((centers[:, None] - centers[None]) ** 2).sum(-1).numpy()
    total = len(distance)
    order = lambda a: sorted(range(total), key=lambda j: (distance[a, j], j))
    inside = set()
    for a in anchors:
        inside.update(order(a)[: -(-n // len(anchors))])
    while len(inside) > n:
        inside.remove(max(inside, key=lambda j: (min(distance[a, j] for a in anchors), j)))
    turn = 0
    while len(inside) < n:
        inside.add(next(j for j in order(anchors[turn % len(anchors)]) if j not in inside))
        turn += 1
    return sorted(inside)


def draw_masks(kind, centers, rng):
    if kind == "latent":
        # Four runs, two of which overlap, then consecutive entries of what no run covers.
        targets = np.array([[1, 2, 3], [2, 3, 4], [7, 8, 9], [12, 13, 14]])
        left = np.setdiff1d(np.arange(G), targets)
        return torch.from_numpy(left[1:5]), torch.from_numpy(targets), {}
    n = math.floor(0.65 * G + 1e-9)
    anchors = np.stack([rng.permutation(G)[:4] for _ in range(B)])
    targets = np.array([region_mask(centers[b], anchors[b].tolist(), n) for b in range(B)])
    context = np.array([np.setdiff1d(np.arange(G), row) for row in targets])
    return torch.from_numpy(context), torch.from_numpy(targets), {"input/anchors": torch.from_numpy(anchors)}


def trained(model):
    unused = ("mask_token", "predictor.predictor_norm.weight", "predictor.predictor_norm.bias")
    return {name: p for name, p in model.named_parameters() if p.requires_grad and name not in unused}


def adamw(model, decay_all):
    """Section 2.6 decays everything; section 3 leaves out biases, norms and tokens."""
    exempt = lambda name, p: not decay_all and (p.dim() == 1 or name.endswith(("mask_token", "modality")))
    named = trained(model).items()
    groups = [
        dict(params=[p for n, p in named if not exempt(n, p)], weight_decay=DECAY),
        dict(params=[p for n, p in named if exempt(n, p)], weight_decay=0.0),
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=LR, betas=BETAS, eps=EPS)


def base_tensors(model, patches, centers):
    """Weights and clouds under their golden names."""
    tensors = {f"weights/{n}": f32(t) if t.is_floating_point() else t.clone() for n, t in model.state_dict().items()}
    return tensors | {"input/patches": f32(patches), "input/centers": f32(centers)}


def is_clear(model):
    """Whether no maximum and no ReLU of the last forward is too close to a tie."""
    encoder = model.tokenizer.embedding.encoder
    return encoder.max_gap >= MAX_GAP and encoder.relu_gap >= RELU_GAP


def learned(model, decay_all):
    """After the backward: gradients, running statistics, parameters after one step of AdamW, the EMA of the student."""
    tensors = {f"grad/{n}": f32(p.grad) for n, p in trained(model).items()}
    tensors |= {f"after/{n}": f32(t) if t.is_floating_point() else t.clone() for n, t in model.named_buffers()}
    adamw(model, decay_all).step()
    tensors |= {f"adamw/{n}": f32(p.detach()) for n, p in trained(model).items()}
    if hasattr(model, "teacher"):
        for (name, ours), theirs in zip(model.teacher.ema_model.named_parameters(), model.student.parameters()):
            tensors[f"ema/teacher.ema_model.{name}"] = f32(ours * TAU + theirs.detach() * (1 - TAU))
    return tensors


def golden(kind, seed):
    """One file's tensors, or None where a maximum or a ReLU is too close to a tie."""
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    model = PointJepa(LATENT if kind == "latent" else REGION, kind == "coordinates").to(torch.float64)
    draw_weights(model, generator)
    patches, centers = draw_clouds(generator)
    context_at, targets_at, tensors = draw_masks(kind, centers, rng)
    tensors |= base_tensors(model, patches, centers)
    tensors |= {"input/context": context_at.to(torch.int64).contiguous(), "input/targets": targets_at.to(torch.int64).contiguous()}
    if kind != "coordinates":
        tensors |= {"weights/teacher.initted": torch.ones(1), "weights/teacher.step": torch.tensor([7])}
    with torch.no_grad():
        tensors["out/tokens_eval"] = f32(model.eval().tokenizer(patches))
    model.train()
    out = getattr(model, kind)(patches, centers, context_at, targets_at)
    if not is_clear(model):
        return None
    tensors |= {f"out/{n}": f32(t.detach()) for n, t in out.items()}
    out["tokens"].retain_grad()
    out["loss"].backward()
    if kind == "latent":
        tensors["out/tokens_gradient"] = f32(out["tokens"].grad)
    # BatchNorm takes away again what the first convolution's last bias adds, so its gradient is 0 but for rounding.
    silent = [n for n, p in trained(model).items() if p.grad.abs().max() < 1e-12]
    assert silent == ["tokenizer.embedding.encoder.first_conv.3.bias"], silent
    tensors |= learned(model, kind == "latent")
    return tensors


def write_first(name, golden):
    """The first seed whose golden is clear."""
    seed, tensors = next((s, t) for s in range(2000) if (t := golden(s)) is not None)
    save_file(tensors, HERE / name, metadata={"seed": str(seed)})
    print(f"{name}: seed {seed}, loss {tensors['out/loss'].item():.6f}, {(HERE / name).stat().st_size} bytes")


def with_gradients(prefix, inputs, compute, generator):
    """The inputs, the output, a random output gradient `dy`, and the gradient `d<name>` of every input."""
    inputs = {n: rounded(x).requires_grad_() for n, x in inputs.items()}
    y = compute(**inputs)
    dy = rounded(torch.randn(y.shape, generator=generator, dtype=torch.float64))
    y.backward(dy)
    tensors = {n: x.detach() for n, x in inputs.items()} | {"y": y.detach(), "dy": dy} | {f"d{n}": x.grad for n, x in inputs.items()}
    return {f"{prefix}/{n}": f32(x) for n, x in tensors.items()}


def write_operations():
    g = torch.Generator().manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)
    edge = torch.tensor([-12.0, -6.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 3.0, 6.0, 12.0], dtype=torch.float64)
    heads = lambda: normal(2, 3, 7, 4)
    tensors = with_gradients("layer_norm", dict(x=3 * normal(5, 24) + 2, w=1 + normal(24), b=normal(24)),
                             lambda x, w, b: F.layer_norm(x, (24,), w, b), g)
    tensors |= with_gradients("layer_norm_free", dict(x=3 * normal(5, 24) + 2), lambda x: F.layer_norm(x, (24,)), g)
    tensors |= with_gradients("softmax", dict(x=4 * normal(6, 11)), lambda x: x.softmax(-1), g)
    tensors |= with_gradients("attention", dict(q=2 * heads(), k=2 * heads(), v=heads()), attention, g)
    tensors |= with_gradients("gelu", dict(x=torch.cat([edge, 2 * normal(32)])), F.gelu, g)
    # Errors on both sides of beta.
    tensors |= with_gradients("smooth_l1", dict(prediction=3 * normal(4, 9), target=normal(4, 9)),
                              lambda prediction, target: F.smooth_l1_loss(prediction, target, beta=2.0), g)
    save_file(tensors, HERE / "operations.safetensors")


def nearest_order(centers, start):
    """Greedy order: from `start`, always the unvisited center nearest to the last one."""
    distance = ((centers[:, None] - centers[None]) ** 2).sum(-1)
    order = [start]
    while len(order) < len(centers):
        row = distance[order[-1]].copy()
        row[order] = np.inf
        first, second = np.sort(row)[:2]
        assert second - first > 1e-6 or np.isinf(second)
        order.append(int(row.argmin()))
    return order


def morton_order(centers):
    """Codes of round(2^21 - 256 (c + |min - 1/2|)), all in f32, min over all coordinates; x the lowest bit, z the highest."""
    shift = np.abs(centers.min() - np.float32(0.5))
    cells = np.round(np.float32(2**21) - np.float32(256) * (centers + shift)).astype(np.int64) & 0x1FFFFF
    codes = [sum(((int(cell[axis]) >> bit) & 1) << (3 * bit + axis) for bit in range(21) for axis in range(3)) for cell in cells]
    return codes, sorted(range(len(codes)), key=lambda i: (codes[i], i))


def write_orders():
    generator = torch.Generator().manual_seed(3)
    clouds = [draw_clouds(generator)[1] for _ in range(4)]
    centers = torch.cat([c.reshape(-1, 3) for c in clouds])[:192].reshape(3, 64, 3).to(torch.float32).numpy()
    wide = centers.astype(np.float64)
    morton = [morton_order(c) for c in centers]
    anchors = np.random.default_rng(5).permuted(np.tile(np.arange(64), (3, 1)), axis=1)[:, :4]
    tensors = {
        "centers": torch.from_numpy(centers),
        "iterative_nearest_min_start": torch.tensor([nearest_order(c, int(c.sum(1).argmin())) for c in wide]),
        "iterative_nearest": torch.tensor([nearest_order(c, 0) for c in wide]),
        "morton_codes": torch.tensor([codes for codes, _ in morton]),
        "morton": torch.tensor([order for _, order in morton]),
        "region_anchors": torch.from_numpy(anchors.copy()),
    }
    for n in (38, 41, 48):
        tensors[f"region_{n}"] = torch.tensor([region_mask(torch.from_numpy(c), a.tolist(), n) for c, a in zip(wide, anchors)])
    save_file(tensors, HERE / "orders.safetensors")


def write_schedules():
    """Section 2.6 and 2.2 at their official lengths; section 3 with 100 steps an epoch."""
    def lr(e):
        warm = 1e-5 + e * (1e-3 - 1e-5) / 29
        return warm if e < 30 else 1e-6 + (1e-3 - 1e-6) * (1 + math.cos(math.pi * (e - 30) / 470)) / 2

    total = 40_500
    tau = lambda u: 0.0 if u <= 2 else 0.9995 + (0.99999 - 0.9995) * (u - 1) / total
    steps, per_epoch = 300 * 100, 100
    region_tau = lambda t: 1 - (1 - 0.996) * (1 + math.cos(math.pi * t / steps)) / 2

    def region_lr(t):
        warm = 40 * per_epoch
        rise = 1e-6 + (1.5e-4 - 1e-6) * t / warm
        return rise if t < warm else 1e-6 + (1.5e-4 - 1e-6) * (1 + math.cos(math.pi * (t - warm) / (steps - warm))) / 2

    table = {
        "point_jepa": {
            "epochs": 500, "warmup_epochs": 30, "lr_start": 1e-5, "lr": 1e-3, "lr_end": 1e-6,
            "lr_at_epoch": {str(e): lr(e) for e in (0, 1, 29, 30, 31, 265, 499)},
            "tau_start": 0.9995, "tau_end": 0.99999, "total_updates": total,
            "tau_at_update": {str(u): tau(u) for u in (1, 2, 3, 4, 20_250, total)},
        },
        "point_jepa_region": {
            "epochs": 300, "warmup_epochs": 40, "steps_per_epoch": per_epoch, "lr_start": 1e-6, "lr": 1.5e-4, "lr_end": 1e-6,
            "lr_at_step": {str(t): region_lr(t) for t in (0, 1, 3999, 4000, 4001, 17_000, 29_999, 30_000)},
            "tau_start": 0.996, "tau_end": 1.0,
            "tau_at_step": {str(t): region_tau(t) for t in (0, 1, 2, 15_000, 29_999, 30_000)},
        },
    }
    (HERE / "schedules.json").write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_first("point_jepa.safetensors", lambda seed: golden("latent", seed))
    write_first("point_jepa_region.safetensors", lambda seed: golden("region", seed))
    write_first("point_jepa_coordinates.safetensors", lambda seed: golden("coordinates", seed))
    write_operations()
    write_orders()
    write_schedules()
