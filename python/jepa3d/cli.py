"""The command line tool that the wheel carries: ``jepa3d ...`` in a shell, ``jepa3d.run([...])`` in Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Sequence

from ._folders import folder_text


class CommandError(RuntimeError):
    """A command that could not run, or found something wrong: its exit code, and the text that it printed."""

    def __init__(self, arguments: Sequence[str], code: int, text: str) -> None:
        super().__init__(f"jepa3d {' '.join(arguments)}: exit code {code}: {text.strip() or 'no message'}")
        self.arguments, self.code, self.text = list(arguments), code, text


def binary() -> str:
    """The path of the tool: that of ``JEPA3D_BINARY``, else the one in this package."""
    named = os.environ.get("JEPA3D_BINARY")
    path = Path(named) if named else Path(__file__).with_name("bin") / ("jepa3d.exe" if os.name == "nt" else "jepa3d")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the command line tool, found none: this package was built without it")
    return os.fspath(path)


def main() -> int:
    """``jepa3d`` in a shell: the tool itself takes this process over."""
    path = binary()
    arguments = [path, *sys.argv[1:]]
    if os.name == "nt":
        return subprocess.call(arguments)
    os.execv(path, arguments)


def run(arguments: Sequence[str], *, echo: bool = False) -> str:
    """Runs a command and gives back what it wrote on standard output.

    Args:
        arguments: As in a shell: ``["pretrain", "3d-jepa-small", "--data", "out/set", "--out", "out/run"]``.
        echo: Print its messages (standard error) as they come; else they are only in the error.

    Raises:
        CommandError: The exit code is not 0.
    """
    return _watch([os.fspath(argument) for argument in arguments], print_line if echo else None)


def run_json(arguments: Sequence[str]) -> Any:
    """Runs a command with ``--json`` and gives back its report."""
    return json.loads(run([*arguments, "--json"]))


def prepare(
    config: str,
    out: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    set: Sequence[str] = (),
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """``jepa3d prepare``: raw data to a prepared dataset, with a progress bar (a line that is drawn again; in notebooks too).

    Args:
        config: A preset (``"folder"``, ``"modelnet"``, ``"synthetic"``, ..) or a .toml file.
        out: The folder of the prepared dataset; the same call goes on after a crash.
        data: The folder of raw data; the built-in set needs none.
        set: Overrides, ``["cloud.points=2048"]``.
        threads: Default: all cores.
        progress: Show the bar.

    Returns:
        The report of the command.

    Raises:
        CommandError: It could not run, or quarantined more objects than allowed.
    """
    arguments = ["prepare", config, "--out", folder_text(out), "--json"]
    arguments += ["--data", os.fspath(data)] if data is not None else []
    arguments += [part for value in set for part in ("--set", value)]
    arguments += ["--threads", str(threads)] if threads is not None else []
    text = _watch(arguments, _draw_line if progress else None)
    if progress:
        print()
    return json.loads(text)


def print_line(line: str) -> None:
    """A message as it is."""
    print(line, flush=True)


def _draw_line(line: str) -> None:
    """A line over the one before."""
    print(f"\r{line[:110]:<110}", end="", flush=True)


def _watch(arguments: list[str], show: Any) -> str:
    """Runs the tool; every line of its standard error is given to ``show``. Interrupted, it ends the tool, too."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([binary(), *arguments], stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, text=True)
    messages: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            messages.append(line)
            if show is not None:
                show(line.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert process.stdout is not None
        text = process.stdout.read()
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        reader.join(timeout=5)
    if code != 0:
        raise CommandError(arguments, code, "".join(messages))
    return text
