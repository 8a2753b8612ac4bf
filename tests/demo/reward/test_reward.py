# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's reward: its formula and gradient, its training, and the weights that are shipped."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax.demo.reward import clips, model, run
from mugv_jax.demo.reward.object_features import features
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.export import lossless
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import WORLDS, draw
from mugv_jax.post.labels import Label, labels_bytes
from mugv_jax.video import to_pixels

LABELS = {"shape": 1.0, "colour": 1.0, "motion": 0.0, "physics": 1.0}


@pytest.fixture(scope="module")
def reward(tmp_path_factory):
    """A reward of random weights, through its file."""
    path = tmp_path_factory.mktemp("reward") / model.WEIGHTS
    params = jax.jit(model.init)(jax.random.key(0))["params"]
    model.save(params, path)
    loaded = model.DemoReward(file=str(path))
    for one, other in zip(*map(jax.tree.leaves, (loaded.variables["params"], params)), strict=True):
        np.testing.assert_allclose(one, other, rtol=2**-8)  # bfloat16
    return loaded


@pytest.fixture(scope="module")
def texts():
    states, mask = clips.read_captions(["a red ball moves left", "a blue star grows in size"])
    return {"text": jnp.asarray(states), "text_mask": jnp.asarray(mask)}


def scene(number, **changes):
    return dataclasses.replace(draw("validation", number, seed=3, world=WORLDS["small"]), **changes)


def test_the_reward_is_its_formula_and_has_a_gradient_in_every_frame(reward, texts):
    first, second = (render(scene(number))[::4] for number in (0, 1))
    pixels = jnp.asarray(to_pixels(np.stack([first, second])))

    @jax.jit
    def graded(pixels):
        value, back = jax.vjp(lambda x: reward(reward.variables, x, texts), pixels)
        return value, back(jnp.ones(2))[0]

    value, gradient = graded(pixels)
    assert (np.max(np.abs(np.asarray(gradient)), axis=(2, 3, 4)) > 0).all()
    text = model.mean_state(texts["text"], texts["text_mask"])
    shown, asked = jax.jit(model.Judge().apply)(reward.variables, features(pixels), text)
    expected = np.asarray(shown["physics"])[:, 0]
    for part in ("shape", "colour", "motion"):
        p, q = np.exp(np.asarray(shown[part])), np.exp(np.asarray(asked[part]))
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
        expected = expected + np.log((p * q).sum(1))
    np.testing.assert_allclose(value, expected / 4, rtol=1e-4)


def test_chosen_parts_alone_are_scored(reward, texts):
    pixels = jnp.asarray(to_pixels(np.stack([render(scene(0))[::4]] * 2)))
    found = reward.judged(reward.variables, pixels, texts)
    chosen = dataclasses.replace(reward, parts=("motion", "physics"))
    value = chosen(reward.variables, pixels, texts)
    np.testing.assert_allclose(value, (found["motion"] + found["physics"]) / 2, rtol=1e-5)


def test_other_inputs_are_refused(reward, texts, tmp_path):
    with pytest.raises(ValueError, match=r"parts=\('size',\) must be some of shape"):
        model.DemoReward(parts=("size",))
    with pytest.raises(ValueError, match=r"reward\.safetensors' does not exist"):
        model.DemoReward(file=str(tmp_path / model.WEIGHTS))
    model.save({"clip": {"bias": np.zeros(4)}}, tmp_path / model.WEIGHTS)
    with pytest.raises(ValueError, match="other weights than the demo's reward"):
        model.DemoReward(file=str(tmp_path / model.WEIGHTS))
    wrong = {"text": jnp.zeros((1, 3, 64)), "text_mask": jnp.ones((1, 3), bool)}
    with pytest.raises(ValueError, match="text states of width 64: the demo's reward reads"):
        reward(reward.variables, jnp.zeros((1, 9, 32, 32, 3)), wrong)
    with pytest.raises(ValueError, match="3 frames: the demo's reward compares frames"):
        reward(reward.variables, jnp.zeros((2, 3, 32, 32, 3)), texts)


def test_the_shipped_reward_tells_right_from_wrong():
    """Clips as drawn against another motion, colour or shape in the caption, and against errors."""
    reward, count = model.DemoReward(), 12
    drawn = [scene(number) for number in range(count)]
    other = {"motion": "told", "colour": "colour", "shape": "shape"}
    frames = np.stack([render(each) for each in drawn])
    faulty = [draw("validation", n, seed=3, world=WORLDS["errors"]) for n in range(count)]
    broken = np.stack([render(each) for each in faulty])
    small, told = WORLDS["small"], {}
    for part, words in zip(other, (small.motions, small.colours, small.shapes)):
        told[part] = [_told(each, part, words) for each in drawn]
    told["all"] = drawn
    states = {key: clips.read_captions([caption(each) for each in x]) for key, x in told.items()}
    judged = jax.jit(reward.__call__)

    def mean(frames, key, stride):
        text, mask = states[key]
        batch = {"text": text, "text_mask": mask}
        return np.asarray(judged(reward.variables, to_pixels(frames[:, ::stride]), batch))

    for stride in (1, 4):
        best = mean(frames, "all", stride)
        for part in other:
            assert np.mean(best > mean(frames, part, stride) + 0.3) >= 0.9
        assert np.mean(best > mean(broken, "all", stride)) >= 0.8


def _told(drawn, part, words):
    """The scene as a caption with another word of one part tells it."""
    thing = drawn.main.thing
    if part == "motion":
        return dataclasses.replace(drawn, told=next(x for x in words if x != drawn.motion))
    changed = dataclasses.replace(
        thing, **{part: next(x for x in words if x != getattr(thing, part))}
    )
    return dataclasses.replace(drawn, main=dataclasses.replace(drawn.main, thing=changed))


def test_mirrored_features_are_those_of_mirrored_clips():
    drawn = scene(5)
    pixels = to_pixels(render(drawn))[None, ::8]
    words = np.array([[0, 0, model.CLASSES["motion"].index(drawn.motion), 0]])
    views = {(x, y, d): _view(pixels, x, y, d) for x in (0, 1) for y in (0, 1) for d in (0, 1)}
    read = jax.jit(features)
    every = {key: np.asarray(read(view)) for key, view in views.items()}
    assert words[0, 2] in (0, 1, 2, 3)  # it moves
    met, names = set(), dict(zip(((-1, 0), (1, 0), (0, -1), (0, 1)), (0, 1, 2, 3)))
    for seed in range(24):
        shown, found = run._mirrored(every[0, 0, 0], words, np.random.default_rng(seed))
        near = min(every, key=lambda key: np.abs(every[key] - shown).max())
        np.testing.assert_allclose(every[near], shown, atol=2e-2)
        step = shown[0, -1, 1:3] - shown[0, 0, 1:3]
        way = np.zeros(2, int)
        way[np.abs(step).argmax()] = np.sign(step[np.abs(step).argmax()])
        assert found[0, 2] == names[tuple(way)]
        met.add(near)
    assert len(met) > 4


def _view(pixels, across, down, diagonal):
    pixels = pixels[:, :, :, ::-1] if across else pixels
    pixels = pixels[:, :, ::-1] if down else pixels
    return np.swapaxes(pixels, 2, 3) if diagonal else pixels


def test_training_learns_its_clips_and_half_labelled_samples():
    drawn = clips.rendered("train", 12, seed=0)
    assert drawn.shown.shape[:3] == (2, 12, 17)
    sound = drawn.words[:, 3] == model.CLASSES["physics"].index("")
    np.testing.assert_array_equal(sound, np.arange(12) % 2 == 0)
    wrong = drawn.words.copy()
    wrong[:, 2] = (wrong[:, 2] + 1) % 8
    right = np.tile(np.array([True, True, False, True]), (12, 1)) & (sound[:, None] | [1, 1, 1, 0])
    wrong[:, 3] = 0
    samples = clips.Clips(drawn.shown, wrong, right > 0)
    config = run.RewardTrainConfig(steps=60, batch_size=12, learning_rate=1e-2)
    texts = clips.captions("train", 16, seed=0)
    params = run.fit(config, [drawn, samples], texts)
    found = run.accuracy(params, drawn)
    assert np.mean([*found.values()]) > 0.8
    assert run.accuracy(params, samples)["motion"] > 0.8  # none shows the word of its caption
    assert np.mean([*run.caption_accuracy(params, texts).values()]) > 0.8


def test_samples_need_words_labels_and_videos(tmp_path):
    row = {"sample_id": "a", "shape": "box", "colour": "red", "motion": "up", "video_path": ""}
    with pytest.raises(ValueError, match="a has no labels of shape, colour, motion, physics"):
        clips.sampled(tmp_path, [row], {})
    with pytest.raises(ValueError, match="a has no video"):
        clips.sampled(tmp_path, [row], {"a": LABELS})
    with pytest.raises(ValueError, match="a: shape='sofa' must be one of ball"):
        clips.sampled(tmp_path, [row | {"shape": "sofa"}], {"a": LABELS})


def test_the_command_trains_on_samples_and_their_labels(tmp_path, monkeypatch, capsys):
    rows, labels = ["sample_id,prompt,video_path,shape,colour,motion,told"], []
    for number in range(5):
        drawn = scene(number)
        thing = drawn.main.thing
        (tmp_path / f"{number}.mkv").write_bytes(lossless(render(drawn), 8.0))
        words = f"{thing.shape},{thing.colour},{drawn.motion},up"
        rows.append(f"s{number},p{number},{number}.mkv,{words}")
        labels.append(Label(id=f"s{number}", rater="demo", score=0.75, parts=LABELS))
    (tmp_path / "train.csv").write_text("\n".join(rows))
    (tmp_path / "labels.csv").write_bytes(labels_bytes(labels))
    given = {}

    def train(config, samples):
        given["steps"], given["seen"] = config.steps, samples
        return jax.jit(model.init)(jax.random.key(0))["params"]

    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(run, "scores", lambda *given: {"n": len(given[-1].words)})
    out = tmp_path / "reward.safetensors"
    options = ["--samples", str(tmp_path), "--steps", "7", "-o", str(out)]
    assert cli.main(["demo", "reward", *options]) == 0
    assert '"n": 1' in capsys.readouterr().out  # the fifth prompt
    assert model.DemoReward(file=str(out)).variables["params"].keys() == {"clip", "caption"}
    seen = given["seen"]
    assert (given["steps"], seen.shown.shape[:3]) == (7, (2, 4, 17))
    np.testing.assert_array_equal(seen.right, np.tile([True, True, False, True], (4, 1)))
    assert (seen.words[:, 2] == model.CLASSES["motion"].index("up")).all()
    assert cli.main(["demo", "reward", *options]) == 2  # the file exists
    assert "--overwrite" in capsys.readouterr().err


def test_samples_of_every_fifth_prompt_are_held_out():
    rows = [{"prompt": str(k // 2), "id": str(k)} for k in range(20)]
    seen, held_out = clips.split_by_prompt(rows)
    assert {row["prompt"] for row in held_out} == {"4", "9"}
    assert len(seen) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": 0}, "clips=0 must be at least 1"),
        ({"batch_size": 3}, "batch_size=3 must be at least 4"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        run.RewardTrainConfig(**change)
