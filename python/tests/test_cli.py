"""The tool that the wheel carries."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jepa3d


def test_commands_run_and_their_errors_are_exceptions(tmp_path):
    assert jepa3d.run(["--version"]).strip() == f"jepa3d {jepa3d.__version__}"
    with pytest.raises(jepa3d.CommandError, match="exit code 2: .*not a complete prepared dataset") as caught:
        jepa3d.run(["verify", str(tmp_path / "nothing")])
    assert caught.value.code == 2


def test_preparing_shows_how_far_it_is(tmp_path, capfd):
    sets = ["dataset.count=12", "cloud.points=64", "groups.points=64", "groups.centers=4", "groups.neighbors=4"]
    report = jepa3d.prepare("synthetic", tmp_path / "set", set=sets)
    assert jepa3d.run_json(["verify", str(tmp_path / "set")])
    assert "12" in str(report) and len(jepa3d.Dataset(tmp_path / "set", split=None)) == 12
    with pytest.raises(jepa3d.CommandError, match="no such key"):
        jepa3d.run(["presets", "no such key"])


def test_the_script_is_the_tool():
    module = "import sys; sys.argv = ['jepa3d', '--version']; from jepa3d.cli import main; main()"
    found = subprocess.run([sys.executable, "-c", module], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("jepa3d ")


def test_importing_the_package_imports_numpy_alone():
    code = "import sys, jepa3d; print([m for m in ('torch', 'polars', 'pyarrow', 'ray') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
