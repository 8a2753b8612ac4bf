# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`generate --like` repeats a video, `info` shows how it was made."""

import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from mugv_jax import cli, video
from mugv_jax.commands import like
from mugv_jax.video import Video
from tests.systems.mugv.folders import write_published

CLIP = np.zeros((1, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights, and a video that was made with them from a picture."""
    folder = tmp_path_factory.mktemp("like")
    (folder / "weights").mkdir()
    write_published(folder / "weights")
    Image.new("RGB", (48, 32), (200, 30, 60)).save(folder / "red.png")
    return folder


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def generate(words, *prompts):
    return cli.main(["generate", *shlex.split(words), *prompts])


@pytest.fixture(scope="module")
def made(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = "--weights weights --size 48x32 --frames 9 --steps 1 --fps 9 --seed 7 --upscale 2"
        more = "--keyframe 8=red.png --shift 2 --guidance-rescale 0.5 --fit pad"
        assert generate(f"{options} {more} -o made.mp4 --contact-sheet made.png", "- a boat") == 0
    return video.read_record(folder / "made.mp4")


def test_the_record_has_all_that_was_asked_for(made, folder):
    assert (made["prompt"], made["seed"], made["after"]) == ("- a boat", 7, {"upscale": 2})
    settings = made["settings"]
    assert (settings["size"], settings["frames"], settings["steps"]) == ([48, 32], 9, 1)
    assert (settings["shift"], settings["guidance"]["rescale"]) == (2, 0.5)
    assert settings["fit"] == "pad"
    assert made["inputs"]["keyframes"]["8"]["path"] == str(folder / "red.png")
    assert made["weights"]["given"]["weights"] == str(folder / "weights")
    assert set(made["weights"]["digests"]) == {"dit", "vae", "text", "tokenizer"}


def test_a_video_is_repeated_and_given_options_replace_its_own(made, monkeypatch, capsys):
    saved = []
    monkeypatch.setattr(Video, "save", lambda made, _: saved.append(made))
    assert generate("--like made.png -o again.mp4") == 0
    assert generate("--like made.mp4 -o other.mp4 --seed 8", "a cat") == 0
    assert generate("--like made.mp4 -o plain.mp4 --no-metadata") == 0
    again, other, plain = saved
    assert again.record == made
    np.testing.assert_array_equal(again.frames, plain.frames)
    assert (other.record["seed"], other.record["prompt"]) == (8, "a cat")
    assert other.record["settings"] == made["settings"]
    assert not np.array_equal(again.frames, other.frames)
    assert plain.record is None
    assert "frames will differ" not in capsys.readouterr().err


def test_a_list_and_names_of_other_programs_replace_what_the_record_says(
    made, folder, monkeypatch, capsys
):
    requests = []

    def run(_, request, __):
        requests.append(request)
        return (Video(CLIP, 8, {**made, "prompt": prompt}) for prompt in request.prompts)

    monkeypatch.setattr("mugv_jax.systems.mugv.pipeline.MugvPipeline.run", run)
    (folder / "rows.csv").write_text("prompt,seed\na cat,3\na dog,\n")
    words = "--like made.mp4 --prompts rows.csv --num_inference_steps 2 -o rows"
    assert generate(words) == 0
    assert capsys.readouterr().err.count("--num_inference_steps is read as --steps") == 1
    (request,) = requests
    assert (request.prompts, request.seeds()) == (("a cat", "a dog"), [3, 8])
    assert (request.steps, request.size.frames, request.fit) == (2, 9, "pad")
    (folder / "rows" / "001-a-cat.mp4").unlink()
    assert generate(f"{words} --contact-sheet rows.png") == 0  # with the video that was kept
    shown = video.read_record("rows.png")["videos"]
    assert [(each["prompt"], each["after"]) for each in shown] == [
        ("a cat", {"upscale": 2}),
        ("a dog", {"upscale": 2}),
    ]


def test_other_weights_are_told(made, folder, monkeypatch, capsys):
    shutil.copytree(folder / "weights", folder / "others", dirs_exist_ok=True)
    record = {**made, "weights": {**made["weights"], "digests": {"dit": "0"}}}
    record["runtime"] = {**made["runtime"], "device": "abacus"}
    Video(CLIP, 8, record).save("foreign.mp4")
    monkeypatch.setattr("mugv_jax.systems.mugv.pipeline.MugvPipeline.run", lambda *_: iter(()))
    monkeypatch.setattr("mugv_jax.commands.generate._write", lambda *_: None)
    assert generate("--like foreign.mp4 --weights others") == 0
    said = capsys.readouterr().err
    assert "foreign.mp4: was made with other weights (dit, vae, text, tokenizer)" in said
    assert "device was abacus and is cpu: frames may differ slightly." in said


def changed(made, **groups):
    return {**made, **{name: {**made[name], **values} for name, values in groups.items()}}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"weights": {"given": {"weights": "evil/repository"}}}, "evil/repository, which this"),
        ({"weights": {"given": {"weights": 3}}}, "its record names no --weights"),
        ({"weights": {"given": {"random": 0}}}, "give --random-weights and its --config"),
        ({"weights": {"given": {"lora": [["weights/vae.pt", 1]]}}}, "has changed since: give --l"),
        ({"weights": {"given": {"lora": ["x"]}}}, "a damaged adapter"),
        ({"weights": {"given": {"lora": 5}}}, "a damaged adapter"),
        ({"settings": {"guidance": {"interval": ["a", 1]}}}, "values that cannot be"),
        ({"settings": {"steps": 10**9}}, "steps=1000000000 is too large"),
        ({"settings": {"size": [63, 32]}}, "width=63 must be"),
        ({"inputs": {"keyframes": {"8": {"path": "absent.png"}}}}, "'absent.png' does not exist"),
        ({"runtime": {"dtype": "float8"}}, "--dtype: invalid choice"),
    ],
)
def test_records_that_cannot_be_repeated_are_one_line(made, groups, message, capsys):
    Video(CLIP, 8, changed(made, **groups)).save("strange.mp4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mugv_jax.commands.generate_mugv.load_models", None)
        try:
            status = generate("--like strange.mp4")
        except SystemExit as error:  # of argparse
            status = error.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_files_without_a_usable_record_are_one_line(made, capsys):
    Video(CLIP, 8).save("silent.mp4")
    Video(CLIP, 8, {**made, "system": "enhancer"}).save("enhanced.mp4")
    Video(CLIP, 8, {"videos": [made, made]}).save("two.mp4")
    Video(CLIP, 8, {**made, "system": ["mugv"]}).save("odd.mp4")
    Video(CLIP, 8, {"schema": 1.5, "system": "mugv", "settings": []}).save("empty.mp4")
    for words, message in (
        ("--like silent.mp4", "silent.mp4 does not say how it was made"),
        ("--like enhanced.mp4", "was made by enhancer, which generates nothing"),
        ("--like two.mp4", "shows 2 videos"),
        ("--like odd.mp4", "was made by ['mugv'], which generates nothing"),
        ("--like empty.mp4", "its record has the schema 1.5, and this version reads 1"),
        ("", "no prompt: write one in quotes"),
    ):
        assert generate(words) == 2
        assert message in capsys.readouterr().err


def test_info_shows_a_record(made, capsys):
    assert cli.main(["info", "made.mp4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == made
    Video(CLIP, 8, {**made, "prompt": "a\x1b[31m boat"}).save("coloured.mp4")
    assert cli.main(["info", "coloured.mp4"]) == 0
    shown = capsys.readouterr().out
    assert "a [31m boat" in shown
    assert "seed                  7" in shown
    assert "  steps                 1" in shown
    Video(CLIP, 8).save("silent.mp4")
    assert cli.main(["info", "silent.mp4"]) == 2


def test_options_of_few_steps_are_repeated():
    settings = {"times": [1.0, 0.6], "renoise": True, "shift": None}
    texts = [text for name, value in settings.items() for text in like._written(name, value)]
    assert texts == ["--times=1.0,0.6", "--renoise=on", "--shift=auto"]
    parsed = cli._parser("generate").parse_args(["generate", *texts])
    assert (parsed.times, parsed.renoise, parsed.shift) == ((1.0, 0.6), True, None)
    (text,) = like._written("times", None)
    assert cli._parser("generate").parse_args(["generate", text]).times is None
