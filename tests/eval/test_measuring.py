# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import json

import numpy as np
import pytest

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.eval.measures import METRICS, Measures
from mugv_jax.eval.measuring import FILES, Job, Row, Settings, measure
from tests.eval.videos import frames

SETTINGS = Settings(about={"frames": 3}, what="VAE", pictures=1)
CLIPS = 4
X = frames(3)


class Killed(BaseException):
    """Stands for the end of the process."""


def loaded(job: Job):
    """A clip and a darker copy, the darker the later the clip."""
    if job.clip == "bad":
        raise BadSample("breaks off.")
    return X, (X * (1 - 0.1 * int(job.clip))).astype(np.uint8)


def row(label="A", load=loaded, clips=CLIPS, identity="1"):
    jobs = [Job(str(n), f"{n}" * 64, side) for n in range(clips) for side in ("32p", "48p")]
    return Row(label, {"digest": identity}, jobs, lambda: contextlib.nullcontext(load))


class Darkness(Measures):
    """Stands for the metrics: PSNR alone."""

    def __init__(self):
        pass

    def __call__(self, reference, made):
        error = np.square(reference.astype(float) - made).mean()
        return {**dict.fromkeys(METRICS), "psnr": 10 * np.log10(255**2 / (error + 1e-3))}


@pytest.fixture(scope="module")
def measures():
    return Darkness()


@pytest.fixture(scope="module")
def whole(measures, tmp_path_factory):
    """Folder of a measurement that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    measure([row(), row("B")], measures, SETTINGS, folder)
    return folder


def files(folder):
    """Contents of all files, by name."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_folder_holds_answers_scores_tables_and_the_worst_clips(whole):
    assert sorted(path.name for path in whole.iterdir()) == sorted(FILES)
    report = json.loads((whole / "scores.json").read_text())
    assert report["measured"] == {"A": {"digest": "1"}, "B": {"digest": "1"}}
    assert len(report["answers"]) == 2 * 2 * CLIPS
    assert report["scores"]["B"]["48p"]["clips"] == CLIPS
    psnr = [each["psnr"] for each in report["answers"][: 2 * CLIPS : 2]]
    assert psnr == sorted(psnr, reverse=True)
    assert report["scores"]["A"]["32p"]["psnr"]["value"] == pytest.approx(np.mean(psnr))
    pictures = [path.name for path in (whole / "pictures" / "A").iterdir()]
    assert sorted(pictures) == ["32p-3-33333333.png", "48p-3-33333333.png"]
    assert (whole / "table.md").read_text().startswith("| VAE | 32p PSNR, dB |")


@pytest.mark.parametrize("done", [0, 1, 5, 9])
def test_a_killed_run_goes_on_to_the_same_files(whole, measures, tmp_path, done):
    left = iter([*range(done), None])

    def until_killed(job):
        if next(left) is None:
            raise Killed
        return loaded(job)

    with pytest.raises(Killed):
        measure([row(load=until_killed), row("B", until_killed)], measures, SETTINGS, tmp_path)
    assert not (tmp_path / "scores.json").exists()
    measure([row(), row("B")], measures, SETTINGS, tmp_path)
    assert files(tmp_path) == files(whole)


def test_nothing_is_measured_twice(whole, measures):
    def refuse(job):
        raise AssertionError(job)

    before = files(whole)
    assert measure([row(load=refuse), row("B", refuse)], measures, SETTINGS, whole)
    assert files(whole) == before


def test_rows_and_clips_are_added_to_what_is_there(whole, measures, tmp_path):
    measure([row(clips=2)], measures, SETTINGS, tmp_path)
    measure([row(), row("B")], measures, SETTINGS, tmp_path)
    assert files(tmp_path)["scores.json"] == files(whole)["scores.json"]


def test_processes_share_the_clips_and_the_last_one_reports(whole, measures, tmp_path):
    for index in range(3):
        part = dataclasses.replace(SETTINGS, shard_index=index, shard_count=3)
        text = measure([row(), row("B")], measures, part, tmp_path)
        assert (text is None) == (index < 2)
    parts = sorted(path.name for path in (tmp_path / "answers").iterdir())
    assert parts[0] == "A.00000-of-00003.jsonl"
    assert len(parts) == 6
    for name in ("scores.json", "table.md", "pictures/B/32p-3-33333333.png"):
        assert files(tmp_path)[name] == files(whole)[name]


def test_answers_of_other_settings_are_refused(whole, measures):
    other = dataclasses.replace(SETTINGS, about={"frames": 5})
    with pytest.raises(ValueError, match=r"settings\.frames=3, now 5"):
        measure([row()], measures, other, whole)
    with pytest.raises(ValueError, match=r"measured\.digest=1, now 2"):
        measure([row(identity="2")], measures, SETTINGS, whole)


def test_clips_that_cannot_be_read_are_left_out_up_to_a_number(measures, tmp_path):
    jobs = [Job(name, name * 9, "32p") for name in ("0", "bad", "2")]
    rows = [Row("A", {}, jobs, lambda: contextlib.nullcontext(loaded))]
    with pytest.raises(ValueError, match=r"more than max bad=0 .*\n  bad: breaks off"):
        measure(rows, measures, SETTINGS, tmp_path)
    lenient = dataclasses.replace(SETTINGS, max_bad=1)
    measure(rows, measures, lenient, tmp_path)
    report = json.loads((tmp_path / "scores.json").read_text())
    assert report["left_out"] == ["bad: breaks off."]
    assert report["scores"]["A"]["32p"]["clips"] == 2
    with pytest.raises(ValueError, match="more than max bad=1"):
        measure(rows, measures, lenient, tmp_path, bad=["c: no video."])


def test_two_rows_of_one_name_are_refused(measures, tmp_path):
    with pytest.raises(ValueError, match="'a-b' names several rows"):
        measure([row("a b"), row("a/b")], measures, SETTINGS, tmp_path)


@pytest.mark.parametrize("fields", [{"pictures": -1}, {"shard_index": 2, "shard_count": 2}])
def test_settings_out_of_range_are_refused(fields):
    with pytest.raises(ValueError, match="must"):
        dataclasses.replace(SETTINGS, **fields)
