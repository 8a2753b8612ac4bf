# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json

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
        ('{"path": "b.mp4", "caption": "x", "fps": 0}', "fps=0 must be a positive number"),
        ('{"path": "b.mp4", "caption": "x", "fps": "fast"}', "fps='fast'"),
        ('{"path": "b.mp4", "caption": "x", "id": "../up"}', "id '../up' must be letters"),
        ('{"path": "a.mkv", "caption": "x"}', "id 'a' is that of line 1 too"),
        ('["b.mp4"]', "must be {"),
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
    with pytest.raises(ValueError, match=r"does not exist; give a .csv or .jsonl file"):
        read_captions(tmp_path / "missing.csv")
    (tmp_path / "list.txt").write_text("boat.mp4")
    with pytest.raises(ValueError, match=r"is not a list; give a .csv or .jsonl file"):
        read_captions(tmp_path / "list.txt")
    (tmp_path / "empty.csv").write_text("path,caption\n")
    with pytest.raises(ValueError, match="is empty"):
        read_captions(tmp_path / "empty.csv")
    (tmp_path / "wrong.csv").write_text("file,text\na.mp4,x\n")
    with pytest.raises(ValueError, match="line 2: path is missing"):
        read_captions(tmp_path / "wrong.csv")
    (tmp_path / "bytes.csv").write_bytes(b"path,caption\n\xff\xfe,x\n")
    with pytest.raises(ValueError, match="cannot be read as UTF-8"):
        read_captions(tmp_path / "bytes.csv")
