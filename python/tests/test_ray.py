"""Preparing on a real Ray of several worker processes: the bytes of one process, whatever is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import jepa3d

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'jepa3d[ray]'")

SETS = [
    "dataset.count=96",
    "cloud.points=4096",
    "groups.points=1024",
    "groups.centers=32",
    "groups.neighbors=16",
    "shards.rows=8",
    "shards.row_group=4",
    "views.size=128",
    "views.rig={ kind = \"fibonacci\", views = 3 }",
]


@pytest.fixture(scope="module")
def cluster():
    # Three workers; two at a time for what asks for a lane.
    lanes = {"num_cpus": 3, "resources": {"lane": 2}}
    ray.init(**lanes, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The set by one process."""
    out = tmp_path_factory.mktemp("ray") / "whole"
    jepa3d.prepare("synthetic-views", out, set=SETS, progress=False)
    return out


def contents(out: Path) -> dict[str, str]:
    """Hashes of all files but the catalog, which has times."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "catalog.parquet")
    return {os.fspath(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def processes(of: str) -> list[int]:
    """Processes whose command line holds these words."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):
            continue
        if of in line and folder.name.isdigit():
            found.append(int(folder.name))
    return found


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])


def kill_when_begun(out: Path, whom, killed: list[int]) -> threading.Thread:
    """Kills, in the middle of a preparation, what ``whom`` finds for a running task of it."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            if len(list(out.glob("points/*.parquet"))) >= 2:
                for process in processes(f"--out {out} "):
                    try:
                        target = whom(process)
                        os.kill(target, signal.SIGKILL)
                        killed.append(target)
                        return
                    except (OSError, ValueError):
                        continue
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("victim", ["worker", "tool"])
def test_a_killed_worker_costs_no_byte(cluster, whole, tmp_path, victim):
    out, killed = tmp_path / "out", []
    thread = kill_when_begun(out, parent if victim == "worker" else lambda process: process, killed)
    report = jepa3d.ray.prepare("synthetic-views", out, set=SETS, progress=False)
    thread.join()
    assert killed, "nothing was killed: the preparation was too quick"
    assert contents(out) == contents(whole)
    assert jepa3d.run_json(["verify", os.fspath(out)])["problems"] == []
    assert report["written"] == 96
    assert not processes(f"--out {out} "), "no tool outlives its worker"


def test_meshes_with_views_by_two_workers_one_of_them_killed(cluster, tmp_path):
    """500 real meshes with the views of the preset."""
    data = Path(os.environ.get("JEPA3D_TEST_DATA", "nowhere")) / "shapedb"
    if not data.is_dir():
        pytest.skip("no shapedb in JEPA3D_TEST_DATA")
    whole, out, killed = tmp_path / "whole", tmp_path / "out", []
    sets = ["shards.rows=16", "shards.row_group=8", "run.max_failures=20"]
    jepa3d.prepare("folder-views", whole, data=data, set=sets, threads=1, progress=False)
    thread = kill_when_begun(out, parent, killed)
    two = {"resources": {"lane": 1}}
    report = jepa3d.ray.prepare("folder-views", out, data=data, set=sets, options=two, progress=False)
    thread.join()
    assert killed and contents(out) == contents(whole)
    assert (report["written"] + report["quarantined"], len(list(out.glob("points/*")))) == (500, 32)


def test_a_call_goes_on_and_a_complete_set_stays(cluster, whole, tmp_path, capsys):
    out = tmp_path / "out"
    jepa3d.run(["prepare", "synthetic-views", "--out", str(out), "--task", "5", *(p for s in SETS for p in ("--set", s))])
    before = {path: path.stat().st_mtime_ns for path in out.glob("points/*.parquet")}
    assert len(before) == 1
    jepa3d.ray.prepare("synthetic-views", out, set=SETS)
    assert f"{len(list(out.glob('points/*.parquet')))} of" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time_then for path, time_then in before.items())
    assert contents(out) == contents(whole)
    jepa3d.ray.prepare("synthetic-views", out, set=SETS, progress=False)
    assert contents(out) == contents(whole)


def test_quarantine_is_judged_at_the_end_and_errors_name_the_shard(cluster, tmp_path, monkeypatch):
    data, rng = tmp_path / "raw" / "a", np.random.default_rng(3)
    data.mkdir(parents=True)
    for index in range(6):
        (data / f"{index}.xyz").write_text("\n".join(" ".join(map(str, row)) for row in rng.normal(size=(300, 3))))
    (data / "4.xyz").write_text("no cloud")
    sets = ["cloud.points=256", "groups.points=128", "groups.centers=8", "groups.neighbors=8", "shards.rows=2"]
    call = {"data": tmp_path / "raw", "set": sets, "progress": False}
    with pytest.raises(jepa3d.CommandError, match="quarantined") as caught:
        jepa3d.ray.prepare("folder", tmp_path / "out", **call)
    assert caught.value.code == 1 and (tmp_path / "out" / "manifest.json").exists()
    call["set"] = [*sets, "run.max_failures=1"]
    assert jepa3d.ray.prepare("folder", tmp_path / "out", **call)["quarantined"] == 1

    tool = jepa3d.cli.binary()
    for code, expected in [(2, 1), (3, 3)]:
        failing, tries = tmp_path / f"failing{code}", tmp_path / f"tries{code}"
        fail = f'case "$*" in *"--task 1"*) echo try >> {tries}; echo "error: the disk fails" >&2; exit {code};; esac'
        failing.write_text(f'#!/bin/sh\n{fail}\nexec {tool} "$@"\n')
        failing.chmod(0o755)
        monkeypatch.setenv("JEPA3D_BINARY", str(failing))
        message = rf"shard points/.*-00001-of-00003\.parquet \(--task 1\): exit code {code}: (.|\n)*the disk fails"
        with pytest.raises(jepa3d.ray.ShardError, match=message) as failed:
            jepa3d.ray.prepare("folder", tmp_path / f"out{code}", retries=2, **call)
        assert (failed.value.task, failed.value.code) == (1, code)
        assert len(tries.read_text().splitlines()) == expected
        assert not (tmp_path / f"out{code}" / "manifest.json").exists()
