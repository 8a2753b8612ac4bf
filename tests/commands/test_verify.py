# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import shutil
from pathlib import Path

import pytest

from mugv_jax import cli

GOLDEN = Path(__file__).parents[1] / "golden" / "mugv"
CASES = {path.stem for path in GOLDEN.glob("*.json")}


def verify(capsys, *arguments):
    status = cli.main(["verify", *map(str, arguments)])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    return status, rows


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_golden_case_passes(dtype, capsys):
    status, (*rows, summary) = verify(capsys, GOLDEN, "--dtype", dtype)
    assert [row for row in rows if row[-1] != "pass"] == []
    assert status == 0
    assert summary[:3] == ["all", "21", "rows"]
    assert {row[0] for row in rows} == CASES


def test_a_failing_folder_is_status_one_and_every_case_still_runs(tmp_path, capsys):
    for suffix in ("json", "npz"):
        shutil.copy(GOLDEN / f"t5_tiny.{suffix}", tmp_path)
    (tmp_path / "painting.json").write_text(json.dumps({"kind": "painting"}))
    (tmp_path / "painting.npz").write_bytes((tmp_path / "t5_tiny.npz").read_bytes())
    status, rows = verify(capsys, tmp_path)
    assert status == 1
    assert rows[0][:5] == ["painting", "-", "nan", "nan", "FAIL"]
    assert "kind 'painting' is not one of clip_text, contentv_dit, " in " ".join(rows[0])
    assert rows[1][0] == "t5_tiny"
    assert rows[1][-1] == "pass"
    assert rows[2][:4] == ["1", "of", "2", "rows"]
    status, rows = verify(capsys, tmp_path, "--tolerance", 1e-9)
    assert status == 1
    assert [row[4] for row in rows[:2]] == ["FAIL", "FAIL"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "is not a folder"),
        (["."], "holds no golden cases"),
        ([".", "--tolerance", "nan"], "tolerance=nan must be a finite number"),
        ([".", "--tolerance", "inf"], "tolerance=inf"),
        ([".", "--tolerance", "0"], "tolerance=0.0"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["verify", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
