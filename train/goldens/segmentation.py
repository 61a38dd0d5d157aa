"""PyTorch twin of the part-segmentation and scene heads as jepa3d defines them; writes segmentation.safetensors.

Block outputs of three depths, points, centers and labels are drawn; the heads read them. Names of parameters are those of the
official state dict. Rounding and what the tensors are called: point_jepa.py and README.md. Dropout is 0.

Usage: python segmentation.py            (torch 2.x, numpy, safetensors; writes into its own folder)
"""

import torch
import torch.nn.functional as F
from torch import nn

import point_jepa as base
from point_jepa import f32, rounded

B, G, N, D, DEPTHS = 3, 16, 20, 12, 3
UP, HIDDEN, CLASSES, PARTS, EMBEDDING = 10, 16, 4, 9, 64
EPSILON = torch.finfo(torch.float32).eps


def interpolate(points, centers, features):
    """points [B,N,3], centers [B,G,3], features [B,G,C] -> [B,N,C]."""
    square = ((points[:, :, None] - centers[:, None]) ** 2).sum(-1)
    near, at = square.topk(3, dim=-1, largest=False)
    weights = 1 / (near + EPSILON)
    weights = weights / weights.sum(-1, keepdim=True)
    return (features[torch.arange(B)[:, None, None], at] * weights[..., None]).sum(2)


class Upsampling(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp_convs = nn.ModuleList([nn.Conv1d(3 + D, UP, 1, bias=False), nn.Conv1d(UP, UP, 1, bias=False)])
        self.mlp_bns = nn.ModuleList([nn.BatchNorm1d(UP), nn.BatchNorm1d(UP)])

    def forward(self, points, centers, features):
        x = torch.cat([points, interpolate(points, centers, features)], dim=-1).transpose(1, 2)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns):
            x = F.relu(norm(conv(x)))
        return x


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.label_embedding = nn.Sequential(
            nn.Linear(CLASSES, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING), nn.LeakyReLU(0.2)
        )
        self.upsampling = Upsampling()
        self.seg_head = nn.Sequential(
            nn.Conv1d(UP + 2 * D + EMBEDDING, HIDDEN, 1, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Dropout(0.0),
            nn.Conv1d(HIDDEN, HIDDEN // 2, 1, bias=False), nn.BatchNorm1d(HIDDEN // 2), nn.ReLU(),
            nn.Conv1d(HIDDEN // 2, PARTS, 1),
        )
        self.scene_head = nn.Linear(D, PARTS)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.register_forward_hook(self.watch)

    def watch(self, _module, _inputs, output):
        self.relu_gap = min(self.relu_gap, output.abs().min().item())

    def forward(self, hidden, points, centers, classes):
        """hidden [DEPTHS,B,G,D] -> scores [B N, PARTS] of parts and of the scene head."""
        self.relu_gap = float("inf")
        tokens = F.layer_norm(hidden, (D,)).mean(0)
        top = tokens.topk(2, dim=1).values
        self.max_gap = (top[:, 0] - top[:, 1]).min().item()
        label = self.label_embedding(F.one_hot(classes, CLASSES).to(tokens.dtype))
        whole = torch.cat([tokens.max(1).values, tokens.mean(1), label], dim=-1)
        x = self.upsampling(points, centers, tokens)
        x = self.seg_head(torch.cat([x, whole.unsqueeze(-1).expand(-1, -1, N)], dim=1))
        scenes = self.scene_head(interpolate(points, centers, tokens))
        return x.transpose(1, 2).reshape(B * N, PARTS), scenes.reshape(B * N, PARTS)


def golden(seed):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: rounded(torch.randn(*shape, generator=generator, dtype=torch.float64))
    model = Heads().to(torch.float64)
    base.draw_weights(model, generator)
    hidden = normal(DEPTHS, B, G, D).requires_grad_(True)
    points, centers = normal(B, N, 3), normal(B, G, 3)
    classes = torch.randint(0, CLASSES, (B,), generator=generator)
    labels = torch.randint(0, PARTS, (B * N,), generator=generator)
    tensors = {f"weights/{n}": f32(t) if t.is_floating_point() else t.clone() for n, t in model.state_dict().items()}
    tensors |= {"input/hidden": f32(hidden.detach()), "input/points": f32(points), "input/centers": f32(centers)}
    tensors |= {"input/classes": classes, "input/labels": labels}
    model.eval()
    tensors["out/parts_eval"] = f32(model(hidden, points, centers, classes)[0].detach())
    model.train()
    parts, scenes = model(hidden, points, centers, classes)
    if model.relu_gap < base.RELU_GAP or model.max_gap < base.MAX_GAP:
        return None
    loss = F.cross_entropy(parts, labels) + 0.5 * F.cross_entropy(scenes, labels)
    loss.backward()
    tensors |= {"out/parts": f32(parts.detach()), "out/scenes": f32(scenes.detach()), "out/loss": f32(loss.detach())}
    return tensors | {"grad/hidden": f32(hidden.grad)} | base.learned(model, True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    base.write_first("segmentation.safetensors", golden)
