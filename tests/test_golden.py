# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import math
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import golden
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.registry import MODELS

GOLDEN = Path(__file__).parent / "golden" / "mugv"
TOLERANCE = 1e-5


def rows(folder: Path) -> list[golden.Row]:
    return list(golden.run(folder, jnp.float32, TOLERANCE))


def copy(folder: Path, name: str = "mugdit_tiny") -> tuple[dict, dict]:
    """Copy of a case to modify: its description and its arrays."""
    shutil.copy(GOLDEN / f"{name}.json", folder / "case.json")
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return json.loads((folder / "case.json").read_text()), dict(arrays)


def write(folder: Path, spec: dict, arrays: dict) -> None:
    (folder / "case.json").write_text(json.dumps(spec))
    np.savez(folder / "case.npz", **arrays)


def test_a_case_of_other_sizes_passes_on_our_own_numbers_and_on_no_others(tmp_path):
    spec, arrays = copy(tmp_path)
    spec["config"] |= {"depth": 1, "hidden_size": 96, "num_heads": 4}
    model = MODELS["mugv_dit"]
    config = model.config_from_published(spec["config"])
    spec["tensors"] = published_shapes(model, config)
    arrays["x"] = arrays["x"][:, :, :2, :3]
    arrays["x_mask"], arrays["frame_indice"] = arrays["x_mask"][:, :2], np.arange(4)[None]
    write(tmp_path, spec, arrays)
    outputs = golden.kinds()["mugv_dit"](golden.read_case(tmp_path / "case.json"))
    arrays |= {name: np.array(ours) for name, (ours, _) in outputs.items()}
    assert arrays["out"].shape == (2, 48, 2, 3, 6)
    write(tmp_path, spec, arrays)
    assert {row.output: row.passed for row in rows(tmp_path)} == dict.fromkeys(outputs, True)
    arrays["out"][0, 0, 0, 0, 0] += 0.1
    write(tmp_path, spec, arrays)
    assert [row.output for row in rows(tmp_path) if not row.passed] == ["out"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda spec, arrays: (spec | {"config": []}, arrays), "Error"),
        (lambda spec, arrays: (spec | {"kind": ["x"]}, arrays), "kind ['x'] is not one of"),
        (lambda _, arrays: ([], arrays), "is no golden case"),
        (lambda spec, arrays: (spec | {"tensors": {}}, arrays), "holds 0 tensors"),
        (lambda spec, arrays: (spec, arrays | {"x": arrays["x"][0]}), ""),
        (lambda spec, arrays: (spec, arrays | {"x": arrays["x"][:, :3]}), "patch_embed"),
        (lambda spec, arrays: (spec, arrays | {"x": arrays["x"].astype(object)}), "no golden case"),
        (lambda spec, arrays: (spec, {"x": arrays["x"]}), "KeyError: 'y'"),
    ],
)
def test_whatever_is_wrong_with_a_case_is_one_failed_row(damage, message, tmp_path):
    write(tmp_path, *damage(*copy(tmp_path)))
    (row,) = rows(tmp_path)
    assert (row.case, row.output, row.passed) == ("case", "-", False)
    assert message in row.note
    assert "\n" not in row.note


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut", b"text"])
def test_arrays_that_cannot_be_read_are_one_failed_row(content, tmp_path):
    copy(tmp_path)
    if content is not None:
        (tmp_path / "case.npz").write_bytes(content)
    (row,) = rows(tmp_path)
    assert not row.passed
    assert "is no golden case" in row.note


def test_nan_and_other_shapes_never_pass():
    reference = np.ones((2, 3))
    assert golden.compare("c", "o", reference, reference, TOLERANCE).passed
    nan = golden.compare("c", "o", reference * math.nan, reference, math.inf)
    assert not nan.passed
    other = golden.compare("c", "o", reference[:1], reference, math.inf)
    assert not other.passed
    assert other.note == "shape (1, 3), must be (2, 3)"
    off = golden.compare("c", "o", reference * 1.5, reference, 0.4)
    assert (off.max_abs, off.relative_l2, off.passed) == (0.5, 0.5, False)
