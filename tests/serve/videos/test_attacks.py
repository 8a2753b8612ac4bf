# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that are meant to harm a server: each is refused, and the server goes on."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.videos import asked, checker
from mugv_jax.serve.videos.checker import Checker
from mugv_jax.systems.mugv.models import demo_weights

GOOD = (demo_weights() / "picture.png").read_bytes()


@pytest.fixture(autouse=True)
def alive(anna):
    """After every attack a plain request is made."""
    yield
    anna.until(anna.id(), "completed")


def refused(answer, *statuses):
    assert answer.status_code in statuses, answer.text
    error = answer.json()["error"]
    assert error["message"]
    assert len(error["message"]) < 700
    assert "Traceback" not in error["message"]
    assert "/tmp" not in error["message"]
    return error


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ""},
        {"prompt": " \n\t"},
        {"prompt": "x" * 4001},
        {"prompt": "\x00"},
        {"prompt": ["a"]},
        {"prompt": {"a": 1}},
        {"prompt": None},
        {"prompt": 3},
        {"negative_prompt": "x" * 4001},
        {"model": "../../etc/passwd"},
        {"model": ["mugv"]},
        {"size": "64x64x64"},
        {"size": "-64x64"},
        {"size": "0x0"},
        {"size": "8x99999999999999999999"},
        {"size": "65536x65536"},
        {"size": "６４x６４"},
        {"size": 64},
        {"size": "1e2x1e2"},
        {"seconds": "-1"},
        {"seconds": "1e309"},
        {"seconds": "nan"},
        {"seconds": "3600"},
        {"seconds": True},
        {"seconds": "2", "frames": 17},
        {"frames": -8},
        {"frames": 10**30},
        {"frames": 16},
        {"frames": 1},
        {"frames": 17.5},
        {"frames": "0x11"},
        {"seed": -1},
        {"seed": 2**32},
        {"seed": "9" * 5000},
        {"steps": 0},
        {"steps": 101},
        {"steps": "1_0"},
        {"guidance": "inf"},
        {"guidance": -1},
        {"guidance": 1e9},
        {"lora": "../../weights"},
        {"lora": "/etc/passwd"},
        {"lora": "paint", "lora_scale": 1e6},
        {"lora_scale": "x"},
        {"enhance": "yes please"},
        {"enhance": True},
        {"rewrite": True},
        {"__proto__": {}},
        {"input_reference": "http://169.254.169.254/latest/meta-data"},
        {"input_reference": "file:///etc/passwd"},
        {"input_reference": {"image_url": "https://example.org/a.png"}},
        {"input_reference": {"file_id": "file-1"}},
        {"input_reference": "data:image/png;base64,####"},
        {"input_reference": "data:image/png,abc"},
        {"input_reference": ["data:,"]},
        {"key_frames": ["data:image/png;base64,"]},
        {"key_frames": [], "key_frame_times": [1]},
        {"key_frames": "data:,", "key_frame_times": "x"},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_fields_that_no_request_can_have(anna, fields):
    answer = anna.post("/v1/videos", json={"prompt": "a red star", **fields})
    refused(answer, 400, 404)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"prompt": ' * 5000),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"prompt": "\\ud800"}'),
        ("application/json", b'{"seed": 1e400, "prompt": "a"}'),
        ("application/json", b'{"prompt": "a", "seed": ' + b"1" * 5000 + b"}"),
        ("application/json", b"\x00\xff"),
        ("application/json; charset=utf-7", b"+AHs-"),
        ("text/plain", b"prompt=a"),
        ("", b"prompt=a"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=b", b"--b\r\nno headers"),
        ("multipart/form-data; boundary=" + "b" * 5000, b"--b"),
        (
            "multipart/form-data; boundary=b",
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % number
                for number in range(2000)
            )
            + b"--b--",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
            + b"x" * 2**20
            + b"\r\n--b--",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="prompt"\r\nX: ' + b"x" * 2**20,
        ),
        ("application/x-www-form-urlencoded", b"a=1&" * 100_000),
        ("application/x-www-form-urlencoded", b"prompt=a&prompt=b"),
    ],
    ids=range(17),
)
def test_bodies_that_are_no_request(anna, kind, body):
    answer = anna.post("/v1/videos", content=body, headers={"Content-Type": kind})
    refused(answer, 400, 413, 415)


def test_json_is_held_in_memory_and_so_small(anna, monkeypatch):
    monkeypatch.setattr(asked, "MOST_JSON_BYTES", 1000)
    answer = anna.create(prompt="x" * 2000)
    assert refused(answer, 413)["code"] == "too_large"


def png(width, height, content=b""):
    """A PNG file that states a size."""

    def chunk(name, data):
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    )


def flat(width, height):
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint8)).save(file, "PNG")
    return file.getvalue()


HOSTILE = {
    "empty": b"",
    "text": b"just text, no picture",
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "cut off": GOOD[: len(GOOD) // 2],
    "bomb": png(30_000, 30_000, zlib.compress(bytes(10**6))),
    "large": flat(10_000, 6_000),
    "no size": png(0, 0),
    "huge size": png(2**31 - 1, 2**31 - 1),
    "tiny": flat(1, 1),
    "zip": b"PK\x03\x04" + bytes(1000),
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "script": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "url": b"[InternetShortcut]\nURL=http://169.254.169.254/",
}


@pytest.mark.parametrize("field", ["input_reference", "video"])
@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_are_no_picture_or_video(anna, name, field):
    files = {field: ("x.png", HOSTILE[name], "image/png")}
    answer = anna.post("/v1/videos", data={"prompt": "a red star", "frames": 25}, files=files)
    error = refused(answer, 400)
    assert error["param"] == field
    assert "root:" not in answer.text


@pytest.mark.parametrize("field", ["input_reference", "last_image", "key_frames[]"])
@pytest.mark.parametrize(
    "name",
    ["../../../../tmp/evil.png", "..\\evil.png", "/etc/cron.d/evil", "a\r\nX-Evil: 1.png",
     "a\x00.png", "%2e%2e%2fevil.png", "$(touch evil).png", "x" * 5000, "<script>.png"],
    ids=range(9),
)  # fmt: skip
def test_names_of_files_are_never_used(anna, field, name, tmp_path_factory):
    fields = {"prompt": "a red star"} | ({"key_frame_times[]": "1"} if "key" in field else {})
    answer = anna.post("/v1/videos", data=fields, files={field: (name, GOOD, "text/html")})
    if answer.status_code == 400:  # a header that is none
        refused(answer, 400)
        return
    id = answer.json()["id"]
    names = {path.name for path in tmp_path_factory.getbasetemp().rglob(f"{id}/*")}
    assert names <= {"image.png", "last_image.png", "key_frame_8.png"}
    assert names
    assert not list(tmp_path_factory.getbasetemp().rglob("*evil*"))


def test_a_picture_that_is_a_page_too_is_only_a_picture_afterwards(anna):
    polyglot = GOOD + b"<script>alert(1)</script>PK\x03\x04"
    id = anna.post(
        "/v1/videos",
        data={"prompt": "a star"},
        files={"input_reference": ("a.html", polyglot, "text/html")},
    ).json()["id"]
    again = anna.get(f"/v1/videos/{id}/input/image")
    assert again.headers["content-type"] == "image/png"
    assert again.headers["x-content-type-options"] == "nosniff"
    assert b"script" not in again.content
    assert b"PK\x03\x04" not in again.content


@pytest.mark.parametrize(
    "path",
    [
        "/v1/videos/..%2f..%2fqueue.sqlite",
        "/v1/videos/../../queue.sqlite",
        "/v1/videos/video_%00/content",
        "/v1/videos/{id}/input/..%2f..%2f..%2fqueue.sqlite",
        "/v1/videos/{id}/input/queue.sqlite",
        "/v1/videos/{id}/content?variant=../../queue.sqlite",
        "/v1/videos/{id}/content?variant=video%00",
        "/v1/videos/{id}%0d%0aX-Evil:%201",
        "/v1/videos/video_' OR '1'='1",
        "/v1/videos?after=' OR 1=1--",
        "/v1/videos?limit=-1",
        "/v1/videos?limit=1e9",
        "/v1/models/..%2f..%2f",
    ],
)
def test_paths_lead_nowhere_else(anna, path):
    id = anna.id()
    answer = anna.get(path.replace("{id}", id))
    refused(answer, 400, 404)
    assert b"SQLite" not in answer.content


MANY = ",".join(f"{number}-{number}" for number in range(5000))


@pytest.mark.parametrize("ranges", ["99999999999-", "-0", "5-1", "a-b", MANY], ids=range(5))
def test_ranges_that_are_none(anna, ranges):
    id = anna.id()
    anna.until(id, "completed")
    answer = anna.get(f"/v1/videos/{id}/content", headers={"Range": f"bytes={ranges}"})
    assert answer.status_code in (200, 206, 400, 416, 431)
    assert len(answer.content) < 2_000_000


def test_prompts_are_only_texts(anna, caplog):
    prompt = (
        "a star\r\nX-Evil: 1 </script><script>alert(1)</script> '; DROP TABLE videos; -- {{7*7}}"
    )
    with caplog.at_level("DEBUG"):
        id = anna.id(prompt)
        answer = anna.get(f"/v1/videos/{id}")
    assert answer.json()["prompt"] == prompt
    assert "x-evil" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    assert "DROP TABLE" not in caplog.text


def test_many_streams_of_events_end_in_refusals(anna):
    statuses = []

    def listen(number):
        with anna.stream("GET", "/v1/events") as answer:
            statuses.append(answer.status_code)
            barrier.wait(30)
            assert number >= 0

    barrier = threading.Barrier(31)
    threads = [threading.Thread(target=listen, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    barrier.wait(30)
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 16
    assert statuses.count(429) == 14


def test_a_file_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(GOOD)
    reader = Checker()
    reader.picture(tmp_path / "a", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (64, 64)
    process = reader._process
    monkeypatch.setattr(checker, "TIMEOUT_S", 0.0)
    with pytest.raises(Refusal, match="took more than"):
        reader.picture(tmp_path / "a", tmp_path / "b.png")
    assert not process.is_alive()
    reader.close()


def test_what_is_refused_leaves_no_files(anna, tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    before = set(base.rglob("inputs/video_*"))
    files = {"input_reference": GOOD, "video": HOSTILE["text"]}
    refused(anna.post("/v1/videos", data={"prompt": "a star"}, files=files), 400)
    assert set(base.rglob("inputs/video_*")) == before
