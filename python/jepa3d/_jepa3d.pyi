"""What of the package is written in Rust; its own modules check what is given to it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str

def fps(
    clouds: NDArray[np.float32],
    lengths: NDArray[np.int64],
    counts: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> NDArray[np.int64]: ...
def knn(
    queries: NDArray[np.float32], clouds: NDArray[np.float32], lengths: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...
def neighborly(clouds: NDArray[np.float32], lengths: NDArray[np.int64], ratio: float) -> NDArray[np.bool_]: ...
def group(
    clouds: NDArray[np.float32],
    lengths: NDArray[np.int64],
    letters: tuple[int, int, int],
    seed: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def voxels(
    clouds: NDArray[np.float32], lengths: NDArray[np.int64], letters: tuple[int, int, float | None]
) -> tuple[
    NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]
]: ...
def sample_surface(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]: ...
def place_cameras(seen: Any, up: str, settings: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def render(
    seen: Any,
    up: str,
    cameras: tuple[NDArray[np.float64], NDArray[np.float64], int, int],
    settings: str,
) -> dict[str, Any]: ...

class Shards:
    row_groups: list[tuple[int, int, int]]
    def __init__(self, folder: str, table: str, split: str | None = None, columns: list[str] = ...) -> None: ...
    def manifest(self) -> str: ...
    def read(self, shard: int, group: int) -> dict[str, Any]: ...
    def arrow_stream(self) -> Any: ...

class BatchStream:
    steps_per_epoch: int
    fingerprint: str
    def __init__(self, folders: list[str], settings: str, first: int) -> None: ...
    def next(self) -> dict[str, Any]: ...
