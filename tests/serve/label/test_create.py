# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Making of sets: videos and prompts that are found, pairs, copies without tags, and mistakes."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mugv_jax import cli, video
from mugv_jax.curate.review import LABELS
from mugv_jax.serve.label.create import group_pairs, paired_groups
from mugv_jax.serve.label.labelset import read_set
from mugv_jax.serve.label.media import copy_video
from mugv_jax.serve.label.questions import parse_question
from mugv_jax.serve.label.sources import Source, read_folder, read_golden, read_shown
from tests.data.real_clips import real_clip
from tests.serve.label.sets import FPS, write_clip

PROMPT = "a secret prompt"


def folder_of(path, names, **options):
    path.mkdir()
    for number, name in enumerate(names):
        write_clip(path / name, number, **options)
    return path


def source(name, group="", model="m"):
    return Source(id=name, path=Path(f"/{model}/{name}.mp4"), model=model, group=group)


def tags_of(path):
    with av.open(path) as file:
        return {**file.metadata, **file.streams.video[0].metadata}


def test_a_set_of_pairs_tells_nothing_of_its_videos(tmp_path, capsys):
    record = {"prompt": PROMPT, "seed": 3, "made_by": "mugv_jax"}
    ours = folder_of(tmp_path / "ours", ["a.mp4", "b.mp4"], record=record)
    theirs = folder_of(tmp_path / "theirs", ["b.mp4", "a.mp4", "c.mp4"], record=record)
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "product.png")
    (tmp_path / "prompts.csv").write_text("id,caption,picture\na,shown instead,product.png\n")
    out = tmp_path / "set"
    argv = ["label", "create", "pairs", str(ours), str(theirs), "-o", str(out)]
    argv += ["--prompts", str(tmp_path / "prompts.csv"), "--token", "anna"]
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    name, token = printed.out.split()
    assert (name, len(token)) == ("anna", 32)
    assert "1 video has no partner" in printed.err
    made = read_set(out)
    assert [item.name for item in made.items] == ["a", "b"]
    assert [item.prompt for item in made.items] == ["shown instead", PROMPT]
    assert [clip.model for clip in made.items[0].clips] == ["ours", "theirs"]
    with Image.open(out / "media" / made.items[0].picture) as picture:
        assert picture.size == (1280, 640)
    media = sorted(file.name for file in (out / "media").iterdir())
    assert len(media) == 5
    for file in media:
        assert len(file.split(".")[0]) == 32
        if file.endswith(".mp4"):
            assert PROMPT not in json.dumps(tags_of(out / "media" / file))
            assert PROMPT.encode() not in (out / "media" / file).read_bytes()
    assert cli.main(argv) == 2
    assert "exists; pass --overwrite" in capsys.readouterr().err
    assert cli.main([*argv, "--overwrite", "--models", "x,y"]) == 0
    assert read_set(out).models == ("x", "y")


def test_h264_is_copied_and_what_browsers_do_not_play_is_encoded(tmp_path):
    write_clip(tmp_path / "a.mp4", 0)
    copied = copy_video(tmp_path / "a.mp4", tmp_path, "copy")
    assert (copied.encoded, copied.fps, copied.width, copied.height) == (False, FPS, 64, 48)
    before, after = (video.read_video(tmp_path / name) for name in ("a.mp4", "copy.mp4"))
    np.testing.assert_array_equal(before.frames, after.frames)
    frames = before.frames
    with av.open(tmp_path / "b.mkv", "w") as file:  # as lossless samples are kept
        stream = file.add_stream("libx264rgb", rate=FPS, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode())
    made = copy_video(tmp_path / "b.mkv", tmp_path, "made")
    assert (made.encoded, made.file) == (True, "made.mp4")
    difference = video.read_video(tmp_path / "made.mp4").frames.astype(int) - frames
    assert np.abs(difference).mean() < 2
    with av.open(tmp_path / "made.mp4") as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_part_of_a_video_has_its_frames_only(tmp_path):
    made = copy_video(real_clip("bikes.mp4"), tmp_path, "part", start_s=2.0, end_s=2.4)
    assert made.encoded
    shown = video.read_video(tmp_path / made.file).frames
    with video.decoding(real_clip("bikes.mp4"), start_s=2.0, end_s=2.4) as (_, frames, rgb):
        expected = np.stack([rgb(frame) for frame in frames])
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 2
    with pytest.raises(ValueError, match="no frame from 99"):
        copy_video(real_clip("bikes.mp4"), tmp_path, "none", start_s=99.0)


def test_videos_are_paired_by_name_or_else_by_prompt(caplog):
    first = [source("a"), source("b", "dog"), source("c", "cat"), source("d", "cat")]
    second = [source("a", model="n"), source("x", "dog", "n"), source("y", "cat", "n")]
    assert [name for name, _ in paired_groups(first, second)] == ["a", "b_x"]
    assert "3 videos have no partner" in caplog.text
    with pytest.raises(ValueError, match="no video of the first folder has a partner"):
        paired_groups([source("a")], [source("b", model="n")])


def test_pairs_of_one_folder_are_of_one_prompt():
    own = [source(f"{group}{k}", group) for group in ("dog", "cat", "") for k in range(3)]
    made = group_pairs(own, per_prompt=2, seed=0)
    assert len(made) == 4
    assert all(a.group == b.group != "" for _, (a, b) in made)
    assert group_pairs(own, per_prompt=2, seed=0) == made
    assert {name for name, _ in group_pairs(own, per_prompt=3, seed=0)} >= {n for n, _ in made}
    with pytest.raises(ValueError, match="no prompt has two videos"):
        group_pairs([source("a", "dog"), source("b", "cat")], per_prompt=1, seed=0)


def test_samples_of_training_are_read_from_their_list(tmp_path):
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "p-0.mp4", 0)
    row = {"sample_id": "p-0", "prompt": "p", "caption": PROMPT, "video_path": "videos/p-0.mp4"}
    with open(tmp_path / "train.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    (found,) = read_folder(tmp_path, "m")
    assert (found.id, found.group, found.prompt) == ("p-0", "p", PROMPT)


def test_a_review_list_is_cut_into_its_clips(tmp_path):
    header = ["id", "path", "start_s", "end_s", "caption", "composite", "rater", *LABELS]
    row = ["c1", str(real_clip("bikes.mp4")), "1", "1.4", 'A "bike"', "0.5", "", "", "", ""]
    with open(tmp_path / "review.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, row])
    out = tmp_path / "set"
    assert (
        cli.main(["label", "create", "review", str(tmp_path / "review.csv"), "-o", str(out)]) == 0
    )
    (item,) = read_set(out).items
    assert (item.name, item.prompt, item.about["start_s"]) == ("c1", 'A "bike"', "1")
    with video.open_frames(out / "media" / item.clips[0].media) as stream:
        assert sum(1 for _ in stream.frames) == 10
    assert [q.id for q in read_set(out).questions] == list(LABELS)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("id,question,answer\nz,prompt,pass\n", "'z' is no item"),
        ("id,question,answer\na,colour,pass\n", "question 'colour' must be one of prompt"),
        ("id,question,answer\na,prompt,yes\n", "answer 'yes' must be one of pass, fail"),
        ("id,question\na,prompt\n", "answer is missing"),
        ("id,question,answer\n", "is empty"),
    ],
)
def test_golden_items_that_cannot_be_are_named(tmp_path, rows, told):
    (tmp_path / "golden.csv").write_text(rows)
    with pytest.raises(ValueError, match=told):
        read_golden(tmp_path / "golden.csv", {"a"}, {"prompt": ("pass", "fail")})


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["pairs", "ours", "ours"], "must be 2 different names"),
        (["pairs", "ours", "b", "c"], "pairs of 3 folders"),
        (["pairs", "nowhere"], "'nowhere' is no folder"),
        (["single", "empty"], "holds no video"),
        (["single", "bad"], "damaged or no video"),
        (["single", "double"], "several videos named 'a'"),
        (["single", "ours", "--question", "Which?"], "must be ID=TEXT"),
        (["single", "ours", "--question", "a=1", "--question", "a=2"], "must be different"),
        (["ecommerce", "ours", "--question", "a=b"], "of ecommerce cannot be replaced"),
        (["single", "ours", "--annotators", "0"], "annotators=0 must be at least 1"),
        (["single", "ours", "--golden-every", "1"], "golden_every=1 must be at least 2"),
        (["single", "ours", "--golden", "golden.csv"], "all items are golden"),
        (["single", "ours", "--token", "a b"], "must be 1 to 64 letters"),
        (["single", "ours", "--prompts", "no.csv"], "no.csv"),
        (["review", "ours"], "is a folder"),
    ],
)
def test_mistakes_are_told_in_a_line_and_leave_no_set(tmp_path, monkeypatch, capsys, argv, told):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "ours", ["a.mp4"])
    folder_of(tmp_path / "double", ["a.mp4", "a.mkv"])
    for name in ("empty", "bad"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad" / "a.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "golden.csv").write_text("id,question,answer\na,prompt,pass\n")
    assert cli.main(["label", "create", *argv, "-o", "set"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_what_is_no_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no labelling set"):
        read_set(tmp_path)
    for content, told in (("{}", "format=None"), ('{"format": 1}', "is damaged")):
        (tmp_path / "set.json").write_text(content)
        with pytest.raises(ValueError, match=told):
            read_set(tmp_path)


def test_questions_and_prompts_are_parsed(tmp_path):
    assert parse_question("a_1=Is it = b?").text == "Is it = b?"
    (tmp_path / "p.csv").write_text("id,caption\na.mp4,one\nb,\n")
    shown = read_shown(tmp_path / "p.csv")
    assert (shown["a.mp4"].prompt, shown["b"].prompt) == ("one", "")
