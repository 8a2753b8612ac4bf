# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Lists of prompts, names of their videos, and batches of one shape."""

import argparse
import itertools
import types

import numpy as np
import pytest

from mugv_jax import video
from mugv_jax.commands import batches
from mugv_jax.commands.places import places, slug
from mugv_jax.commands.rows import Row, read_rows, rows_of
from mugv_jax.video.contact_sheet import WHITE, same_width


def options(**given):
    return argparse.Namespace(
        **{"prompt": [], "prompts": None, "output": None, "overwrite": False, "seed": 42,
           "image": None, "model": "mugv"} | given
    )  # fmt: skip


def rows(*prompts, **fields):
    return [
        Row(number=number, where=f"line {number + 1}", prompt=prompt, **fields)
        for number, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "# two\n\na boat\n  a cat, seen from above \n"),
        ("list", "a boat\r\na cat, seen from above"),
        ("list.csv", 'prompt\na boat\n"a cat, seen from above"\n'),
        ("list.csv", "Prompt;seed\r\na boat;\r\na cat, seen from above;\r\n"),
        ("list.jsonl", '{"prompt": "a boat"}\n\n{"prompt": "a cat, seen from above"}\n'),
    ],
)
def test_a_list_is_lines_of_text_or_a_table(name, content, tmp_path):
    (tmp_path / name).write_bytes(content.encode())
    read = read_rows(tmp_path / name)
    assert [row.prompt for row in read] == ["a boat", "a cat, seen from above"]
    assert [row.number for row in read] == [0, 1]
    assert {row.seed for row in read} == {row.image for row in read} == {None}


def test_every_column_is_read_and_pictures_lie_beside_the_list(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text(
        '{"prompt": "a", "image": "p.png", "seed": 3, "size": "64x32", "frames": 9}\n'
        '{"prompt": "b", "image": "/q.png", "seed": "0", "frames": "5s", "output": "b.mp4"}\n'
        '{"prompt": "c", "image": "", "seed": null}\n'
    )
    first, second, third = read_rows(path)
    args = options(image="shared.png")
    assert first.options(args) == {
        "prompt": ["a"], "image": str(tmp_path / "p.png"), "seed": 3, "size": "64x32",
        "frames": "9",
    }  # fmt: skip
    assert second.options(args) == {"prompt": ["b"], "image": "/q.png", "seed": 0, "frames": "5s"}
    assert second.output == "b.mp4"
    assert third.options(args) == {"prompt": ["c"], "seed": 44}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.csv", "prompt,sede\na,3\n", r"no column 'sede' \(did you mean seed\?\); there are pro"),
        ("l.csv", "seed,image\n3,a.png\n", "has no column prompt"),
        ("l.csv", "prompt,seed\na,3\n,4\n", r"', line 3: the prompt is empty: describe"),
        ("l.csv", "prompt,seed\na,x\nb,-1\nc,9\nd,99999999999\n", "3 rows cannot be used.\nline 2"),
        ("l.csv", "prompt,seed\na,x\nb,3,4\n", "line 3: has 3 cells"),
        ("l.csv", "prompt,seed\na,4294967296\nb,-1\n", "seed=4294967296 must lie in 0 to"),
        (
            "l.jsonl",
            '{"prompt": "a"}\n{"prompt": ["b"]}\n',
            r"line 2: prompt=\['b'\] must be a text",
        ),
        ("l.jsonl", '{"prompt": "a", "seed": true}\n', "seed=True must be a text or a number"),
        ("l.jsonl", "a boat\n", "line 1: is not JSON"),
        ("l.json", "[]", "one object a line, with the suffix .jsonl"),
        ("l.txt", "# nothing\n", "is empty"),
    ],
)
def test_a_list_that_cannot_be_used_names_all_rows(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_rows(tmp_path / name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no prompt: write one in quotes, or give --prompts FILE"),
        ({"prompt": ["a"], "prompts": "l.txt"}, "prompt 'a' and --prompts: give prompts one way"),
        ({"prompts": "nowhere.txt"}, "prompts 'nowhere.txt' does not exist"),
    ],
)
def test_prompts_come_one_way(given, message):
    with pytest.raises(ValueError, match=message):
        rows_of(options(**given))


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red star, moving left!", "a-red-star-moving-left"),
        ("eine Möwe über 2 Schiffen", "eine-möwe-über-2-schiffen"),
        ("一艘红色的纸船", "一艘红色的纸船"),
        ("../../etc/passwd", "etc-passwd"),
        ("?!", "video"),
        ("word " * 40, "word-word-word-word-word-word-word-word-word"),
        ("x" * 400, "x" * 48),
    ],
)
def test_a_prompt_names_its_video(prompt, name):
    assert slug(prompt) == name


def test_without_an_output_a_new_name_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    several = rows("a boat", "a cat", "A boat!")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "a-boat.mp4").write_text("older")
    for output, folder in ((None, "outputs"), ("outputs", "outputs"), ("made/", "made")):
        found = places(options(output=output), several)
        older = folder == "outputs"
        names = ("a-boat-2", "a-cat", "a-boat-3") if older else ("a-boat", "a-cat", "a-boat-2")
        assert [str(place.path) for place in found] == [f"{folder}/{name}.mp4" for name in names]
        assert not any(place.kept for place in found)


def test_what_exists_is_refused_or_kept(tmp_path):
    one, two = tmp_path / "v.mp4", tmp_path / "v_1.mp4"
    assert [place.path for place in places(options(output=str(one)), rows("a"))] == [one]
    one.write_text("older")
    two.write_text("older")
    with pytest.raises(ValueError, match=r"v.mp4' exists: give --overwrite to replace it"):
        places(options(output=str(one)), rows("a"))
    for overwrite in (False, True):
        args = options(output=str(one), overwrite=overwrite)
        found = places(args, rows("a", "b"))
        assert [(place.path.name, place.kept) for place in found] == [
            ("v_0.mp4", False),
            ("v_1.mp4", not overwrite),
        ]


def test_rows_of_a_list_keep_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    several = [*rows("a boat", "a cat"), Row(number=2, where="", prompt="c", output="sub/c.mov")]
    expected = ["001-a-boat.mp4", "002-a-cat.mp4", "sub/c.mov"]
    for output, folder in ((None, tmp_path / "outputs" / "shots"), ("made", tmp_path / "made")):
        found = places(options(prompts="shots.csv", output=output), several)
        assert [str(tmp_path / each.path) for each in found] == [f"{folder}/{e}" for e in expected]
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "002-a-cat.mp4").write_text("older")
    kept = [place.kept for place in places(options(prompts="shots.csv", output="made"), several)]
    assert kept == [False, True, False]


@pytest.mark.parametrize(
    ("given", "several", "message"),
    [
        ({"prompts": "l.csv"}, rows("a", "b", output="x.mp4"), "several rows would be written to"),
        ({"prompts": "l.csv"}, rows("a", output="x.gif"), "must end in .mp4"),
        ({"prompts": "l.csv", "output": "x.mp4"}, rows("a"), "must be a folder for the videos"),
        ({"output": "x"}, rows("a"), "'x' must end in .mp4"),
    ],
)
def test_names_that_cannot_be_written_are_refused(given, several, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        places(options(**given), several)


@pytest.fixture
def generator():
    """A generator module that refuses the prompt "bad" and notes what it is asked for."""
    asked = []

    def prepare(args):
        if "bad" in args.prompt:
            raise ValueError("bad is no prompt.")
        asked.append(args)
        frames = int(getattr(args, "frames", 1))
        made = [video.Video(np.zeros((frames, 2, 2, 3), np.uint8), seed) for seed in seeds(args)]
        return lambda _: iter(made)

    module = types.ModuleType("generate_test")
    module.prepare, module.OPTIONS, module.asked = prepare, ("image",), asked
    return module


def seeds(args):
    return args.seed if isinstance(args.seed, list) else [args.seed]


@pytest.fixture
def pipeline(monkeypatch):
    monkeypatch.setattr(batches, "data_shards", lambda _: 3)
    return types.SimpleNamespace(models=types.SimpleNamespace(mesh=None))


def test_rows_of_one_shape_are_made_together(generator, pipeline, monkeypatch):
    monkeypatch.setattr(batches, "AT_A_TIME", 2)  # 3, a multiple of the mesh's data shards
    frames = itertools.cycle([None, "9"])
    several = [
        Row(number=n, where=f"line {n}", prompt=f"p{n}", frames=next(frames), image=image)
        for n, image in enumerate(["a.png", None, "a.png", "b.png", "a.png", None, "c.png", None])
    ]
    make = batches.prepared(options(prompts="l.csv"), generator, several)
    checked, generator.asked[:] = list(generator.asked), []
    assert [args.prompt for args in checked] == [[row.prompt] for row in several]
    made = list(make(pipeline))
    assert [row.number for row, _ in made] == [0, 2, 4, 6, 1, 3, 5, 7]
    assert [each.fps for _, each in made] == [42 + row.number for row, _ in made]
    assert {len(each.frames) for row, each in made if row.frames} == {9}
    assert [args.prompt for args in generator.asked] == [
        ["p0", "p2", "p4"], ["p6"], ["p1", "p3", "p5"], ["p7"],
    ]  # fmt: skip
    assert [args.image for args in generator.asked] == [
        "a.png", "c.png", [None, "b.png", None], None,
    ]  # fmt: skip


def test_all_rows_of_a_list_are_checked_before_any_is_made(generator):
    with pytest.raises(ValueError, match=r"2 rows cannot be used.\nline 1: bad is no.*\nline 3: "):
        batches.prepared(options(prompts="l.csv"), generator, rows("bad", "a", "bad"))
    generator.OPTIONS = ()
    with pytest.raises(ValueError, match=r"'l.csv', line 1: --image is of another --model: mugv"):
        batches.prepared(options(prompts="l.csv"), generator, rows("a", image="p.png"))
    with pytest.raises(ValueError, match=r"^bad is no prompt"):
        batches.prepared(options(), generator, rows("a", "bad"))


def test_a_contact_sheet_has_rows_of_several_sizes():
    narrow, wide = np.zeros((4, 3, 3), np.uint8), np.zeros((2, 5, 3), np.uint8)
    first, second = same_width([narrow, wide])
    assert first.shape == (4, 5, 3)
    assert (first[:, 3:] == WHITE).all()
    assert not first[:, :3].any()
    assert second is not wide
    assert second.shape == wide.shape
