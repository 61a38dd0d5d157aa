"""``jepa3d prepare`` on a Ray cluster: a remote task a shard, and the merge at the end.

Ray Core alone: it starts a task where there is room, and again where a worker was lost. What a task does is the command line
tool's own ``--task I``, so rows never pass through Python, and the bytes are those of one process. Raw data, config and output
are on a disk that all nodes see, and the package is installed on each of them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

try:
    import ray
except ImportError:
    raise ImportError("jepa3d.ray: expected the package ray, found none: pip install ray") from None

import ray.exceptions

from ._folders import folder_text
from ._jepa3d import __version__
from .cli import CommandError, _draw_line, binary, run_json

#: Exit codes of ``prepare``: quarantined objects above the limit; a fault of the machine, so that another try may succeed.
QUARANTINED, TRY_AGAIN = 1, 3
#: Lines of a shard's log that an error quotes.
QUOTED = 12
#: Seconds between two tries of the merge, and how often it is tried while another process is in the folder.
MERGE_PAUSE, MERGE_TRIES = 2.0, 15


class ShardError(RuntimeError):
    """A shard that could not be made: its number, its file, the exit code (None: its worker was lost), the end of its log."""

    def __init__(self, task: int, file: str, code: int | None, log: str) -> None:
        ending = "its worker was lost" if code is None else f"exit code {code}"
        super().__init__(f"shard {file} (--task {task}): {ending}: {log.strip() or 'no message'}")
        self.task, self.file, self.code, self.log = task, file, code, log


class _TryAgain(Exception):
    """A shard that failed for a fault of the machine: Ray tries it again. One argument, so that it can be sent."""


@dataclass(frozen=True)
class _Outcome:
    """How a shard ended for good."""

    code: int
    log: str


@dataclass(frozen=True)
class _Job:
    """What every task of a preparation is told."""

    arguments: tuple[str, ...]
    binary: str | None
    version: str


def prepare(
    config: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    set: Sequence[str] = (),
    threads: int = 1,
    retries: int = 3,
    options: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """``jepa3d prepare`` on all workers of a Ray cluster: the same bytes as one process, whatever fails on the way.

    The same call goes on after a crash: shards that are there are kept. Without a connection to a cluster, ``ray.init()`` makes
    one, by ``RAY_ADDRESS`` or on this machine.

    Args:
        config: A preset (``"folder"``, ``"modelnet"``, ``"synthetic"``, ..) or a .toml file.
        out: The folder of the prepared dataset, on a disk that all nodes see, as ``data`` and a .toml file are; or in a bucket,
            ``"s3://bucket/set"``, in a package with the feature ``object-store``.
        data: The folder of raw data; the built-in set needs none.
        set: Overrides, ``["cloud.points=2048"]``.
        threads: Threads of a task, and the CPUs that Ray reserves for it.
        retries: How often a shard is tried again whose worker was lost or whose machine failed (exit code 3, a signal).
        options: More options of the remote tasks, ``{"memory": 4 * 2**30, "scheduling_strategy": "SPREAD"}``.
        progress: Show how many shards are done, in a line that is drawn again.

    Returns:
        The report of the merge.

    Raises:
        ShardError: A shard cannot be made; the others that were finished stay.
        CommandError: The plan cannot be made, or more objects are quarantined than allowed.
    """
    arguments = _arguments(config, out, data, set)
    plan = run_json([*arguments, "--dry-run"])["tasks"]
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    job = _Job((*arguments, "--threads", str(threads)), os.environ.get("JEPA3D_BINARY"), __version__)
    ours = {"num_cpus": threads, "max_retries": retries, "retry_exceptions": [_TryAgain]}
    remote = ray.remote(_prepare_shard).options(**{**ours, **(options or {})})
    pending = {remote.remote(job, row["task"]): row for row in plan}
    _wait(pending, progress)
    return _merge(arguments)


def _arguments(
    config: str | os.PathLike[str],
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | None,
    set: Sequence[str],
) -> list[str]:
    """The command line without the part of the plan; paths do not depend on where a worker stands."""
    name = os.fspath(config)
    is_path = name.endswith(".toml") or os.sep in name
    folder = folder_text(out)
    # A bucket is where it is; a store's credentials are in the environment of every worker.
    folder = folder if "://" in folder else os.path.abspath(folder)
    arguments = ["prepare", os.path.abspath(name) if is_path else name, "--out", folder]
    arguments += ["--data", os.path.abspath(data)] if data is not None else []
    return arguments + [part for value in set for part in ("--set", value)]


def _wait(pending: dict[Any, dict[str, Any]], progress: bool) -> None:
    """Waits for all shards; the first that fails for good ends the others."""
    start, total, quarantined = time.monotonic(), len(pending), 0
    try:
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1, timeout=5)
            for reference in done:
                outcome = _outcome(reference, pending.pop(reference))
                quarantined += outcome.code == QUARANTINED
            if progress:
                _draw_line(_progress_line(total - len(pending), total, quarantined, time.monotonic() - start))
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
        if progress:
            print()


def _outcome(reference: Any, row: dict[str, Any]) -> _Outcome:
    """What became of a shard, as an error if there will be none."""
    task, file = row["task"], row["file"]
    try:
        outcome: _Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, _TryAgain):
            raise ShardError(task, file, TRY_AGAIN, str(cause)) from None
        raise
    except ray.exceptions.RayError as error:
        raise ShardError(task, file, None, str(error)) from error
    if outcome.code not in (0, QUARANTINED):
        raise ShardError(task, file, outcome.code, outcome.log)
    return outcome


def _progress_line(done: int, total: int, quarantined: int, seconds: float) -> str:
    """As the tool's own lines, in shards."""
    rate = done / max(seconds, 1e-9)
    left = f"{(total - done) / rate:.0f} s left" if done else "the first is on its way"
    besides = f"{quarantined} with quarantined objects, " if quarantined else ""
    return f"{done} of {total} shards, {besides}{rate:.2f}/s, {left}"


def _merge(arguments: list[str]) -> dict[str, Any]:
    """Makes the dataset complete. A shard's process may outlive its worker for a moment, and is waited for."""
    for _ in range(MERGE_TRIES):
        try:
            return run_json([*arguments, "--finalize"])
        except CommandError as error:
            if error.code != TRY_AGAIN:
                raise
            time.sleep(MERGE_PAUSE)
    return run_json([*arguments, "--finalize"])


def _prepare_shard(job: _Job, task: int) -> _Outcome:
    """One shard, on a worker: runs the tool, which dies with this process."""
    host = socket.gethostname()
    if job.version != __version__:
        text = f"{host}: jepa3d {__version__}: expected {job.version}, that of the driver: install one version on all nodes"
        return _Outcome(2, text)
    command = [job.binary or binary(), *job.arguments, "--task", str(task)]
    parent, libc = os.getpid(), ctypes.CDLL(None) if sys.platform == "linux" else None
    process = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=(lambda: _die_with(parent, libc)) if libc else None,
    )
    log = f"{host}: " + "\n".join(process.stderr.splitlines()[-QUOTED:])
    # A negative code is a signal: out of memory, or a node that is being drained.
    if process.returncode == TRY_AGAIN or process.returncode < 0:
        raise _TryAgain(log if process.returncode > 0 else f"{log}\nended by {signal.Signals(-process.returncode).name}")
    return _Outcome(process.returncode, log)


def _die_with(parent: int, libc: ctypes.CDLL) -> None:
    """In a new process: a worker that is killed takes its tool along, which would go on writing beside the next try."""
    set_parent_death_signal = 1
    libc.prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
