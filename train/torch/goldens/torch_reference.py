"""PyTorch as the judge of our reader and writer of checkpoints.

usage: torch_reference.py make DIR    writes the golden files (needs torch, numpy and lightning)
       torch_reference.py load FILE.. loads each as a user of the official class would and prints what it holds

The module below has the structure of the official class (Ayumu-J-S/Point-JEPA,
pointjepa/models/pointjepa.py), so `strict=True` tells whether a checkpoint has its names and shapes.
Exit code 77: a package is missing.
"""

import argparse
import collections
import copy
import datetime
import functools
import json
import os
import pathlib
import sys

try:
    import numpy
    import torch
    from torch import nn
except ImportError as error:
    print(f"{error}: pip install torch numpy")
    sys.exit(77)

try:
    import lightning
except ImportError:
    lightning = None

Module = lightning.LightningModule if lightning else nn.Module


class Block(nn.Module):
    def __init__(self, width, mlp):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, mlp), nn.Linear(mlp, width)


class Transformer(nn.Module):
    def __init__(self, width, depth, mlp):
        super().__init__()
        self.blocks = nn.ModuleList([Block(width, mlp) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)


class Tokenizer(nn.Module):
    def __init__(self, width, first, second, third):
        super().__init__()
        encoder = nn.Module()
        encoder.first_conv = nn.Sequential(
            nn.Conv1d(3, first, 1, bias=False), nn.BatchNorm1d(first), nn.ReLU(), nn.Conv1d(first, second, 1)
        )
        encoder.second_conv = nn.Sequential(
            nn.Conv1d(2 * second, third, 1, bias=False), nn.BatchNorm1d(third), nn.ReLU(), nn.Conv1d(third, width, 1)
        )
        self.embedding = nn.Module()
        self.embedding.encoder = encoder


class Ema(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.online_model, self.ema_model = model, copy.deepcopy(model)
        self.register_buffer("initted", torch.Tensor([False]))
        self.register_buffer("step", torch.tensor([0]))


def positions(hidden, width):
    return nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))


class Predictor(nn.Module):
    def __init__(self, width, s):
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, s["width"]))
        self.predictor_embed = nn.Linear(width, s["width"])
        self.positional_encoding = positions(s["position"], s["width"])
        self.predictor = Transformer(s["width"], s["depth"], s["mlp"])
        self.predictor_norm = nn.LayerNorm(s["width"])
        self.predictor_proj = nn.Linear(s["width"], width)


SMALL = dict(
    width=8, depth=2, mlp=12, position=5, tokenizer=(4, 6, 10), predictor=dict(width=6, depth=1, mlp=9, position=3)
)


class Model(Module):
    def __init__(self, sizes):
        super().__init__()
        if lightning:
            self.save_hyperparameters()
        s = sizes
        self.mask_token = nn.Parameter(torch.zeros(s["width"]))
        self.positional_encoding = positions(s["position"], s["width"])
        self.tokenizer = Tokenizer(s["width"], *s["tokenizer"])
        self.student = Transformer(s["width"], s["depth"], s["mlp"])
        self.teacher = Ema(self.student)
        self.predictor = Predictor(s["width"], s["predictor"])

    # What Lightning asks for: one step over everything.
    def training_step(self, batch, _):
        return sum((p**2).sum() for p in self.parameters())

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW([self.positional_encoding[0].bias], lr=1e-3)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    def on_save_checkpoint(self, checkpoint):
        fill(checkpoint["state_dict"])
        checkpoint["foreign"] = foreign_objects()


class Config(dict):
    """A class that a reader of the file need not have."""

    def __getattr__(self, name):
        return self[name]


class Node:
    def __init__(self, value):
        self.value, self.parent = value, self

    def __reduce_ex__(self, protocol):
        return (Node, (self.value,), {"parent": None}, iter([1, 2]), iter([("a", 1)]))

    def append(self, item):
        pass

    def __setitem__(self, key, value):
        pass


def foreign_objects():
    loop = [1]
    loop.append(loop)
    return {
        "classes": [Config(a=Config(b=[1, 2])), Node(3), argparse.Namespace(c=pathlib.Path("/tmp"))],
        "numbers": [numpy.float64(0.5), numpy.arange(3), 1 << 80, -(1 << 40), True, None, 1e300, -1, 255, 65535, 70000],
        "python": [{1, 2}, frozenset([3]), b"bytes", bytearray(b"x"), slice(1, 2), complex(1, 2), loop, range(3)],
        "torch": [torch.float16, torch.device("cpu"), torch.Size([2]), torch.nn.Parameter(torch.ones(2)), torch.Generator],
        "more": [datetime.datetime(2024, 1, 2), functools.partial(print, 1), collections.Counter("ab"), collections.deque([1])],
    }


def fill(state):
    """Values that a test knows from the name alone, exact in half precision."""
    for name, tensor in state.items():
        if name.startswith("teacher.online_model."):
            continue
        start = sum(name.encode()) % 512
        values = (start + torch.arange(tensor.numel()) % 1024) / 32
        tensor.copy_(values.reshape(tensor.shape))
    return state


def kinds():
    grid = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8
    shared = torch.arange(10, dtype=torch.float32)
    tensors = {str(t)[6:]: torch.arange(5).sub(1).to(t) for t in (torch.float64, torch.float32, torch.float16)}
    tensors |= {str(t)[6:]: torch.arange(5).sub(1).to(t) for t in (torch.int64, torch.int32, torch.int16, torch.int8)}
    tensors |= {"bfloat16": torch.arange(5).sub(1).to(torch.bfloat16), "uint8": torch.arange(5, dtype=torch.uint8)}
    tensors |= {"bool": torch.tensor([True, False, True]), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3)}
    tensors |= {"transposed": grid.permute(2, 0, 1), "sliced": grid[1, ::2, 1:3], "column": grid[:, 1, :]}
    tensors |= {"shared": shared, "shared.again": shared, "shared.part": shared[3:7]}
    tensors |= {"parameter": nn.Parameter(torch.tensor([0.1, 0.2])), "nan": torch.tensor([float("nan"), -float("inf")])}
    return tensors


def described(state):
    def number(x):
        # JSON has no NaN.
        return x if abs(x) < float("inf") else str(x)

    return {name: [str(t.dtype)[6:], list(t.shape), [number(x) for x in t.flatten().tolist()]] for name, t in state.items()}


def make(folder):
    for protocol in range(2, 6):
        torch.save(kinds(), f"{folder}/kinds{protocol}.pth", pickle_protocol=protocol)
    torch.save(collections.OrderedDict(kinds()), f"{folder}/old.pth", _use_new_zipfile_serialization=False)
    wrapped = {"module." + name: tensor for name, tensor in list(kinds().items())[:3]}
    torch.save({"base_model": wrapped, "epoch": 3, "metrics": Node(1)}, f"{folder}/wrapped.pth")
    with open(f"{folder}/kinds.json", "w") as file:
        json.dump(described(kinds()), file)
    trainer = lightning.Trainer(
        max_steps=2, logger=False, enable_checkpointing=False, accelerator="cpu", default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[lightning.pytorch.callbacks.EarlyStopping("a", check_on_train_epoch_end=False)],
    )  # fmt: skip
    trainer.fit(Model(SMALL), torch.utils.data.DataLoader(torch.zeros(4, 1)))
    trainer.save_checkpoint(f"{folder}/lightning.ckpt")
    for name in sorted(os.listdir(folder)):
        print(name, os.path.getsize(f"{folder}/{name}"))


def load(path):
    # weights_only: nothing but tensors and plain containers is allowed in the file.
    checkpoint = torch.load(path, weights_only=True)
    state = checkpoint["state_dict"] if "state_dict" in checkpoint else checkpoint
    model = Model(SMALL)
    model.load_state_dict(state, strict=True)
    for name, tensor in state.items():
        if name.startswith("teacher.online_model."):
            twin = state[name.replace("teacher.online_model.", "student.")]
            assert tensor.data_ptr() == twin.data_ptr(), f"{name} is a copy"
    assert model.teacher.online_model is model.student
    if lightning and "state_dict" in checkpoint:
        Model.load_from_checkpoint(path, sizes=SMALL, strict=True, weights_only=True)
    torch.load(path, weights_only=True, mmap=True)
    return described(state)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        print(json.dumps([load(path) for path in sys.argv[2:]]))
