"""Prepared sets in a bucket of an S3 server that runs here: what is written there, and what ``Dataset`` and ``Loader`` read."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import jepa3d

from conftest import SMALL

pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")

VIEWS = [*SMALL, "views.size=64", "views.rig={ kind = \"fibonacci\", views = 3 }"]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """The URL of a bucket, with what leads to its server in the environment."""
    try:
        jepa3d.Dataset("s3://none/none")
    except Exception as error:
        if "feature `object-store`" in str(error):
            pytest.skip("this package was built without the feature object-store")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_REGION": "us-east-1",
        "JEPA3D_STORE_SECONDS": "8",
        "JEPA3D_CACHE": os.fspath(tmp_path_factory.mktemp("cache")),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        key = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"
        made = urllib.request.Request(f"http://127.0.0.1:{port}/sets", method="PUT", headers={"Authorization": key})
        urllib.request.urlopen(made).read()
        yield "s3://sets"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def remote(bucket) -> str:
    """The set of ``local`` in the bucket, written by the tool of the package."""
    jepa3d.prepare("synthetic-views", f"{bucket}/views", set=VIEWS, progress=False)
    return f"{bucket}/views"


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("disk") / "views"
    jepa3d.prepare("synthetic-views", out, set=VIEWS, progress=False)
    return os.fspath(out)


def assert_equal_rows(found: dict, expected: dict) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        same = np.array_equal(found[name], value) if isinstance(value, np.ndarray) else found[name] == value
        assert same, name


def test_a_dataset_is_that_of_the_disk(remote, local):
    for table in ("points", "views"):
        there = jepa3d.Dataset(remote, split=None, table=table)
        here = jepa3d.Dataset(local, split=None, table=table)
        assert there.fingerprint == here.fingerprint and len(there) == len(here) and there.classes == here.classes
        for index in range(0, len(here), 5):
            assert_equal_rows(there[index], here[index])
    assert jepa3d.run_json(["verify", remote])["problems"] == []


def test_a_table_leaves_through_the_arrow_interface(remote, local):
    pyarrow = pytest.importorskip("pyarrow")
    there, here = (pyarrow.table(jepa3d.Dataset(place).to_arrow()) for place in (remote, local))
    assert there.equals(here)


def test_batches_are_those_of_the_disk_in_mixtures_too(remote, local, tmp_path):
    def batches(*folders):
        loader = jepa3d.Loader(list(folders), batch=8, patches=(16, 16), seed=3, threads=2)
        return [{name: np.asarray(value) for name, value in batch.items()} for batch in loader]

    other = tmp_path / "other"
    jepa3d.prepare("synthetic", other, set=[*SMALL, "dataset.seed=5"], progress=False)
    for weight, others in (("", []), (":0.5", [other])):
        here, there = batches(f"{local}{weight}", *others), batches(f"{remote}{weight}", *others)
        assert len(there) == len(here) > 1
        for found, expected in zip(there, here):
            assert_equal_rows(found, expected)


def read_in_child(dataset, folder, answers) -> None:
    """A row of an open dataset, and one that the child opens for itself."""
    answers.put((dataset[20]["points"].sum(), jepa3d.Dataset(folder)[0]["points"].sum()))


@pytest.mark.parametrize("is_cold", [True, False], ids=["cold", "warm"])
def test_a_forked_process_reads_on(remote, local, is_cold):
    """As workers of a DataLoader do: threads and connections of its parent are none of its own."""
    dataset, expected = jepa3d.Dataset(remote, split=None), jepa3d.Dataset(local, split=None)
    dataset[0]
    if is_cold:
        for shard in Path(os.environ["JEPA3D_CACHE"]).glob("*.parquet"):
            shard.unlink()
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    children = [fork.Process(target=read_in_child, args=(dataset, remote, answers)) for _ in range(2)]
    for child in children:
        child.start()
    try:
        for _ in children:
            assert answers.get(timeout=60) == (expected[20]["points"].sum(), jepa3d.Dataset(local)[0]["points"].sum())
    finally:
        for child in children:
            child.kill()
            child.join()
    assert np.array_equal(dataset[35]["points"], expected[35]["points"])


def test_a_bucket_is_written_by_ray(bucket, remote):
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    try:
        jepa3d.ray.prepare("synthetic-views", f"{bucket}/by-ray", set=VIEWS, progress=False)
    finally:
        ray.shutdown()
    one, other = (jepa3d.Dataset(place).manifest for place in (remote, f"{bucket}/by-ray"))
    assert [shard["hash"] for shard in one["shards"]] == [shard["hash"] for shard in other["shards"]]


def test_what_is_not_there_is_named(bucket, remote, monkeypatch):
    with pytest.raises(FileNotFoundError, match=f"{bucket}/none.*expected a complete prepared dataset"):
        jepa3d.Dataset(f"{bucket}/none")
    with pytest.raises(jepa3d.CommandError, match="NoSuchBucket"):
        jepa3d.prepare("synthetic", "s3://no-such-bucket/x", set=SMALL, progress=False)
