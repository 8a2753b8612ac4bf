# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import re

import pytest

from mugv_jax.data.captions import Captioned, read_captions


def test_csv_and_jsonl_say_the_same(tmp_path):
    (tmp_path / "list.csv").write_text(
        "\ufeffcaption,path,score,fps,id\n"
        '"a boat, red",clips/boat one.mp4,7,,\n'
        "a cat,/abs/cat.png,,12.5,cat-1\n",
        encoding="utf-8",
    )
    records = [
        {"path": "clips/boat one.mp4", "caption": " a boat, red "},
        {"path": "/abs/cat.png", "caption": "a cat", "fps": 12.5, "id": "cat-1"},
    ]
    (tmp_path / "list.jsonl").write_text("\n\n".join(json.dumps(r) for r in records))
    expected = [
        Captioned(
            id="clips_boat_one",
            path=tmp_path / "clips" / "boat one.mp4",
            caption="a boat, red",
            fps=None,
        ),
        Captioned(id="cat-1", path=tmp_path.__class__("/abs/cat.png"), caption="a cat", fps=12.5),
    ]
    assert read_captions(tmp_path / "list.csv") == expected
    assert read_captions(tmp_path / "list.jsonl") == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"path": "b.mp4"}', "caption is missing"),
        ('{"path": "b.mp4", "caption": " "}', "caption is empty"),
        ('{"caption": "x"}', "path is missing"),
        ('{"path": 3, "caption": "x"}', "path is empty"),
        ('{"path": "b.mp4", "caption": "x", "fps": 0}', "fps=0 must be a positive number up to"),
        ('{"path": "b.mp4", "caption": "x", "fps": 1e300}', "fps=1e+300 must be a positive number"),
        ('{"path": "b.mp4", "caption": "x", "fps": true}', "fps=True must be"),
        ('{"path": "b.mp4", "caption": "x", "fps": "fast"}', "fps='fast'"),
        ('{"path": "b.mp4", "caption": "x", "id": "../up"}', "id '../up' must be letters"),
        ('{"path": "b.mp4", "caption": "x", "start_s": 2, "end_s": 2}', "end_s=2.0 must be above"),
        ('{"path": "b.mp4", "caption": "x", "start_s": "x"}', "start_s='x' must be a number"),
        ('{"path": "b.mp4", "caption": "x", "crop": "0 0 9"}', "must be four numbers of pixels"),
        ('{"path": "b.mp4", "caption": "x", "crop": [9, 0, 9, 5]}', "with right above left"),
        ('{"path": "./a.mp4", "caption": "x"}', "is that of line 1 too: give each its own id"),
        ('["b.mp4"]', "is ['b.mp4'], but must be an object"),
        ("{broken", "is not JSON"),
    ],
)
def test_mistaken_entries_are_named(line, message, tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text('{"path": "a.mp4", "caption": "y"}\n' + line)
    with pytest.raises(ValueError, match="1 mistaken:\n  line 2: ") as caught:
        read_captions(path)
    assert message in str(caught.value)


def test_many_mistakes_are_told_together(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,caption\n" + "".join(f"{n}.mp4,\n" for n in range(7)))
    with pytest.raises(ValueError, match=r"7 mistaken:") as caught:
        read_captions(path)
    assert "line 6: caption is empty" in str(caught.value)
    assert str(caught.value).endswith("and 2 more")


def test_what_is_no_list_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"does not exist; give a .csv, .tsv, .jsonl file, or a"):
        read_captions(tmp_path / "missing.csv")
    (tmp_path / "list.txt").write_text("boat.mp4")
    with pytest.raises(ValueError, match=r"is not a list; give a .csv, .tsv, .jsonl file"):
        read_captions(tmp_path / "list.txt")
    (tmp_path / "empty.csv").write_text("path,caption\n")
    with pytest.raises(ValueError, match="is empty"):
        read_captions(tmp_path / "empty.csv")
    (tmp_path / "wrong.csv").write_text("file,text\na.mp4,x\n")
    with pytest.raises(ValueError, match="line 2: path is missing"):
        read_captions(tmp_path / "wrong.csv")
    (tmp_path / "bytes.csv").write_bytes(b"path,caption\n\xff\xfe,x\n")
    with pytest.raises(ValueError, match="cannot be read as UTF-8 or UTF-16"):
        read_captions(tmp_path / "bytes.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("encoding", "columns"),
    [
        ("utf-8", ("path", "caption")),
        ("utf-8-sig", ("file_name", "text")),
        ("utf-16", ("path", "caption")),
        ("utf-16-le", ("File_Name", "Caption")),
        ("utf-16-be", ("path", "text")),
        ("utf-32", ("file_name", "text")),
    ],
)
def test_lists_of_every_usual_form_say_the_same(encoding, columns, separator, tmp_path):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator)
    writer.writerow([*columns, "fps"])
    writer.writerow(["boat one.mp4", "a b\u00f6at, red; fast", ""])
    writer.writerow(["cat.png", 'a "cat"', "12.5"])
    (tmp_path / "list.csv").write_bytes(text.getvalue().encode(encoding))
    entries = read_captions(tmp_path / "list.csv")
    assert [entry.id for entry in entries] == ["boat_one", "cat"]
    assert [entry.caption for entry in entries] == ["a b\u00f6at, red; fast", 'a "cat"']
    assert [entry.fps for entry in entries] == [None, 12.5]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_jsonl_of_every_usual_form_is_read(encoding, tmp_path):
    lines = '{"file_name": "a.png", "text": "one\u2028line"}\n{"path": "b.png", "caption": "b"}\n'
    (tmp_path / "list.jsonl").write_bytes(lines.encode(encoding))
    entries = read_captions(tmp_path / "list.jsonl")
    assert [entry.caption for entry in entries] == ["one\u2028line", "b"]


def test_an_unquoted_separator_in_a_caption_is_named(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('path, caption\na.mp4,a boat, red\nb.mp4, "a cat, grey",,\n')
    with pytest.raises(ValueError, match=r"line 2: has 3 cells, .* 2 columns: put .* in double"):
        read_captions(path)


def test_captions_lie_beside_the_files_of_a_folder(tmp_path):
    folder = tmp_path / "set"
    (folder / "b").mkdir(parents=True)
    for name in ("b/clip.mp4", "a.png", "c.webp", ".hidden.png", "notes.md", "b/._clip.mp4"):
        (folder / name).touch()
    (folder / "a.txt").write_text(" a red\n boat \n")
    (folder / "b" / "clip.mp4.txt").write_bytes("a b\u00f6at".encode("utf-16"))
    with pytest.raises(ValueError, match=r"1 mistaken:\n  c.webp: caption is missing, .* c.txt"):
        read_captions(folder)
    (folder / "c.txt").write_text("a cat")
    entries = read_captions(folder)
    assert [(each.id, each.caption) for each in entries] == [
        ("a", "a red boat"),
        ("b_clip", "a b\u00f6at"),
        ("c", "a cat"),
    ]
    assert entries[1].path == folder / "b" / "clip.mp4"
    (folder / "a.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"a.txt is empty: write the caption into it"):
        read_captions(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no videos or pictures"):
        read_captions(tmp_path / "none")


def test_a_list_without_captions_takes_those_beside_its_files(tmp_path):
    (tmp_path / "list.csv").write_text("path,caption\na.png,\nb.png,a cat\n")
    (tmp_path / "a.txt").write_text("a boat")
    (tmp_path / "b.txt").write_text("not read")
    assert [entry.caption for entry in read_captions(tmp_path / "list.csv")] == ["a boat", "a cat"]


def ids(tmp_path, *paths):
    (tmp_path / "list.csv").write_text("path,caption\n" + "".join(f"{p},x\n" for p in paths))
    return [entry.id for entry in read_captions(tmp_path / "list.csv")]


def test_default_ids_never_collide_and_do_not_depend_on_the_order(tmp_path):
    names = ["clip_1.mp4", "clip 1.mp4", "a.webp", "a.gif", "b/a.gif", "b_a.gif", "-x.mp4", "y.mp4"]
    made = ids(tmp_path, *names)
    assert len(set(made)) == len(names)
    assert made[-1] == "y"
    assert all(re.fullmatch(r"\w[\w.-]*", each) for each in made)
    assert ids(tmp_path, *reversed(names)) == made[::-1]


def test_a_default_id_leaves_room_for_a_stated_one_and_for_names_of_files(tmp_path):
    (tmp_path / "list.csv").write_text("path,caption,id\na.mp4,x,b\nb.mp4,x,\n")
    first, second = read_captions(tmp_path / "list.csv")
    assert first.id == "b"
    assert second.id.startswith("b-")
    long = [f"{'folder/' * 40}{n}.mp4" for n in range(2)]
    made = ids(tmp_path, *long, "\u96ea" * 80 + ".mp4")
    assert len(set(made)) == 3
    assert max(len(each.encode()) for each in made) <= 215
