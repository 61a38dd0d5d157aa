"""Folders of prepared sets as they are handed to the extension: paths, or URLs of object stores."""

from __future__ import annotations

import os
import re

#: What is left of ``s3://bucket`` in a ``pathlib.Path``, which folds slashes.
FOLDED = re.compile(r"(s3|gs|az|https?):/[^/]")


def folder_text(path: str | os.PathLike[str]) -> str:
    """The path or URL as text.

    Raises:
        ValueError: if a ``Path`` was made of a URL, which is no longer one.
    """
    text = os.fspath(path)
    if FOLDED.match(text):
        raise ValueError(f"{text}: expected a URL as a string, found one that a Path has taken a slash from")
    return text
