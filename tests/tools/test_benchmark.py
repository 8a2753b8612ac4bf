# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark compares equal things: outputs first, then time, fresh inputs in turns."""

import dataclasses
import importlib
import json
from types import SimpleNamespace

import jax.numpy as jnp
import pytest
import torch

from tools import benchmark
from tools.benchmarks import measure as measuring
from tools.benchmarks import report, run
from tools.benchmarks.measure import Task, Variant, measure, relative_l2
from tools.benchmarks.setting import Options, Setting
from tools.benchmarks.suites import CASES, SUITES

TINY = Options(device="cpu", dtype="float32", size="tiny", repeats=1, torch_compile=False)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_gradients_or_collections(monkeypatch):
    """Collecting the garbage of a long session takes seconds, and tests time nothing."""
    monkeypatch.setattr(measuring, "gc", SimpleNamespace(collect=lambda: None))
    with torch.no_grad():
        yield


def product_task(calls: list[str], factor: float = 1.0) -> Task:
    """A product of a matrix with itself; ours comes out times `factor`."""

    def inputs():
        calls.append("inputs")
        return torch.randn(8, 8)

    def check(variant):
        x = inputs()
        return relative_l2(variant.read(variant.bind(x)()), [x.double() @ x.double()])

    def ours(x):
        x = jnp.asarray(x.numpy())
        return lambda: calls.append("ours") or factor * (x @ x)

    def theirs(x):
        return lambda: calls.append("theirs") or x @ x

    def read(out):
        return [torch.tensor(out)]

    return Task(
        name="product",
        sizes={"side": 8},
        variants=[
            Variant(name="ours", ours=True, bind=ours, read=read),
            Variant(name="PyTorch", ours=False, bind=theirs, read=lambda out: [out]),
        ],
        inputs=inputs,
        check=check,
        tolerance=1e-5,
        work=2 * 8**3,
        unit="TFLOP/s",
    )


def test_variants_take_turns_on_fresh_inputs(monkeypatch):
    monkeypatch.setattr(measuring, "MAX_CALLS", 1)
    calls = []
    rows = measure(product_task(calls), repeats=3, device=CPU)
    assert calls[-9:] == ["inputs", "ours", "theirs"] * 3
    assert [len(row["samples_s"]) for row in rows] == [3, 3]
    assert all(row["value"] == pytest.approx(2 * 8**3 / row["median_s"] / 1e12) for row in rows)
    assert max(row["error"] for row in rows) < 1e-6


def test_short_calls_are_timed_many_at_a_time(monkeypatch):
    monkeypatch.setattr(measuring, "MAX_CALLS", 7)
    monkeypatch.setattr(measuring, "SAMPLE_SECONDS", 1e3)  # every call is short beside it
    calls = []
    measure(product_task(calls), repeats=2, device=CPU)
    assert calls[-15:] == ["inputs", *["ours"] * 7, *["theirs"] * 7]


def test_what_was_sampled_before_the_end_is_reported(monkeypatch):
    monkeypatch.setattr(measuring, "MAX_CALLS", 1)
    monkeypatch.setattr(measuring, "_stopped", False)
    calls = []
    task = product_task(calls)
    bind = task.variants[0].bind

    def ending(x):
        if calls.count("ours") == 5:  # two of its samples are taken
            measuring.stop()
        return bind(x)

    variants = [dataclasses.replace(task.variants[0], bind=ending), task.variants[1]]
    task = dataclasses.replace(task, variants=variants)
    ours, theirs = measure(task, repeats=9, device=CPU)
    assert (len(ours["samples_s"]), len(theirs["samples_s"])) == (4, 3)
    again = measure(task, repeats=9, device=CPU)
    assert {row["failed"] for row in again} == {"TimeoutError: ended before it was measured"}


def test_a_wrong_variant_is_not_timed_and_the_others_are():
    calls = []
    ours, theirs = measure(product_task(calls, factor=1.1), repeats=3, device=CPU)
    assert "differs by 1.00e-01 (relative L2) from float64" in ours["failed"]
    assert "samples_s" not in ours
    assert calls.count("ours") == 1
    assert len(theirs["samples_s"]) == 3


def row(task: str, variant: str, seconds: float, unit: str = "GB/s", **more) -> report.Row:
    ours = not variant.startswith("PyTorch")
    timed = {"median_s": seconds, "value": 1 / seconds, "unit": unit, "cpu_median_s": seconds}
    return {"task": task, "variant": variant, "ours": ours, **timed, **more}


def test_rows_are_held_against_the_ceiling_and_the_best_of_pytorch():
    rows = [
        row("copy", "ours", 0.5),
        row("copy", "PyTorch", 1.0),
        row("copy", "PyTorch, compiled", 0.8),
        row("product", "ours", 0.25, unit="TFLOP/s"),
        {"task": "product", "variant": "PyTorch", "ours": False, "failed": "OutOfMemory"},
    ]
    ceilings = {"GB/s": 4.0, "TFLOP/s": 8.0, "datasheet TFLOP/s": 16.0}
    report.complete(rows, ceilings)
    assert rows[0]["ratio"] == pytest.approx(0.5 / 0.8)
    assert rows[0]["best_pytorch"]["variant"] == "PyTorch, compiled"
    assert rows[0]["share"] == pytest.approx(0.5)
    assert (rows[3]["share"], rows[3]["datasheet_share"]) == (0.5, 0.25)
    assert "ratio" not in rows[3]
    lines = report.table(rows).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "0.62" in lines[2]
    assert "OutOfMemory" in lines[-1]


def test_a_long_case_measures_the_best_of_pytorch_alone():
    rows = [
        row("dit-slice", "ours", 0.5),
        row("dit-slice", "PyTorch flash", 1.0),
        row("dit-slice", "PyTorch cuDNN", 0.8),
    ]
    report.complete(rows, {})
    assert benchmark._economical("dit", TINY, rows).variants == ("ours", "PyTorch cuDNN")
    assert benchmark._economical("block", TINY, rows) is TINY


def test_every_case_has_its_module():
    assert set(CASES) == {case for cases in SUITES.values() for case in cases}
    for module in set(CASES.values()):
        assert callable(importlib.import_module(f"tools.benchmarks.{module}").tasks)


def test_cases_of_another_suite_are_refused(capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(["--suite", "vae", "--cases", "block"])
    assert "suite vae has vae-encode, vae-decode" in capsys.readouterr().err


@pytest.mark.parametrize(
    "case", ["gate-residual-norm-modulate", "norm-rotate", "cross-attention", "dit-slice"]
)
def test_both_sides_agree(case):
    """On the checks that precede every time, at the smallest size."""
    module = importlib.import_module(f"tools.benchmarks.{CASES[case]}")
    for task in module.tasks(case, Setting(TINY)):
        errors = {variant.name: task.check(variant) for variant in task.variants}
        assert max(errors.values()) < task.tolerance, (task.name, errors)


def test_a_case_runs_in_a_process_of_its_own_and_a_failure_is_a_row(tmp_path, capsys):
    output = tmp_path / "rows.json"
    asked = ["--cases", "norm-modulate", "--size", "tiny", "--device", "cpu", "--repeats", "1"]
    assert benchmark.main([*asked, "--output", str(output)]) == 0
    result = json.loads(output.read_text())
    assert result["ceilings"]["GB/s"] > 0
    names = [row["task"] for row in result["rows"]]
    assert names == ["norm-modulate forward"] * 2 + ["norm-modulate backward"] * 2
    assert all("ratio" in row for row in result["rows"])
    assert "| norm-modulate backward | ours: xla |" in capsys.readouterr().out
    (row,) = run.case_rows(["no-such-case"], TINY)
    assert row["failed"] == "KeyError: 'no-such-case'"
