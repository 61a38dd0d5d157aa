"""The notebook, executed: every code cell in order, in one namespace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "finetune.ipynb"


@pytest.mark.skipif(not NOTEBOOK.is_file(), reason="the notebook is in the source tree only")
def test_the_notebook_ends_in_a_classifier_that_knows_its_classes():
    names: dict = {"__name__": "notebook"}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert names["accuracy"] > 0.8
