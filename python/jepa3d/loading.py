"""``Loader``: jepa3d's loader as a torch ``IterableDataset``, in an order that is known beforehand."""

from __future__ import annotations

import json
import os
from typing import Any, Iterator

from . import _jepa3d
from ._folders import folder_text
from .data import Dataset

try:
    import torch
    from torch.utils.data import IterableDataset as _Base
except ImportError:
    torch = None  # type: ignore[assignment]
    _Base = object  # type: ignore[assignment, misc]

#: Asked at every batch, whose other work in Python takes microseconds.
_distributed = torch.distributed if torch is not None and torch.distributed.is_available() else None


class Loader(_Base):  # type: ignore[misc, valid-type]
    """Ready batches, epoch after epoch, as dicts of tensors (numpy arrays where torch is not installed).

    An iteration is one epoch. Batches are made by threads in Rust, without Python's lock and without a copy: give it to
    ``DataLoader(loader, batch_size=None, num_workers=0)``, or iterate over it. What batch ``b`` of epoch ``e`` holds is a
    function of (dataset, seed, e, b): the same for any number of threads and ranks, and after any restart.

    Args:
        dataset: A prepared folder, or a :class:`jepa3d.Dataset` (whose split is taken), or a list of folders: several at once,
            each as ``"DIR"`` or ``"DIR:WEIGHT"``: with weight 0.3 an epoch shows 30 % of its samples, others in the next.
        batch: Samples of a step **over all ranks**; each rank gets ``batch / world`` of them, so that the order does not depend
            on how many there are. What is left at the end of an epoch is dropped.
        patches: ``(G, K)``: patches of a sample and points of a patch.
        seed: Of order, groupings, augmentation and masks.
        rank, world: This process among those that train together; not given, those of ``torch.distributed`` where that is
            initialised, else 0 of 1.
        split: Default ``"train"``.
        patches_from: ``"shard"``: stored groupings; ``"online"``: fresh ones of ``points`` points at every step.
        points, subset, groupings, repeat, up_axis, shuffle_buffer: As in ``[data]`` of a pretraining config.
        augment: ``[data.augment]``, for example ``{"rotate_up": 3.14159, "per": "sample"}``.
        masking: ``[masking]``, for example ``{"kind": "runs"}``: adds ``context [B, n]`` and ``targets [B, M, L]``.
        sensor: ``[data.sensor]`` with ``patches_from="online"``, for example ``{}`` for its defaults: adds ``seen_patches`` and
            ``seen_centers``, what a sensor would see of the same clouds.
        views: ``[hybrid]``'s ``image_size``, ``image_patch``, ``queries``, ``visible``: adds ``view_*``.
        teacher: ``{"name": "hog", "views": 1}``: adds ``embeddings``, ``poses``, ``histograms``, ``weights``. Poses are those of cameras
            that turn with the cloud; mirrored clouds are refused, as nobody has embedded views of them.
        threads: Default: as many as there are cores.
        prefetch: Batches made ahead.

    A batch has ``patches [B, G, K, 3]`` relative to ``centers [B, G, 3]``, ``labels [B]`` (-1: none), ``sample_ids``, ``epoch``,
    ``batch`` and ``sets [B]`` (which of several datasets, whose labels are all -1); voxel blocks add ``counts``, ``cells``,
    ``edges``.

    Raises:
        ValueError: A setting does not serve the dataset. RuntimeError: a shard is not the one that was prepared.
    """

    def __init__(
        self,
        dataset: str | os.PathLike[str] | Dataset | list[str | os.PathLike[str]],
        batch: int = 128,
        patches: tuple[int, int] = (64, 32),
        *,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
        split: str | None = None,
        patches_from: str = "shard",
        points: int = 1024,
        subset: str = "farthest",
        groupings: int = 0,
        repeat: int = 1,
        up_axis: str | None = None,
        shuffle_buffer: int = 65_536,
        augment: dict[str, Any] | None = None,
        sensor: dict[str, Any] | None = None,
        masking: dict[str, Any] | None = None,
        views: dict[str, Any] | None = None,
        teacher: dict[str, Any] | None = None,
        threads: int | None = None,
        prefetch: int = 4,
    ) -> None:
        super().__init__()
        own_split = dataset.split if isinstance(dataset, Dataset) else None
        folders = dataset if isinstance(dataset, (list, tuple)) else [dataset]
        #: Of the prepared folders.
        self.paths = [part.path if isinstance(part, Dataset) else folder_text(part) for part in folders]
        self._ranks = (rank, world)
        self._settings: dict[str, Any] = {
            "split": split or own_split or "train",
            "batch": batch,
            "threads": threads or _count_cores(),
            "prefetch": prefetch,
            "seed": seed,
            "shuffle_buffer": shuffle_buffer,
            "repeat": repeat,
            "patches_from": patches_from,
            "groupings": groupings,
            "points": points,
            "subset": subset,
            "groups": patches[0],
            "group_size": patches[1],
            "up_axis": up_axis,
            "augment": augment or {},
            "sensor": sensor,
            "views": views,
            "masking": masking,
            "teacher": teacher,
        }
        #: Where the next iteration starts: epoch, and batches of it that were given out.
        self._epoch, self._given = 0, 0
        self._is_resumed = False
        self._stream: Any = None
        self._stream_key: Any = None
        # Says at once what is wrong, and how long an epoch is.
        opened = self._open()
        self._steps, self._fingerprint = opened.steps_per_epoch, opened.fingerprint

    def _find_ranks(self) -> tuple[int, int]:
        rank, world = self._ranks
        if rank is None and world is None and _distributed is not None and _distributed.is_initialized():
            return _distributed.get_rank(), _distributed.get_world_size()
        return rank or 0, world or 1

    def _open(self) -> Any:
        """The stream that stands where this loader does; threads are started only if it does not yet."""
        rank, world = self._find_ranks()
        first = self._epoch * self._steps + self._given if self._stream_key else 0
        key = (os.getpid(), rank, world, first)
        if self._stream is None or self._stream_key != key:
            settings = json.dumps({**self._settings, "rank": rank, "world": world})
            self._stream = _jepa3d.BatchStream(self.paths, settings, first)
            self._stream_key = key
        return self._stream

    def __len__(self) -> int:
        """Steps of an epoch."""
        return self._steps

    @property
    def fingerprint(self) -> str:
        """Of the dataset; of several, those of all with their weights."""
        return self._fingerprint

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is the start of this epoch; iterating goes on by itself, so nobody needs to call it."""
        self._epoch, self._given, self._is_resumed = int(epoch), 0, True

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: all that a later process needs to go on, on any number of ranks and threads."""
        over, batch = divmod(self._given, self._steps)
        own = {"fingerprint": self._fingerprint, "seed": self._settings["seed"]}
        return {**own, "epoch": self._epoch + over, "batch": batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where :meth:`state_dict` was taken.

        Raises:
            ValueError: It was taken of another dataset or another seed.
        """
        own = self.state_dict()
        missing = [key for key in own if key not in state]
        if missing:
            raise ValueError(f"state: expected {', '.join(own)}; found none of {', '.join(missing)}")
        for key in ("fingerprint", "seed"):
            if state[key] != own[key]:
                raise ValueError(f"state: {key}: expected {own[key]!r}, found {state[key]!r}")
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if epoch < 0 or not 0 <= batch < self._steps:
            raise ValueError(f"state: expected a batch below {self._steps}, found {batch} of epoch {epoch}")
        self._epoch, self._given, self._is_resumed = epoch, batch, True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rest of the epoch that a loaded state stands in, else the next whole one."""
        if torch is not None and torch.utils.data.get_worker_info() is not None:
            raise RuntimeError(
                "Loader: expected DataLoader(loader, batch_size=None, num_workers=0), found workers: "
                "its threads are in Rust, and every worker would give out the same batches"
            )
        if not self._is_resumed and self._given:
            # An iteration that was left early does not go on: a new one is a new epoch.
            self._epoch, self._given = self._epoch + 1, 0
        self._is_resumed = False
        return self._run()

    def _run(self) -> Iterator[dict[str, Any]]:
        while self._given < self._steps:
            stream = self._open()
            batch = stream.next()
            self._given += 1
            pid, rank, world, first = self._stream_key
            self._stream_key = (pid, rank, world, first + 1)
            yield _to_tensors(batch)
        self._epoch, self._given = self._epoch + 1, 0

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_stream"] = None
        return state


def _count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _to_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    if torch is None:
        return batch
    return {name: torch.from_numpy(value) if hasattr(value, "dtype") else value for name, value in batch.items()}
