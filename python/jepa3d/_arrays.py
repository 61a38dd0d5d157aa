"""What users have, as the arrays that the Rust functions take: checked, contiguous, on the CPU.

Everything that is not as expected is a ``ValueError`` that says what was expected and found; nothing else reaches Rust.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

FLOATS = ("float32", "float64")
MOST = 2**31


def torch_of(*values: Any):
    """The torch module if one of the values is a tensor, else None; torch is never imported for this."""
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(value, torch.Tensor) for value in values):
        return torch
    return None


def to_numpy(value: Any, name: str) -> np.ndarray:
    """An array or CPU tensor as a numpy array, without a copy where there can be none."""
    torch = torch_of(value)
    if torch is not None:
        if value.device.type != "cpu":
            raise ValueError(f"{name}: expected a tensor on the CPU, found one on {value.device}: call .cpu() first")
        if value.layout != torch.strided:
            raise ValueError(f"{name}: expected a dense tensor, found one of layout {value.layout}")
        value = value.detach()
        if value.dtype in (torch.bfloat16,):
            raise ValueError(f"{name}: expected float32 or float64, found {value.dtype}")
        try:
            return value.resolve_neg().resolve_conj().numpy()
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"{name}: expected a tensor that numpy can read, found {error}") from None
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__cuda_array_interface__"):
        raise ValueError(f"{name}: expected an array in main memory, found one of a GPU")
    try:
        return np.asarray(value)
    except Exception as error:  # what an object does when it is turned into an array is its own affair
        raise ValueError(f"{name}: expected an array of numbers, found {type(value).__name__}: {error}") from None


class Clouds(NamedTuple):
    """A batch of clouds, and what the caller had."""

    #: ``[B, N, 3]`` float32, contiguous.
    points: np.ndarray
    #: Whether the caller gave one cloud ``[N, 3]``.
    is_single: bool


def to_clouds(value: Any, name: str = "xyz") -> Clouds:
    """Clouds ``[N, 3]`` or ``[B, N, 3]`` of float32 or float64 as a contiguous float32 batch."""
    array = to_numpy(value, name)
    shape = tuple(array.shape)
    if array.ndim not in (2, 3) or shape[-1] != 3:
        raise ValueError(f"{name}: expected [N, 3] or [B, N, 3], found {list(shape)}")
    if array.dtype.name not in FLOATS or not array.dtype.isnative:
        raise ValueError(f"{name}: expected float32 or float64, found {array.dtype.str} ({array.dtype.name})")
    if 0 in shape:
        raise ValueError(f"{name}: expected at least one cloud and one point, found {list(shape)}")
    if shape[-2] > MOST:
        raise ValueError(f"{name}: expected at most 2^31 points, found {shape[-2]}")
    is_single = array.ndim == 2
    with np.errstate(over="ignore", invalid="ignore"):
        points = np.ascontiguousarray(array[None] if is_single else array, dtype=np.float32)
    if not np.isfinite(points).all():
        cloud, point, _ = (int(i) for i in np.argwhere(~np.isfinite(points))[0])
        found = np.asarray(array[None] if is_single else array)[cloud, point].tolist()
        raise ValueError(
            f"{name}: expected finite coordinates within float32, found {found} at point {point} of cloud {cloud}"
        )
    return Clouds(points, is_single)


def to_lengths(value: Any, clouds: np.ndarray, name: str = "lengths") -> np.ndarray:
    """How many points of each cloud count; all of them if nothing is said."""
    count, most = clouds.shape[:2]
    if value is None:
        return np.full(count, most, dtype=np.int64)
    return to_integers(value, name, count, 1, most)


def to_integers(value: Any, name: str, count: int, low: int, high: int) -> np.ndarray:
    """``count`` integers of ``low`` to ``high``; one number serves for all."""
    array = to_numpy(value, name)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers, found {array.dtype}")
    if array.shape not in ((), (count,)):
        raise ValueError(f"{name}: expected one integer or {count}, found the shape {list(array.shape)}")
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        raise ValueError(f"{name}: expected {low} to {high}, found {array.tolist()}")
    return np.ascontiguousarray(np.broadcast_to(array, (count,)), dtype=np.int64)


def to_count(value: Any, name: str, high: int | None = None, low: int = 1) -> int:
    """One integer of at least ``low`` (and at most ``high``)."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name}: expected an integer, found {value!r}")
    try:
        number = value.__index__()
    except TypeError:
        raise ValueError(f"{name}: expected an integer, found {value!r}") from None
    if number < low or (high is not None and number > high):
        expected = f"{low} to {high}" if high is not None else f"at least {low}"
        raise ValueError(f"{name}: expected {expected}, found {number}")
    return number


def to_seed(value: Any, name: str = "seed") -> int:
    """A seed: an integer of 0 to 2^64 - 1."""
    return to_count(value, name, 2**64 - 1, 0)


class GivenBack:
    """Turns results into what the caller works with: tensors if one was given, without the batch if there was none."""

    def __init__(self, is_single: bool, *given: Any) -> None:
        self.torch = torch_of(*given)
        self.is_single = is_single

    def __call__(self, array: np.ndarray) -> Any:
        if self.is_single:
            array = array[0]
        return array if self.torch is None else self.torch.from_numpy(np.ascontiguousarray(array))


def take(values: Any, indices: np.ndarray) -> Any:
    """The rows ``indices [B, ...]`` of ``values [B, N, C]``; of a tensor by its own operators, so that gradient flows."""
    torch = torch_of(values)
    rows = np.arange(indices.shape[0]).reshape((-1,) + (1,) * (indices.ndim - 1))
    if torch is None:
        return values[rows, indices]
    return values[torch.from_numpy(rows), torch.from_numpy(indices)]
