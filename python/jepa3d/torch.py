"""``PointEncoder``: an encoder that `jepa3d pretrain` trained, as a plain ``nn.Module``; no extension, any device.

.. code-block:: python

    encoder = jepa3d.torch.PointEncoder.from_run("runs/a")          # or .from_pretrained("folder or org/name")
    features = encoder(xyz).pooled                                  # [B, 2 D], what `jepa3d embed` writes
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple


try:
    import torch
except ImportError:
    raise ImportError("jepa3d.torch: expected the package torch, found none: pip install torch") from None

from torch import Tensor, nn
from torch.nn import functional

from . import geometry
from ._safetensors import read_safetensors, write_safetensors

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MODEL_TYPE = "jepa3d-point-encoder"

#: Keys of a config that decide what the module is made of.
NEEDED = (
    "tokenizer",
    "width",
    "depth",
    "heads",
    "positions",
    "wavelengths",
    "positions_every_block",
    "dropout",
    "attention_dropout",
    "drop_path",
    "modality",
)


class PointFeatures(NamedTuple):
    """What an encoder makes of clouds."""

    #: ``[B, G, D]``: one feature a patch, after the final norm.
    tokens: Tensor
    #: ``[B, 2 D]`` (``pooling="max-mean"``: maximum, then mean over tokens; ``"mean-std"``: mean, then standard deviation) or
    #: ``[B, D]`` (``"mean"``); with several turns the mean over them, then the magnitudes of their first harmonics (of all numbers or every
    #: fourth), or their maximum and minimum.
    pooled: Tensor
    #: The blocks asked for, each ``[B, G, D]`` before the final norm.
    depths: tuple[Tensor, ...]


class PatchTokenizer(nn.Module):
    """The mini-PointNet: patches ``[M, K, 3]`` to tokens ``[M, D]``."""

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        first, lifted, mixed = channels
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, first, 1, bias=False), nn.BatchNorm1d(first), nn.ReLU(), nn.Conv1d(first, lifted, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(2 * lifted, mixed, 1, bias=False), nn.BatchNorm1d(mixed), nn.ReLU(), nn.Conv1d(mixed, width, 1)
        )

    def forward(self, patches: Tensor) -> Tensor:
        local = self.first_conv(patches.transpose(1, 2))
        whole = local.max(dim=2, keepdim=True).values.expand_as(local)
        return self.second_conv(torch.cat([whole, local], dim=1)).max(dim=2).values


class TokenEmbedding(nn.Module):
    """A tokenizer below the names that it has in official checkpoints: ``embedding.encoder``."""

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        self.embedding = nn.ModuleDict({"encoder": PatchTokenizer(channels, width)})

    def forward(self, patches: Tensor) -> Tensor:
        return self.embedding["encoder"](patches)


class Sinusoids(nn.Module):
    """Fixed positions: for each axis sines, then cosines, of ``width / 6`` wavelengths."""

    def __init__(self, width: int, wavelengths: list[float]) -> None:
        super().__init__()
        shortest, longest = wavelengths
        count = width // 6
        shares = [k / (count - 1) if count > 1 else 0.0 for k in range(count)]
        frequencies = [2 * math.pi / (shortest * (longest / shortest) ** share) for share in shares]
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.tensor(frequencies, dtype=torch.float64), persistent=False)

    def forward(self, centers: Tensor) -> Tensor:
        # In float64: a scene is thousands of radians wide. A cosine is a sine a quarter turn on, which runtimes have in float64.
        angles = centers.double().unsqueeze(-1) * self.frequencies
        waves = torch.cat([angles.sin(), (angles + math.pi / 2).sin()], dim=-1)
        return waves.flatten(-2).to(centers.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, width: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        b, g, d = x.shape
        q, k, v = self.qkv(x).reshape(b, g, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        rate = self.attention_dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=rate)
        return self.dropout(self.proj(seen.transpose(1, 2).reshape(b, g, d)))


class FeedForward(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.dropout(functional.gelu(self.fc1(x)))))


class EncoderBlock(nn.Module):
    """Attention, then feed-forward, each behind a norm and added to what it reads."""

    def __init__(self, width: int, heads: int, dropout: tuple[float, float], drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, *dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, 4 * width, dropout[0])

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        x = x + self._drop(self.attn(self.norm1(x), bias))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, branch: Tensor) -> Tensor:
        """Stochastic depth: the whole branch of a sample, scaled by what is kept."""
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        kept = torch.rand(branch.shape[0], 1, 1, device=branch.device, dtype=branch.dtype) < keep
        return branch * kept / keep


class Transformer(nn.Module):
    """Blocks and final norm."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, depth, heads = config["width"], config["depth"], config["heads"]
        self.every_block = config["positions_every_block"]
        dropout = (config["dropout"], config["attention_dropout"])
        paths = [config["drop_path"] * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, dropout, path) for path in paths)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor | None) -> list[Tensor]:
        """The output of every block, and last the normed one."""
        if not self.every_block:
            x = x + positions
        outputs = []
        for block in self.blocks:
            x = block(x + positions if self.every_block else x, bias)
            outputs.append(x)
        return [*outputs, self.norm(x)]


class PointEncoder(nn.Module):
    """Patches to features: tokenizer, positions, transformer. Parameters have the names of the official Point-JEPA classifier.

    Args:
        config: As ``config.json`` of `jepa3d export` holds it.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        missing = [key for key in NEEDED if key not in config]
        if missing:
            raise ValueError(f"{CONFIG}: expected {', '.join(NEEDED)}; found none of {', '.join(missing)}")
        self.config = dict(config)
        width = config["width"]
        self.tokenizer = TokenEmbedding(config["tokenizer"], width)
        if config["positions"] == "sinusoid":
            self.positional_encoding: nn.Module = Sinusoids(width, config["wavelengths"])
        else:
            self.positional_encoding = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))
        self.encoder = Transformer(config)
        self.point_modality = nn.Parameter(torch.zeros(1, 1, width)) if config["modality"] else None
        self.whole_head: nn.Module | None = None
        if (hidden := config.get("whole")) is not None:
            look = 2 * width
            made = _count_joined(config.get("features", {}), look)
            inputs, outputs = (look + made, made) if self._answers_turns else (look, look)
            self.whole_head = nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
        self.card = ""

    @property
    def _answers_turns(self) -> bool:
        """Whether the whole head answers for what is made of turns, not for one look."""
        return self.config.get("whole_answers", "look") == "turns"

    @property
    def width(self) -> int:
        """``D``: numbers of a token."""
        return self.config["width"]

    def forward(
        self,
        xyz: Tensor,
        centers: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        depths: tuple[int, ...] = (),
        pooling: str | None = None,
        turns: int | None = None,
        up_axis: str | None = None,
    ) -> PointFeatures:
        """Features of clouds, or of their patches.

        Args:
            xyz: Clouds ``[B, N, 3]`` as `jepa3d prepare` stores them (objects: in the unit sphere, see
                ``jepa3d.normalize``), which are grouped here as the encoder learned; or, with ``centers``, patches
                ``[B, G, K, 3]`` relative to their centers.
            centers: ``[B, G, 3]``.
            mask: ``[B, G]`` bool: which patches are there, where clouds have different numbers of them.
            depths: Blocks whose outputs are wanted, from 0.
            pooling: ``"max-mean"``, ``"mean"``, ``"mean-std"`` or, of an encoder with a whole head, its answers, ``"whole"``; not given: as ``config["features"]`` says.
            turns: Times that every cloud is encoded, turned about the vertical by equal angles, for ``pooled``; not given: as
                ``config["features"]`` says. Tokens and depths are those of the cloud as it stands.
            up_axis: The axis that is up in these clouds, if not the one that the encoder learned from (``config["up_axis"]``):
                they are turned as `jepa3d embed` turns them.

        Returns:
            :class:`PointFeatures`.
        """
        if centers is None:
            patches, centers, mask = self.group(xyz)
        else:
            patches = xyz
        if up_axis is not None:
            patches, centers = self._turn(patches, up_axis), self._turn(centers, up_axis)
        features = self.config.get("features", {})
        pooling = features.get("pooling", "max-mean") if pooling is None else pooling
        turns = features.get("turns", 1) if turns is None else turns
        outputs = self._encode(patches, centers, mask)
        pooled = [self._pool(outputs[-1], mask, pooling)]
        for turn in range(1, turns):
            turned = [self._spin(places, 2 * math.pi * turn / turns) for places in (patches, centers)]
            pooled.append(self._pool(self._encode(*turned, mask)[-1], mask, pooling))
        made = _join_turns(pooled, features.get("over_turns", "harmonics"))
        if pooling == "whole" and self._answers_turns:
            if turns != features["turns"]:
                raise ValueError(f"turns: expected {features['turns']}, as the whole head learned (or another pooling), found {turns}")
            made = self._answer(pooled, made)
        return PointFeatures(outputs[-1], made, tuple(outputs[:-1][depth] for depth in depths))

    def _encode(self, patches: Tensor, centers: Tensor, mask: Tensor | None) -> list[Tensor]:
        """The output of every block, and last the normed one."""
        b, g, k, _ = patches.shape
        tokens = self.tokenizer(patches.reshape(b * g, k, 3)).reshape(b, g, -1)
        if self.point_modality is not None:
            tokens = tokens + self.point_modality
        bias = None if mask is None else mask[:, None, None, :]
        return self.encoder(tokens, self.positional_encoding(centers), bias)

    def _pool(self, tokens: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
        if pooling != "whole":
            return _pool(tokens, mask, pooling)
        if self.whole_head is None:
            raise ValueError("pooling: expected \"max-mean\", \"mean\" or \"mean-std\" of an encoder without a whole head, found 'whole'")
        seen = _pool(tokens, mask, "mean-std")
        return seen if self._answers_turns else seen + self.whole_head(seen)

    def _answer(self, looks: list[Tensor], made: Tensor) -> Tensor:
        """To what is made of all looks, the mean of what the whole head adds for each."""
        rows = torch.stack(looks)
        asked = torch.cat([rows, made.expand(len(looks), *made.shape)], dim=2)
        return made + self.whole_head(asked).mean(0)

    def _spin(self, places: Tensor, angle: float) -> Tensor:
        """Turned about the vertical, from the axis after it to the one after that."""
        up = self.config.get("up_axis")
        if up is None:
            raise ValueError("turns: the encoder does not say which axis is up: expected turns=1")
        first, second = (("xyz".index(up) + 1) % 3, ("xyz".index(up) + 2) % 3)
        out, (cos, sin) = list(places.unbind(-1)), (math.cos(angle), math.sin(angle))
        out[first], out[second] = cos * out[first] - sin * out[second], sin * out[first] + cos * out[second]
        return torch.stack(out, dim=-1)

    def group(self, xyz: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Clouds ``[B, N, 3]`` cut as the encoder learned: patches, centers and, where clouds differ, which patches are there.

        On the CPU, and brought back to the device of ``xyz``; gradient does not flow through voxel blocks.
        """
        if not isinstance(xyz, Tensor) or xyz.dim() != 3 or xyz.shape[-1] != 3:
            found = list(xyz.shape) if isinstance(xyz, Tensor) else type(xyz).__name__
            raise ValueError(f"xyz: expected a tensor [B, N, 3], or patches [B, G, K, 3] with centers, found {found}")
        grouping = self.config.get("grouping")
        if grouping is None:
            raise ValueError("the encoder learned from crops of clouds: expected patches [B, G, K, 3] and centers [B, G, 3]")
        letters = (grouping["groups"], grouping["group_size"])
        clouds = xyz.cpu()
        if grouping["kind"] == "patches":
            patches, centers = self._cut(clouds, letters, grouping["points"])
            return patches.to(xyz), centers.to(xyz), None
        blocks = geometry.voxels(clouds, *letters, edge=grouping["edge"])
        is_there = blocks.counts > 0
        mask = None if bool(is_there.all()) else is_there.to(xyz.device)
        return blocks.patches.to(xyz), blocks.centers.to(xyz), mask

    def _cut(self, clouds: Tensor, letters: tuple[int, int], points: int) -> tuple[Tensor, Tensor]:
        """Patches and centers of clouds, without the points that stand alone where the config says so."""
        ratio = self.config.get("features", {}).get("outliers", 0.0)
        if not ratio:
            cut = geometry.patches(clouds, *letters, points=points)
            return cut.patches, cut.centers
        parts = []
        for cloud, stays in zip(clouds, geometry.neighborly(clouds, ratio)):
            kept = cloud[stays]
            # Fewer than make a patch, or as many patches, are repeated in their order, as `jepa3d embed --repeat-points` does.
            fewest = max(letters)
            if len(kept) < fewest:
                kept = kept[torch.arange(fewest) % len(kept)]
            parts.append(geometry.patches(kept, *letters, points=points))
        return torch.stack([cut.patches for cut in parts]), torch.stack([cut.centers for cut in parts])

    def _turn(self, places: Tensor, up: str) -> Tensor:
        """A quarter turn that brings the axis that is up to where it was in training."""
        learned = self.config.get("up_axis")
        if up not in ("x", "y", "z"):
            raise ValueError(f"up_axis: expected x, y or z, found {up!r}")
        if learned is None or learned == up:
            return places
        source, target = "xyz".index(up), "xyz".index(learned)
        out = list(places.unbind(-1))
        out[target], out[source] = places[..., source], -places[..., target]
        return torch.stack(out, dim=-1)

    @classmethod
    def from_run(cls, run: str | os.PathLike[str]) -> PointEncoder:
        """The encoder of a run folder of `jepa3d pretrain`, or of a checkpoint in it."""
        from .cli import run as run_command

        with tempfile.TemporaryDirectory() as folder:
            run_command(["export", os.fspath(run), "--to", folder])
            return cls.from_pretrained(folder)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> PointEncoder:
        """An encoder that `jepa3d export` or :meth:`save_pretrained` wrote: a folder or, with the package huggingface_hub, the
        name of a repository."""
        path = Path(folder)
        if not path.is_dir():
            path = Path(_download(os.fspath(folder)))
        for name in (CONFIG, WEIGHTS):
            if not (path / name).is_file():
                raise FileNotFoundError(f"{path / name}: expected the folder of an encoder, found none (jepa3d export makes one)")
        config = json.loads((path / CONFIG).read_text())
        if config.get("model_type") != MODEL_TYPE:
            raise ValueError(f"{path / CONFIG}: model_type: expected {MODEL_TYPE!r}, found {config.get('model_type')!r}")
        encoder = cls(config)
        encoder._load(path / WEIGHTS)
        if (path / CARD).is_file():
            encoder.card = (path / CARD).read_text()
        return encoder.eval()

    def _load(self, path: Path) -> None:
        found = {name: torch.from_numpy(values) for name, values in read_safetensors(path).items()}
        wanted = {name: value for name, value in self.state_dict().items() if not name.endswith("num_batches_tracked")}
        wrong = [f"{name}: unexpected" for name in found if name not in wanted]
        for name, value in wanted.items():
            here = list(found[name].shape) if name in found else "none"
            if here != list(value.shape):
                wrong.append(f"{name}: expected {list(value.shape)}, found {here}")
        if wrong:
            raise ValueError(f"{path}: does not fit {CONFIG}: {'; '.join(wrong)}")
        self.load_state_dict(found, strict=False)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``config.json``, ``model.safetensors`` and the model card; each is whole or absent."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: value.detach().cpu().numpy()
            for name, value in self.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        write_safetensors(path / WEIGHTS, tensors)
        card = self.card or f"---\nlibrary_name: jepa3d\n---\n\n# {self.config.get('preset') or 'a point encoder'}\n"
        for name, text in ((CARD, card), (CONFIG, json.dumps(self.config, indent=2) + "\n")):
            aside = path / f".{name}.part"
            aside.write_text(text)
            aside.replace(path / name)


def _pool(tokens: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    if pooling not in ("max-mean", "mean", "mean-std"):
        raise ValueError(f"pooling: expected \"max-mean\", \"mean\", \"mean-std\" or \"whole\", found {pooling!r}")
    there = torch.ones_like(tokens[..., :1], dtype=torch.bool) if mask is None else mask[..., None]
    count = there.sum(1)
    mean = (tokens * there).sum(1) / count
    if pooling == "mean":
        return mean
    if pooling == "max-mean":
        return torch.cat([tokens.masked_fill(~there, -math.inf).max(1).values, mean], dim=1)
    variance = ((tokens - mean[:, None]).square() * there).sum(1) / count
    return torch.cat([mean, _root(variance)], dim=1)


def _root(squares: Tensor) -> Tensor:
    """The square root, with a gradient at 0 too."""
    return squares.clamp_min(1e-20).sqrt()


def _count_joined(features: dict[str, Any], look: int) -> int:
    """How many numbers ``_join_turns`` gives where one turn gives ``look``."""
    turns, over_turns = features.get("turns", 1), features.get("over_turns", "harmonics")
    if turns == 1:
        return look
    return 3 * look if over_turns == "extremes" else look + _count_harmonics(turns) * -(-look // _harmonics_every(over_turns))


def _harmonics_every(over_turns: str) -> int:
    """Of which features there are harmonics: of every so many."""
    known = {"harmonics": 1, "few-harmonics": 4}
    if over_turns not in known:
        raise ValueError(f"features.over_turns: expected {', '.join(known)} or extremes, found {over_turns}")
    return known[over_turns]


def _count_harmonics(turns: int) -> int:
    """How many harmonics of several turns follow their mean."""
    return 1 if turns < 4 else 2


def _join_turns(pooled: list[Tensor], over_turns: str) -> Tensor:
    """Of a row of features a turn ``[B, F]``: the mean, then the magnitudes of the first harmonics, or the extremes (of one turn nothing)."""
    if len(pooled) == 1:
        return pooled[0]
    rows, turns = torch.stack(pooled), len(pooled)
    parts = [rows.mean(0)]
    if over_turns == "extremes":
        return torch.cat([*parts, rows.amax(0), rows.amin(0)], dim=1)
    rows = rows[..., :: _harmonics_every(over_turns)]
    for number in range(1, _count_harmonics(turns) + 1):
        angle = 2 * math.pi * number * torch.arange(turns, device=rows.device, dtype=rows.dtype)[:, None, None] / turns
        real, imaginary = (rows * angle.cos()).mean(0), (rows * angle.sin()).mean(0)
        parts.append(_root(real.square() + imaginary.square()))
    return torch.cat(parts, dim=1)


def _download(name: str) -> str:
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise FileNotFoundError(f"{name}: expected the folder of an encoder, found none")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        message = f"{name}: no such folder; to load it from the hub: pip install huggingface_hub"
        raise FileNotFoundError(message) from None
    return snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS, CARD])
