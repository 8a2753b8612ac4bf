# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Curation from files to lists: both engines, interruptions, bad files, captions."""

import csv
import dataclasses
import shutil
import warnings

import av
import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax import config as configs
from mugv_jax.curate import engine
from mugv_jax.curate.run import curate
from mugv_jax.curate.settings import from_config_dict
from mugv_jax.curate.table import read_table
from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule, read_clip
from tests.data.real_clips import real_clip
from tests.rewriting.stub import chat, serving

MEASURES = (
    "borders", "sharpness", "steadiness", "motion", "watermark", "signature", "keypoints",
    "thumbnail",
)  # fmt: skip
BAD = {
    "empty": b"", "text": b"no video at all", "cut": None, "sound": None, "one_frame": None,
}  # fmt: skip


def config(*overrides):
    """The default config without the models that take seconds to load."""
    values = configs.read("curate/default")
    values.run.measures = MEASURES
    values.run.unit_clips = 2
    values.shots.neural = False
    values.shots.max_clip_s = 2.0
    values.thresholds.watermark.high = None
    values.thresholds.watermark.low = 0.0
    return from_config_dict(configs.override(values, overrides))


def written(path, frames, rate=12, codec="libx264"):
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Folder of two real videos, a copy, and files that are none."""
    folder = tmp_path_factory.mktemp("raw")
    (folder / "site").mkdir()
    shutil.copy(real_clip("bikes.mp4"), folder / "site" / "bikes.mp4")
    shutil.copy(real_clip("bikes.mp4"), folder / "copy.mp4")
    shutil.copy(real_clip("carphone_pristine.mp4"), folder / "carphone.mp4")
    for name, content in BAD.items():
        if content is not None:
            (folder / f"{name}.mp4").write_bytes(content)
    whole = real_clip("bikes.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 20])
    written(folder / "one_frame.mp4", np.full((1, 64, 64, 3), 90, np.uint8))
    with av.open(folder / "sound.mp4", "w") as file:
        stream = file.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 16_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return folder


@pytest.fixture(scope="module")
def done(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "loop"
    return curate(raw, out, config()), out


def test_shots_become_clips_and_bad_files_are_set_aside_with_a_reason(done):
    curated, _ = done
    assert {row["name"] for row in curated.videos if row["problem"]} == {
        f"{name}.mp4" for name in BAD
    }
    assert all(row["problem"].startswith("probe: ") for row in curated.videos if row["problem"])
    cuts = {30, 76, 137, 187, 242}  # of bikes.mp4, at 25 frames a second
    bikes = [row for row in curated.clips if row["video"] == "site_bikes"]
    starts = {round(row["start_s"] * 25) for row in bikes if row["before"] == "cut"}
    assert starts == cuts - {242}  # what follows is shorter than a clip
    assert {row["source"] for row in bikes} == {"site"}
    assert all(row["seconds"] <= 2.0 + 1e-9 for row in bikes)
    copies = [row for row in curated.clips if row["video"] == "copy"]
    assert len(copies) == len(bikes)
    kinds = {row["duplicate_kind"] for row in (*bikes, *copies) if row["duplicate_of"]}
    assert "exact" in kinds


def test_the_list_is_one_for_data_encode(done):
    curated, out = done
    kept = [row for row in curated.clips if row["dropped_by"] is None]
    with open(out / "captions.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [row["clip"] for row in kept]
    for entry, row in zip(read_captions(out, "a clip"), kept, strict=True):
        clip = read_clip(entry.path, ClipRule(fps=row["fps"], size=(32, 32)), None, entry.part)
        assert len(clip.frames) == (min(row["frames"], 105) - 1) // 8 * 8 + 1
    assert (out / "report.html").is_file()


def test_the_reason_does_not_repeat_the_path(done, raw):
    curated, _ = done
    told = {row["name"]: row["problem"] for row in curated.videos}
    assert told["text.mp4"].startswith("probe: the video is damaged or no video: ")
    assert not any(str(raw) in problem for problem in told.values() if problem)


def test_ray_and_interruptions_give_the_same_rows(done, raw, tmp_path, monkeypatch):
    _, out = done
    finished, write = [], engine.Parts.write

    def dies(self, key, rows, seconds):
        if len(finished) % 3 == 2:
            finished.append(key)
            raise KeyboardInterrupt
        write(self, key, rows, seconds)
        finished.append(key)

    again = tmp_path / "killed"
    monkeypatch.setattr(engine.Parts, "write", dies)
    for _ in range(12):
        try:
            curate(raw, again, config())
        except KeyboardInterrupt:
            continue
        break
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray
        curate(raw, tmp_path / "ray", config(), workers=1)
    for name in ("clips.parquet", "videos.parquet"):
        rows = read_table(out / name)
        assert rows == read_table(again / name)
        assert rows == read_table(tmp_path / "ray" / name)


def test_a_set_of_which_nothing_is_left_has_its_tables_and_report(done, raw, tmp_path):
    _, out = done
    nothing = curate(raw, out, config("--config.thresholds.motion.low=69"))
    assert {row["dropped_by"] for row in nothing.clips} >= {"motion"}
    assert not any(row["dropped_by"] is None for row in nothing.clips)
    assert read_captions_of(out) == []
    curate(raw, out, config())  # as the other tests expect it
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.mp4").write_bytes(b"no video")
    assert curate(tmp_path / "bad", tmp_path / "set", config()).clips == []
    for name in ("videos.parquet", "clips.parquet", "captions.csv", "report.html"):
        assert (tmp_path / "set" / name).is_file()


def read_captions_of(folder):
    with open(folder / "captions.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_thresholds_are_tried_again_without_measuring(done, raw, monkeypatch):
    curated, out = done
    monkeypatch.setattr(engine.Carrier, "rows", None)
    stricter = curate(raw, out, config("--config.thresholds.motion.low=3"))
    before, after = (
        sum(row["dropped_by"] is None for row in each.clips) for each in (curated, stricter)
    )
    assert after < before
    curate(raw, out, config())  # as the other tests expect it


def test_kept_clips_are_captioned_and_tagged(done, raw, tmp_path, monkeypatch):
    _, out = done
    shutil.copytree(out, tmp_path / "set")
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(chat("A van passes a cyclist on a street.")) as stub:
        told = config("--config.captioner.model=vlm", f"--config.captioner.base_url={stub.url}")
        curated = curate(raw, tmp_path / "set", told)
        asked = len(stub.asked)
    kept = [row for row in curated.clips if row["dropped_by"] is None]
    assert {row["caption"] for row in kept} == {"A van passes a cyclist on a street."}
    assert asked == len(kept)
    content = stub.asked[0][2]["messages"][1]["content"]
    assert [each["type"] for each in content] == ["image_url", "text"]
    assert all(entry.caption.startswith("A van") for entry in read_captions(tmp_path / "set"))
    gone = dataclasses.replace(
        told, asking=(dataclasses.replace(told.asking[0], timeout_s=0.2, model="gone"),)
    )
    with pytest.raises(ValueError, match="answered is kept"):  # it had answered for this set
        curate(raw, tmp_path / "set", gone)
    with pytest.raises(ValueError, match="no server answers there"):
        curate(raw, tmp_path / "new", gone)


def test_labels_of_people_become_columns(done, raw, tmp_path):
    curated, out = done
    path = tmp_path / "review.csv"
    assert cli.main(["data", "review", str(out), "-o", str(path), "--count", "3"]) == 0
    assert cli.main(["data", "review", str(out), "-o", str(path)]) == 2  # it exists
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    rows[0] |= {"rater": "me", "motion_continuity": "4", "visual_fidelity": "2"}
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    labelled = curate(raw, out, config(), labels=path)
    by_clip = {row["clip"]: row for row in read_table(out / "clips.parquet")}
    assert by_clip[rows[0]["id"]]["motion_continuity"] == 4.0
    assert sum(row["raters"] is not None for row in by_clip.values()) == 1
    assert len(labelled.clips) == len(curated.clips)
    curate(raw, out, config())  # as the other tests expect it


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere -o out", "'nowhere' does not exist; give a folder of videos"),
        ("raw -o out", "holds no videos"),
        ("empty.csv -o out", "'empty.csv' names no videos: write a line with a path for each"),
        ("empty.jsonl -o out", "'empty.jsonl' names no videos"),
        ("twice.csv -o out", "line 3: id 'a' is that of line 2 too: give each its own id"),
        ("raw -o raw", "output 'raw' is in the folder of the raw videos"),
        ("raw -o raw/set", "output 'raw/set' is in the folder of the raw videos"),
        ("set/captions.csv -o set", "'set/captions.csv' was made by a curation into 'set'"),
        ("raw -o set", "made from '/elsewhere': name another folder, or pass --overwrite"),
        ("raw -o out --workers 0", "--workers=0 must be at least 1"),
        ("raw -o out --config.motion.flow=farneback", "flow='farneback' must be dis or raft"),
        ("raw -o out --config.run.measures=('taste',)", "measures: 'taste' must be one of"),
        ("raw -o out --config.clip.head=x.pth", "set folder too"),
        ("raw -o out --config.thresholds.blur.hihg=1", "Did you mean high?"),
        ("raw -o out --config.run.thresholds=('fun',)", "'fun' is none of thresholds"),
        ("raw -o out --config.thresholds.blur.column=sharpnes", "did you mean sharpness?"),
        ("raw -o out --config.balance.by=('subject',)", "balance.by names 'subject'"),
        (
            "raw -o out --config mugv_10b",
            "--config mugv_10b is no config of curation; those of the package are "
            "curate/contentv, curate/default, curate/mugv.",
        ),
        (
            "raw -o out --config contntv",
            "did you mean curate/contentv? It has curate/contentv, curate/default, curate/mugv.",
        ),
        (
            "raw -o out --config.captioner.model=vlm --config.captioner.base_url=http://localhost:1",
            "--config.captioner.base_url: vlm at http://localhost:1: no server answers there",
        ),
    ],
)
def test_a_mistake_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "localhost")
    for folder in ("raw", "set"):
        (tmp_path / folder).mkdir()
    (tmp_path / "empty.csv").write_text("path,caption\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "twice.csv").write_text("path,id\na.mp4,a\nb.mp4,a\n")
    (tmp_path / "set" / "captions.csv").write_text("path\na.mp4\n")
    (tmp_path / "set" / "curate.json").write_text('{"raw": "/elsewhere"}')
    before = set(tmp_path.rglob("*"))
    assert cli.main(["data", "curate", *words.split()]) == 2
    printed = capsys.readouterr().err
    assert message in " ".join(printed.split())
    assert "Traceback" not in printed
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["default", "mugv", "contentv"])
def test_shipped_configs_are_read(name):
    made = from_config_dict(configs.read(f"curate/{name}"))
    if name == "mugv":  # MUG-V 2.1
        limits = {each: (t.low, t.high) for each, t in made.thresholds.items()}
        assert limits["sharpness"] == (200, 2000)
        assert limits["aesthetic"] == (4.5, None)
        assert limits["motion"] == (1, 20)
        assert made.best.share == 0.1
    if name == "contentv":  # ContentV 3
        assert (made.thresholds["length"].low, made.thresholds["length"].high) == (3, 6)
        assert made.best.rule == "every"


@pytest.fixture(scope="module")
def remuxed(tmp_path_factory):
    """bikes.mp4 as Matroska, which needs no index at its end."""
    path = tmp_path_factory.mktemp("remuxed") / "bikes.mkv"
    with av.open(real_clip("bikes.mp4")) as source, av.open(path, "w") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    return path


def test_damaged_and_cut_off_files_are_named_and_their_good_clips_kept(
    remuxed, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    content = remuxed.read_bytes()
    (tmp_path / "raw" / "cut.mkv").write_bytes(content[: len(content) * 6 // 10])
    with av.open(remuxed) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    damaged = bytearray(content)
    place = packets[100].pos + packets[100].size // 3
    damaged[place : place + 64] = bytes(range(1, 65))
    (tmp_path / "raw" / "hit.mkv").write_bytes(damaged)
    quick = [f"--config.run.measures={MEASURES!r}", "--config.shots.neural=False"]
    assert cli.main(["data", "curate", "raw", "-o", "set", "--quiet", *quick]) == 0
    printed = capsys.readouterr().out
    assert "1 video cut off before the end; what is there was used" in printed
    assert "  cut.mkv: 5.7 s of 10.0 s" in printed
    rows = read_table(tmp_path / "set" / "clips.parquet")
    hit = [row for row in rows if row["video"] == "hit"]
    broken = [row for row in hit if row["decode_errors"]]
    assert len(broken) == 1
    assert broken[0]["start_s"] < 100 / 25 < broken[0]["end_s"]
    assert broken[0]["dropped_by"] == "damage"
    assert all(row["decode_errors"] == 0 for row in rows if row["video"] == "cut")


def test_the_text_beside_a_video_is_the_caption_of_its_clips_once(tmp_path, capsys):
    raw, out = tmp_path / "raw", tmp_path / "set"
    raw.mkdir()
    for name, text in (("bikes", "People on\nbicycles."), ("carphone_pristine", "A man talks.")):
        shutil.copy(real_clip(f"{name}.mp4"), raw)
        (raw / f"{name}.txt").write_text(text)
    quick = [f"--config.run.measures={MEASURES!r}", "--config.shots.neural=False"]
    open_all = "--config.run.thresholds=()"
    command = ["data", "curate", str(raw), "-o", str(out), "--quiet", *quick, open_all]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    rows = read_table(out / "clips.parquet")
    assert {row["video_caption"] for row in rows} == {"People on bicycles.", "A man talks."}
    kept = [row for row in rows if row["dropped_by"] is None]
    count = sum(row["video"] == "bikes" for row in kept)
    assert f"{count} kept clips of 1 video cut into several have the text of the whole" in printed
    (raw / "bikes.txt").write_text("Another text.")  # the list alone counts from now on
    captions = {entry.id: entry.caption for entry in read_captions(out)}
    assert captions == {row["clip"]: row["video_caption"] for row in kept}
    listed = (out / "captions.csv").read_text()
    (out / "captions.csv").write_text(listed.replace("People on bicycles.", ""))
    with pytest.raises(ValueError, match="write it into the list"):
        read_captions(out)
    (raw / "bikes.txt").write_text(" ")
    assert cli.main(command) == 2
    assert "bikes.txt is empty: write the caption into it" in capsys.readouterr().err


def test_a_threshold_without_ends_is_off():
    made = config("--config.thresholds.motion.high=none", "--config.thresholds.motion.low=none")
    assert made.thresholds["motion"].keeps({"motion": 1e9})


def test_videos_without_an_allowed_licence_are_set_aside(tmp_path):
    listed = tmp_path / "raw.csv"
    paths = [real_clip(name) for name in ("bikes.mp4", "carphone_pristine.mp4")]
    rows = zip(paths, ("CC0-1.0", ""), strict=True)
    listed.write_text("path,licence\n" + "".join(f"{path},{name}\n" for path, name in rows))
    quick = config("--config.run.measures=()", "--config.run.licences=('CC0-1.0',)")
    done = curate(listed, tmp_path / "set", quick)
    assert [row["problem"] for row in done.videos] == [
        None, "licence: none; run.licences has CC0-1.0."
    ]  # fmt: skip
    assert {row["video"] for row in done.clips} == {"bikes"}
    both = curate(listed, tmp_path / "set", config("--config.run.measures=()"))
    assert {row["video"] for row in both.clips} == {"bikes", "carphone_pristine"}
