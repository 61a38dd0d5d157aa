"""Prepared datasets in Python: rows as numpy arrays without a copy, and whole tables through the Arrow C interface."""

from __future__ import annotations

import bisect
import json
import os
from collections import OrderedDict
from typing import Any, Iterator

import numpy as np

from . import _jepa3d
from ._folders import folder_text

#: Numbers of one element of a list column, where it is more than one.
WIDTHS = {
    "points": (3,),
    "normals": (3,),
    "colors": (3,),
    "boxes": (10,),
    "centers": (3,),
    "camera_from_world": (3, 4),
    "norm_center": (),
}

#: Row groups that stay decoded.
HELD = 8


class ArrowTable:
    """A table that any library of the Arrow C stream interface reads without a copy of ours: ``pyarrow.table(it)``,
    ``polars.DataFrame(it)``, ``duckdb``. Every consumer gets a stream of its own."""

    def __init__(self, shards: Any) -> None:
        self._shards = shards

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The stream; its schema is that of the shards, whatever is requested."""
        return self._shards.arrow_stream()


class Dataset:
    """A split of a prepared dataset, map-style: ``ds[i]`` is a dict of numpy arrays.

    Args:
        path: The folder that `jepa3d prepare` wrote.
        split: ``"train"``, ``"test"``, ...; ``None``: all splits.
        columns: The columns that are read; not given, all of them. Fewer are faster.
        table: ``"points"`` (one row a sample) or ``"views"`` (one row a view).

    A row group (64 to 512 samples) is decoded at once and stays for its neighbours, and arrays are views into it: copy what you
    change. Works in a ``torch.utils.data.DataLoader`` with any number of workers. For training at speed, see ``jepa3d.Loader``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        split: str | None = "train",
        columns: list[str] | None = None,
        table: str = "points",
    ) -> None:
        self.path, self.split, self.table = folder_text(path), split, table
        self.columns = list(columns or [])
        self._shards: Any = None
        self._open()

    def _open(self) -> Any:
        if self._shards is None:
            self._shards = _jepa3d.Shards(self.path, self.table, self.split, self.columns)
            self._groups = self._shards.row_groups
            self._ends = np.cumsum([rows for _, _, rows in self._groups]).tolist()
            self._held: OrderedDict[int, dict[str, Any]] = OrderedDict()
            self.manifest: dict[str, Any] = json.loads(self._shards.manifest())
        return self._shards

    def __getstate__(self) -> dict[str, Any]:
        keep = ("path", "split", "table", "columns")
        return {name: self.__dict__[name] for name in keep}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._shards = None
        self._open()

    @property
    def classes(self) -> list[str]:
        """Class names; a label is an index into them."""
        return self.manifest["classes"]

    @property
    def fingerprint(self) -> str:
        """Hash of what the dataset was made from: equal ones mean equal samples."""
        return self.manifest["fingerprint"]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __repr__(self) -> str:
        return f"jepa3d.Dataset({self.path!r}, split={self.split!r}, table={self.table!r}): {len(self)} rows"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Row ``index`` as a dict: lists as arrays ``[S, 3]``, ``[S]``, ..; single values as they are; ``None`` where null."""
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise TypeError(f"expected an integer, found {index!r}")
        at = index.__index__()
        at = at + len(self) if at < 0 else at
        if not 0 <= at < len(self):
            raise IndexError(f"expected an index below {len(self)}, found {index}")
        group = bisect.bisect_right(self._ends, at)
        row = at - (self._ends[group - 1] if group else 0)
        return {name: self._cut(name, column, row) for name, column in self._read(group).items()}

    def _read(self, group: int) -> dict[str, Any]:
        held = self._held.get(group)
        if held is None:
            shard, number, _ = self._groups[group]
            held = self._shards.read(shard, number)
            self._held[group] = held
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(group)
        return held

    def _cut(self, name: str, column: Any, row: int) -> Any:
        if not isinstance(column, tuple):
            return column[row]
        values, ends, valid = column
        if not valid[row]:
            return None
        cut = values[ends[row - 1] if row else 0 : ends[row]]
        shape = self._shape(name, len(cut))
        return cut if shape is None else cut.reshape(shape)

    def _shape(self, name: str, count: int) -> tuple[int, ...] | None:
        letters = self.manifest["shape"]
        r, g, k = letters["R"], letters["G"], letters["K"]
        if name == "patch_indices" and count == r * g * k:
            return (r, g, k)
        if name in ("center_indices", "patch_counts") and count == r * g:
            return (r, g)
        if name == "centers" and count == r * g * 3:
            return (r, g, 3)
        if name == "subset" and r and count % r == 0:
            return (r, count // r)
        if name == "camera_from_world":
            return (3, 4)
        width = WIDTHS.get(name)
        return (-1, *width) if width else None

    def to_arrow(self) -> ArrowTable:
        """The table through the Arrow C stream interface: ``pyarrow.table(ds.to_arrow())``."""
        return ArrowTable(self._shards)

    def to_polars(self) -> Any:
        """The table as a ``polars.DataFrame``; needs polars."""
        try:
            import polars
        except ImportError:
            raise ImportError("to_polars: expected the package polars, found none: pip install polars") from None
        return polars.DataFrame(self.to_arrow())
