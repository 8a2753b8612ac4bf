# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The hour on a GPU: order, limits, what a kill leaves, and what the figures argue for."""

import json
import os
import subprocess
import sys
import time

import pytest

from tools import benchmark
from tools.benchmarks import document as documenting
from tools.benchmarks import gpu_hour
from tools.benchmarks.gpu_hour import Part
from tools.benchmarks.setting import Options

TINY = Options(device="cpu", dtype="float32", size="tiny", repeats=1, torch_compile=False)
WRITE = "import json, pathlib; pathlib.Path(r'{folder}/%s.json').write_text(json.dumps(%r))"


def python(name, code, minutes=1.0, **more):
    return Part(name, "a test", minutes, (sys.executable, "-c", code), **more)


def measured(task, **median_s):
    each = {"task": task, "ours": True, "spread": 0.01}
    rows = [each | {"variant": f"ours: {name}", "median_s": s} for name, s in median_s.items()]
    return {"rows": rows}


def ledger(folder):
    return json.loads((folder / gpu_hour.LEDGER).read_text())


def test_parts_keep_their_rows_and_only_unfinished_ones_run_again(tmp_path):
    attention = measured("self-attention forward", cudnn=0.012, hopper=0.009)
    modulate = measured("norm-modulate forward", triton=0.0100, xla=0.0101)
    slow = WRITE % ("slow", modulate) + "; import time; time.sleep(100)"
    parts = [
        python("fast", WRITE % ("fast", attention)),
        python("slow", slow, minutes=0.02),
        python("bad", "raise SystemExit('no such kernel')"),
    ]
    lines = gpu_hour.run(TINY, tmp_path, 5, parts)
    assert [row["status"] for row in ledger(tmp_path).values()] == ["done", "limit", "failed"]
    assert "no such kernel" in ledger(tmp_path)["bad"]["said"]
    assert lines == [
        "self-attention forward: hopper (hopper 9 ms, cudnn 12 ms)",
        "norm-modulate forward: no difference that counts (triton 10 ms, xla 10.1 ms)",
        "not finished: slow (limit), bad (failed)",
    ]
    again = [python("fast", "raise SystemExit(3)"), python("slow", "")]
    assert gpu_hour.run(TINY, tmp_path, 5, again)[-1] == "not finished: bad (failed)"
    assert ledger(tmp_path)["fast"]["status"] == "done"
    assert gpu_hour.run(TINY, tmp_path / "late", 0.01, parts) == [
        f"not finished: {', '.join(f'{part.name} (no time left)' for part in parts)}"
    ]


def test_an_hour_that_is_ended_leaves_no_part_running(tmp_path):
    told = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path(r'{told}').write_text(str(os.getpid()))"
    hour = (
        "from tests.tools import test_gpu_hour as t\n"
        f"t.gpu_hour.parts = lambda _: [t.python('slow', {code + '; time.sleep(600)'!r})]\n"
        f"t.benchmark.main(['--gpu-hour', '--device', 'cpu', '--output', r'{tmp_path}/hour'])"
    )
    process = subprocess.Popen([sys.executable, "-c", hour])
    while not (told.exists() and told.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait() == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_times_and_memory_of_a_whole_model_are_read_from_its_messages(tmp_path):
    said = [
        "denoising video 1 of 1: 2 of 4 steps (50%), 14.5 s/step, 0:30 left",
        "denoising video 1 of 1: 4 of 4 steps (100%), 15.4 s/step, 1:02 so far",
        "decoding video 1 of 1: 9 of 9 frames (100%), 20.0 frames/s, 0:20 so far",
        "peak memory of a device: 21.4 GiB",
    ]
    lines = "".join(json.dumps({"message": each}) + "\n" for each in said)
    write = f"import pathlib; pathlib.Path(r'{tmp_path}/int8.jsonl').write_text({lines!r})"
    gpu_hour.run(TINY, tmp_path, 5, [python("int8", write, timed=True)])
    row = ledger(tmp_path)["int8"]
    assert (row["seconds_per_step"], row["peak_gib"]) == (15.4, 21.4)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_part_is_a_command_that_is_understood(device):
    """Suites and options exist; the correctness of kernels comes before their times."""
    options = Options(device=device, dtype="float32", size="tiny", repeats=1, torch_compile=False)
    names = [part.name for part in gpu_hour.parts(options)]
    assert names[:3] == ["golden-float32", "golden-bfloat16", "kernels"]
    assert ("cudnn" in names) == (device == "cuda")
    for part in gpu_hour.parts(options):
        if "--suite" in part.words:
            args, found = benchmark.parse(list(part.words[part.words.index("--suite") :]))
            assert (found.size, found.device) == ("tiny", device)
            assert args.output.name == f"{part.name}.json"


def test_the_hour_refuses_a_suite(capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(["--gpu-hour", "--suite", "block"])
    assert "--gpu-hour has its own suites" in capsys.readouterr().err


def test_a_device_has_one_section_in_the_document(tmp_path):
    document, folder = tmp_path / "docs" / "benchmarks.md", tmp_path / "hour"
    document.parent.mkdir()
    document.write_text("# Benchmarks\n\nText.\n\n## TPU\n\nMore.\n")
    timed = {"value": 1.0, "unit": "GB/s", "spread": 0.0, "error": 1e-3}
    for seconds in (0.25, 0.5):
        result = measured("norm-modulate forward", triton=seconds, xla=1.0)
        result["rows"] = [row | timed for row in result["rows"]]
        found = {"device": "A GPU 80GB", "jax": "1.0", "torch": "2.0", "cuda": "13.0"}
        ceilings = {"environment": found, "GB/s": 2.0, "TFLOP/s": 3.0, "datasheet TFLOP/s": 4.0}
        result |= {"ceilings": ceilings, "date": "2026-01-02", "options": vars(TINY)}
        folder.mkdir(exist_ok=True)
        (folder / gpu_hour.LEDGER).unlink(missing_ok=True)
        fill = (
            f"import pathlib; pathlib.Path(r'{folder}/k.json').write_text({json.dumps(result)!r})"
        )
        gpu_hour.run(TINY, folder, 5, [python("k", fill)])
        assert documenting.write(folder, document) == "A GPU 80GB"
    text = document.read_text()
    assert text.count("## A GPU 80GB, float32, measured 2026-01-02") == 1
    assert text.startswith("# Benchmarks\n\nText.\n")
    assert text.endswith("## TPU\n\nMore.\n")
    assert "| norm-modulate forward | ours: triton | 500 |" in text
    assert "- norm-modulate forward: triton (triton 500 ms, xla 1e+03 ms)" in text
    assert "| k | a test | done |" in text
    kept = document.parent / "benchmarks" / "a_gpu_80gb"
    assert sorted(path.name for path in kept.iterdir()) == ["hour.json", "k.json"]
    with pytest.raises(ValueError, match="has no results"):
        documenting.write(kept.parent, document)
