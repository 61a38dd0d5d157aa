"""safetensors files of float32 tensors, read and written with numpy alone.

The format: eight bytes of length, a JSON header of (type, shape, offsets) by name, then the bytes of all tensors.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np

MOST_HEADER = 100_000_000


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All tensors of a file, each an array of its own.

    Raises:
        ValueError: It is no safetensors file of float32 tensors; the message names it.
    """
    path = Path(path)
    data = path.read_bytes()

    def refuse(found: str) -> ValueError:
        return ValueError(f"{path}: expected a safetensors file of float32 tensors, found {found}")

    if len(data) < 8:
        raise refuse(f"{len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(MOST_HEADER, len(data) - 8):
        raise refuse(f"a header of {length} bytes in {len(data)}")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise refuse(f"a header that is no JSON: {error}") from None
    body = memoryview(data)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            kind, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise refuse(f"no type, shape and offsets of {name}") from None
        count = int(np.prod(shape, dtype=np.int64))
        if kind != "F32" or not 0 <= start <= end <= len(body) or end - start != 4 * count:
            raise refuse(f"{name} of type {kind}, shape {list(shape)} and bytes {start} to {end}")
        tensors[name] = np.frombuffer(body[start:end], dtype="<f4").astype(np.float32).reshape(shape)
    return tensors


def write_safetensors(path: str | os.PathLike[str], tensors: dict[str, np.ndarray]) -> None:
    """Writes tensors as float32, aside and renamed."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name in sorted(tensors):
        part = np.ascontiguousarray(tensors[name], dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = Path(path)
    aside = path.with_name(f".{path.name}.part")
    with open(aside, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
