# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The notebooks run whole, in kernels of their own and an empty folder, with small settings."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = "parameters"  # tag of the cell of settings, as in papermill
TIMEOUT_S = 400  # of a cell


def settings(book) -> dict:
    """Values of the cell of settings."""
    (cell,) = [each for each in book.cells if PARAMETERS in each.metadata.get("tags", ())]
    space: dict = {}
    exec(cell.source, space)
    return {name: value for name, value in space.items() if not name.startswith("__")}


def run(name, folder, monkeypatch, **values):
    """Execute a notebook with other settings; returns it with its outputs."""
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    assert set(values) <= set(settings(book))
    (at,) = [i for i, c in enumerate(book.cells) if PARAMETERS in c.metadata.get("tags", ())]
    lines = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    book.cells.insert(at + 1, nbformat.v4.new_code_cell(lines))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(
        "MPLBACKEND", "module://matplotlib_inline.backend_inline"
    )  # as notebooks have it
    monkeypatch.setenv("HOME", str(folder))
    nbclient.NotebookClient(
        book, timeout=TIMEOUT_S, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return book


def shown(book, kind) -> int:
    """Number of outputs of a MIME type that begins with `kind`, videos as players included."""
    outputs = [out for cell in book.cells for out in cell.get("outputs", ())]
    data = [out.data for out in outputs if out.output_type in ("display_data", "execute_result")]
    if kind == "video":
        return sum("<video" in each.get("text/html", "") for each in data)
    return sum(any(name.startswith(kind) for name in each) for each in data)


def test_generate_shows_videos_and_what_the_published_weights_need(tmp_path, monkeypatch):
    book = run("generate", tmp_path, monkeypatch, STEPS=2, GRID=["a blue box moves right"])
    assert shown(book, "video") == 2
    assert shown(book, "image") == 2
    printed = "".join(out.text for c in book.cells for out in c.get("outputs", ()) if "text" in out)
    assert re.search(r"needs \d+\.\d GiB per device", printed)
    assert "(cpu)" in printed
    assert {"prompt.mp4", "picture.mp4", "grid.png"} <= {path.name for path in tmp_path.iterdir()}


def test_finetune_shows_the_loss_and_the_frames_before_and_after(tmp_path, monkeypatch):
    book = run("finetune", tmp_path, monkeypatch, STEPS=4, COUNT=3, PRIOR="none")
    assert shown(book, "video") == 1
    assert shown(book, "image") == 3
    assert (tmp_path / "runs" / "style" / "metrics.jsonl").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_python_without_outputs_and_says_where_it_is(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.cell_type != "code" or compile(cell.source, path.name, "exec")
    (address,) = set(re.findall(r"github(?:\.com)?/([\w.-]+/mugv_jax)\b", path.read_text()))
    assert f"github/{address}/blob/main/notebooks/{path.name}" in book.cells[0].source
    assert f"https://github.com/{address}" in book.cells[1].source
