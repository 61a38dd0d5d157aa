"""What timm, DINOv2's own rule for positions, and torch's bicubic compute: python make_goldens.py (torch, timm 1.0, safetensors).

Writes `train/loader/goldens/resample.json`, and one `vit_*.safetensors` a case beside this file. A case holds the state dict of a tiny model with
random weights under the model's own names, `golden/images` [2, 3, S, S] in 0 to 1, and the `golden/cls` and `golden/mean`
[2, D] that the model's normed tokens give for (images - mean) / std. Computed in f64, stored as f32.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

HERE = Path(__file__).parent
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def resample():
    generator = torch.Generator().manual_seed(1)
    cases = []
    for antialias, source, to, scale in [
        (True, (7, 7), (4, 4), None),
        (True, (5, 6), (9, 8), None),
        (True, (31, 9), (8, 8), None),
        (False, (7, 7), (4, 4), None),
        (False, (5, 6), (9, 8), None),
        (False, (7, 7), (4, 4), [4.1 / 7, 4.1 / 7]),
        (False, (4, 4), (6, 6), [6.1 / 4, 6.1 / 4]),
    ]:
        planes = torch.rand((1, 2, *source), generator=generator, dtype=torch.float64).float()
        size = {"size": to} if scale is None else {"scale_factor": scale}
        out = torch.nn.functional.interpolate(planes.double(), mode="bicubic", antialias=antialias, **size)
        assert out.shape[2:] == torch.Size(to)
        numbers = lambda t: [round(x, 7) for x in t.flatten().tolist()]
        case = {"antialias": antialias, "from": source, "to": to, "scale": scale}
        cases.append({**case, "planes": numbers(planes), "want": numbers(out)})
    (HERE.parents[1] / "loader" / "goldens" / "resample.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


def randomised(model, seed):
    """Every parameter away from its initial value, norms and scales around 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        is_scale = name.endswith("gamma") or ("norm" in name and name.endswith("weight"))
        size = 0.3 if is_scale else 1 / math.sqrt(p[0].numel()) if p.ndim in (2, 4) else 0.5 if p.ndim == 3 else 0.2
        p.data = (noise * size + (1.0 if is_scale else 0.0)).float()
    return model.double().eval()


def outputs(model, images, prefix):
    normed = (images.double() - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    tokens = model.forward_features(normed)
    return tokens[:, 0], tokens[:, prefix:].mean(1)


def write(name, model, outputs, images, rename=lambda key: key):
    state = {rename(key): value.float().contiguous() for key, value in model.state_dict().items()}
    cls, mean = outputs
    state |= {"golden/images": images, "golden/cls": cls.float(), "golden/mean": mean.float()}
    save_file({key: value.contiguous() for key, value in state.items()}, HERE / f"vit_{name}.safetensors")


def vit(image, patch, seed, **options):
    options = {"embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 0, **options}
    return randomised(VisionTransformer(img_size=image, patch_size=patch, dynamic_img_size=True, **options), seed)


@torch.no_grad()
def dinov2_positions(model, grid):
    """DINOv2's interpolate_pos_encoding, of its models without registers (facebookresearch/dinov2)."""
    pos = model.pos_embed
    n = pos.shape[1] - 1
    side = int(math.sqrt(n))
    scale = float(grid + 0.1) / math.sqrt(n)
    patches = pos[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(patches, mode="bicubic", antialias=False, scale_factor=(scale, scale))
    assert patches.shape[-1] == grid
    return torch.cat([pos[:, :1], patches.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)], 1)


@torch.no_grad()
def main():
    resample()
    pictures = lambda size: torch.rand((2, 3, size, size), generator=torch.Generator().manual_seed(size))
    for name, image, patch, options, prefix in [
        ("plain", 64, 16, {}, 1),
        ("layer_scale", 56, 14, {"init_values": 1e-5}, 1),
        ("registers", 64, 16, {"reg_tokens": 4, "no_embed_class": True, "init_values": 1.0}, 5),
        ("registers_with_positions", 64, 16, {"reg_tokens": 2}, 3),
    ]:
        model = vit(image, patch, len(name), **options)
        write(name, model, outputs(model, pictures(image), prefix), pictures(image))
    # Trained on a 7 x 7 grid, used on 4 x 4.
    model = vit(98, 14, 21, init_values=1e-5)
    write("resampled_timm", model, outputs(model, pictures(56), 1), pictures(56))
    # The same with DINOv2's positions, its names of chunked blocks, and its registers: positions first, then registers.
    small = vit(56, 14, 21, init_values=1e-5)
    small.load_state_dict({**model.state_dict(), "pos_embed": dinov2_positions(model, 4)})
    chunked = lambda key: key.replace("blocks.", "blocks.0.", 1)
    write("resampled_dinov2", model, outputs(small, pictures(56), 1), pictures(56), chunked)
    model = vit(64, 16, 33, reg_tokens=4, no_embed_class=True)
    result = outputs(model, pictures(64), 5)
    registers = dinov2_registers(model)
    write("dinov2_registers", registers, result, pictures(64), lambda key: key.replace("reg_token", "register_tokens"))


def dinov2_registers(model):
    """The same function in DINOv2's form: the class token has a position, which timm's conversion has added to it."""
    position = torch.full_like(model.cls_token, 0.25)
    model.cls_token.data -= position
    model.pos_embed = torch.nn.Parameter(torch.cat([position, model.pos_embed], 1))
    # DINOv2's training files hold one too; it is ignored.
    model.mask_token = torch.nn.Parameter(torch.zeros(1, model.embed_dim, dtype=torch.float64))
    return model


if __name__ == "__main__":
    main()
