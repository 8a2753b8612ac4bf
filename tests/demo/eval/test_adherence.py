# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from mugv_jax.demo.eval.adherence import DemoEval, evaluate
from mugv_jax.demo.eval.answers import Answer
from mugv_jax.demo.eval.intervals import difference, share
from mugv_jax.demo.eval.report import report_text
from mugv_jax.demo.eval.score import MEASURES, SEEN, SPLITS, UNSEEN
from tests.demo.eval import renderer
from tests.demo.eval.renderer import Renderer, config, scenes

WEIGHTS = {"files": {"mugv_dit": {"path": "dit.pt", "sha256": "12ab"}}, "dtype": "float32"}
OTHER = {"files": {"mugv_dit": {"path": "dit.pt", "sha256": "34cd"}}, "dtype": "float32"}


def shares(scores, measure):
    return scores[measure]["right"], scores["clips"]


def test_a_perfect_model_is_right_in_everything(tmp_path):
    asked = config(clips=3)
    report = evaluate(asked, Renderer(asked), WEIGHTS, tmp_path)
    assert list(report["scores"]) == ["truth", "vae", "t2v", "i2v"]
    for task, splits in report["scores"].items():
        for split in SPLITS:
            assert {shares(splits[split], measure) for measure in MEASURES} == {(3, 3)}
            assert splits[split]["all"]["low"] == share(3, 3).low
            assert ("psnr" in splits[split]) == (task == "vae")
        assert splits["difference"]["all"]["value"] == 0
    assert report["scores"]["vae"][SEEN]["psnr"]["value"] == pytest.approx(120)
    assert report["scores"]["vae"][SEEN]["ssim"]["value"] == pytest.approx(1)
    text = report_text(report["scores"])
    assert "taken for another" not in text
    assert "| text to video        | unseen        | 3     | 100.0 (43.9 to 100.0)" in text


class Flat:
    """Makes videos of one grey each, the seed's last two digits, and notes what it is asked for."""

    def __init__(self):
        self.calls = []

    def generate(self, captions, seeds, first=None):
        assert first is None
        self.calls += zip(captions, seeds, strict=True)
        return np.stack([np.full((9, 64, 64, 3), seed % 100, np.uint8) for seed in seeds])

    def reconstruct(self, videos):
        raise AssertionError(f"no reconstruction of {videos.shape} is asked for")


def test_diversity_is_the_distance_of_videos_of_one_caption(tmp_path):
    asked = config(clips=3, batch=2, tasks=("diversity",), seeds=(40,))
    flat = Flat()
    scores = evaluate(asked, flat, WEIGHTS, tmp_path)["scores"]["diversity"]
    assert len(set(flat.calls)) == len(flat.calls) == 2 * 3 * 4
    assert sorted(seed for _, seed in flat.calls) == sorted(2 * list(range(40, 52)))
    assert len({caption for caption, _ in flat.calls[:4]}) == 1
    expected = (3 * 1 + 2 * 2 + 1 * 3) / 6 / 255  # of four neighbouring greys
    for split in SPLITS:
        assert scores[split]["distance"]["value"] == pytest.approx(expected)
        assert scores[split]["clips"] == 3
    text = report_text({"diversity": scores})
    assert f"| text to video, several | seen         | {expected:.4f} (" in text


def test_known_mistakes_are_counted_exactly(tmp_path):
    asked = config(tasks=("i2v",))
    moving = [i for i, scene in enumerate(scenes(asked, SEEN)) if scene.motion != "still"]
    colour, shape, motion, nothing = moving[:4]
    changes = {
        (SEEN, colour): renderer.other_colour,
        (SEEN, shape): renderer.other_shape,
        (SEEN, motion): renderer.frozen,
        (SEEN, nothing): renderer.empty,
    }

    def make(which, scene):
        return changes.get(which, lambda scene: renderer.same(None, scene))(scene)

    scores = evaluate(asked, Renderer(asked, make), WEIGHTS, tmp_path)["scores"]["i2v"]
    right = {measure: scores[SEEN][measure]["right"] for measure in MEASURES}
    assert right == {
        "colour": 6, "shape": 6, "object": 5, "motion": 6, "all": 4, "physics": 7
    }  # fmt: skip
    assert all(shares(scores[UNSEEN], measure) == (8, 8) for measure in MEASURES)
    assert scores[SEEN]["motion"].items() >= share(6, 8)._asdict().items()
    assert scores["difference"]["object"] == difference(share(5, 8), share(8, 8))._asdict()
    seen = scenes(asked, SEEN)
    assert scores[SEEN]["confusion"]["motion"][seen[motion].motion]["still"] == 1
    assert scores[SEEN]["confusion"]["shape"][seen[nothing].main.thing.shape]["nothing"] == 1
    counts = scores[SEEN]["confusion"]["colour"].values()
    assert sum(sum(reads.values()) for reads in counts) == 8
    text = report_text({"i2v": scores})
    assert f"image to video, seen, motion: {seen[motion].motion} -> still 1" in text


def test_the_report_has_settings_weights_and_every_answer(tmp_path):
    asked = config(clips=3, tasks=("vae", "t2v"), guidance=2.5, seeds=(3,))
    report = evaluate(asked, Renderer(asked), WEIGHTS, tmp_path)
    written = json.loads((tmp_path / "scores.json").read_text())
    answers = [Answer.from_dict(each) for each in written.pop("answers")]
    assert written == json.loads(json.dumps(report))
    assert (written["settings"]["guidance"], written["settings"]["seeds"]) == (2.5, [3])
    assert written["weights"] == WEIGHTS
    assert [(a.task, a.split, a.clip) for a in answers[:3]] == [
        ("vae", SEEN, 0),
        ("vae", SEEN, 1),
        ("vae", SEEN, 2),
    ]
    for answer in answers:
        scene = scenes(asked, answer.split)[answer.clip]
        assert answer.asked == (scene.main.thing.shape, scene.main.thing.colour, scene.motion)
        assert answer.read == answer.asked
        assert (answer.psnr is None) == (answer.task == "t2v")


def test_clips_of_several_seeds_are_one_sample(tmp_path):
    asked = config(clips=3, tasks=("i2v",), seeds=(5, 9))
    wrong = {(SEEN, 1), (SEEN, 4), (UNSEEN, 5)}

    def make(which, scene):
        return renderer.other_shape(scene) if which in wrong else renderer.same(which, scene)

    scores = evaluate(asked, Renderer(asked, make), WEIGHTS, tmp_path / "both")["scores"]["i2v"]
    assert [shares(scores[split], "shape") for split in SPLITS] == [(4, 6), (5, 6)]
    assert scores["difference"]["shape"] == difference(share(4, 6), share(5, 6))._asdict()
    written = json.loads((tmp_path / "both" / "scores.json").read_text())
    found = {(a["seed"], a["split"], a["clip"]) for a in written["answers"]
             if a["asked"] != a["read"]}  # fmt: skip
    assert found == {(5, SEEN, 1), (9, SEEN, 1), (9, UNSEEN, 2)}


def test_another_seed_adds_to_the_answers_of_the_first(tmp_path):
    first, both = (config(clips=2, tasks=("t2v",), seeds=seeds) for seeds in ((5,), (5, 9)))
    evaluate(first, Renderer(first), WEIGHTS, tmp_path)
    second = Renderer(both)
    scores = evaluate(both, second, WEIGHTS, tmp_path)["scores"]["t2v"]
    assert scores[SEEN]["clips"] == scores[UNSEEN]["clips"] == 4
    assert [len(captions) for captions in second.calls] == [2, 2]  # those of the second seed
    again = Renderer(first)
    evaluate(first, again, WEIGHTS, tmp_path)
    assert not again.calls
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["t2v"][SEEN]["clips"] == 2


def test_an_interrupted_run_resumes_and_more_clips_can_be_added(tmp_path):
    asked = config(clips=4, tasks=("t2v",), batch=2)

    def interrupting(which, scene):
        if which == (UNSEEN, 2):
            raise KeyboardInterrupt
        return renderer.same(which, scene)

    with pytest.raises(KeyboardInterrupt):
        evaluate(asked, Renderer(asked, interrupting), WEIGHTS, tmp_path / "parts")
    assert not (tmp_path / "parts" / "scores.json").exists()
    second = Renderer(asked)
    moved = {"files": {"mugv_dit": {"path": "elsewhere/dit.pt", "sha256": "12ab"}}}
    report = evaluate(asked, second, WEIGHTS | moved, tmp_path / "parts")
    assert len(second.calls) == 1
    whole = evaluate(asked, Renderer(asked), WEIGHTS, tmp_path / "whole")
    assert report["scores"] == whole["scores"]
    more = config(clips=6, tasks=("t2v",), batch=5)
    third = Renderer(more)
    evaluate(more, third, WEIGHTS, tmp_path / "parts")
    assert [len(captions) for captions in third.calls] == [2, 2]


@pytest.mark.parametrize(
    ("change", "weights", "message"),
    [
        ({"steps": 4}, WEIGHTS, "settings.steps=25, now 4"),
        ({}, OTHER, "weights.files.mugv_dit=12ab, now 34cd"),
    ],
)
def test_answers_of_another_measurement_are_not_mixed_in(change, weights, message, tmp_path):
    asked = config(clips=2, tasks=("truth",))
    evaluate(asked, Renderer(asked), WEIGHTS, tmp_path)
    other = config(clips=2, tasks=("truth",), **change)
    with pytest.raises(ValueError, match=message):
        evaluate(other, Renderer(other), weights, tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "answers.jsonl").write_text("{}\nno answer\n")
    asked = config(tasks=("truth",))
    with pytest.raises(ValueError, match=r"answers.jsonl is damaged \(.*\): delete it"):
        evaluate(asked, Renderer(asked), WEIGHTS, tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"world": "large"}, "world='large' must be one of full, small"),
        ({"tasks": ("t2v", "v2v")}, "tasks=t2v,v2v must be some of truth"),
        ({"clips": 1}, "clips=1 must be at least 2"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"seeds": (1, -1)}, "seed=-1 must lie in 0 to"),
        ({"seeds": ()}, r"seeds=\(\) must be one or more"),
        ({"seeds": (2, 2)}, r"seeds=\(2, 2\) must be one or more, each once"),
        ({"guidance": np.nan}, "guidance scale=nan"),
    ],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DemoEval(**fields)
