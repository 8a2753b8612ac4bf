# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: who is let in, answers that count once, media in parts, blindness."""

import hashlib

import httpx
import pytest

from mugv_jax.data.whole_files import write_whole
from mugv_jax.serve.http.guard import HEADERS
from mugv_jax.serve.label.app import label_app
from mugv_jax.serve.label.labelset import SET, LabelSet
from mugv_jax.serve.label.store import Store
from mugv_jax.serve.label.tasks import Tasks
from tests.serve.label.sets import labelset
from tests.serve.threads import serving
from tools.label_load import load

CONTENT = bytes(range(256)) * 40
HIDDEN = b"what no client may read"


def written(folder, made: LabelSet) -> None:
    """The set's folder, with videos that are none."""
    (folder / "media").mkdir(parents=True)
    for clip in (clip for item in made.items for clip in item.clips):
        (folder / "media" / clip.media).write_bytes(CONTENT)
    write_whole(folder / SET, made.text().encode())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(set, address, store) of a server in this process."""
    folder = tmp_path_factory.mktemp("served") / "set"
    made = labelset(annotators=1000)
    written(folder, made)
    (folder / "secret.mp4").write_bytes(HIDDEN)
    store = Store(folder)
    with serving(label_app(folder, made, store, Tasks(made, store))) as address:
        yield made, address, store


@pytest.fixture
def name(request):
    """An annotator of this test alone."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]


@pytest.fixture
def token(served, name):
    return served[2].add_annotator(name)


@pytest.fixture
def anna(served, token):
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=served[1].url, headers=headers) as client:
        yield client


@pytest.fixture
def answers(served, name):
    """A function that gives the answers of this test's annotator."""
    return lambda: [each for each in served[2].answers() if each.annotator == name]


def sent(client, task, answer_id, **changed):
    values = {"item": task["item"], "question": "overall", "answer": "left", "seconds": 1.5}
    return client.put(f"/api/answers/{answer_id}", json=values | changed)


def test_the_page_and_its_files_are_served_to_everybody_and_nothing_else(served, token):
    address = served[1]
    with httpx.Client(base_url=address.url) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["content-security-policy"] == HEADERS["content-security-policy"]
        for name in ("main.js", "player.js", "api.js", "style.css"):
            assert client.get(f"/static/{name}").status_code == 200
        for method, path in (
            ("GET", "/api/set"), ("POST", "/api/tasks"), ("PUT", "/api/answers/x"),
            ("DELETE", "/api/answers/x"), ("GET", "/media/x.mp4"),
        ):  # fmt: skip
            assert client.request(method, path).status_code == 401, path
            wrong = {"Authorization": f"Bearer {token[:-1]}"}
            assert client.request(method, path, headers=wrong).status_code == 401, path


def test_a_token_becomes_a_cookie_that_scripts_do_not_see(served, token, name):
    address = served[1]
    with httpx.Client(base_url=address.url) as client:
        refused = client.post("/api/session", json={"token": "wrong"})
        assert refused.status_code == 401
        assert not refused.cookies
        begun = client.post("/api/session", json={"token": token})
        assert begun.json() == {"annotator": name}
        cookie = begun.headers["set-cookie"]
        assert all(each in cookie for each in ("HttpOnly", "SameSite=strict"))
        assert client.get("/api/set").json()["annotator"] == name
        client.request("DELETE", "/api/session")
        assert client.get("/api/set").status_code == 401


def test_pages_of_other_sites_change_nothing(anna):
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert anna.post("/api/tasks", headers=headers).status_code == 403
    assert anna.get("/api/set", headers={"Host": "evil.example"}).status_code == 400


def test_nothing_that_is_sent_tells_a_model(anna):
    told = anna.get("/api/set").text + anna.post("/api/tasks").text
    assert "prompt" in told
    for secret in ("ours", "theirs", "item0", "c0", "golden", "known"):
        assert secret not in told


def test_an_answer_counts_once_and_can_be_taken_back(anna, answers, name):
    task = anna.post("/api/tasks").json()["tasks"][0]
    for _ in range(2):
        answer = sent(anna, task, name)
        assert (answer.status_code, answer.json()) == (200, {"id": name, "undone": False})
    assert sent(anna, task, name, answer="right").status_code == 409
    assert sent(anna, task, "y").status_code == 409
    given = anna.post("/api/tasks").json()
    assert given["tasks"][0]["answered"] == {"overall": "left"}
    assert given["last"]["id"] == name
    for _ in range(2):
        assert anna.delete(f"/api/answers/{name}").json()["task"]["answered"] == {}
    assert [each.undone is not None for each in answers()] == [True]
    assert anna.delete("/api/answers/z").status_code == 404


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"item": "../../set.json"}, 404), ({"item": None}, 400), ({"question": "x"}, 404),
        ({"answer": "first"}, 400), ({"answer": ["left"]}, 400), ({"seconds": "1"}, 400),
        ({"seconds": True}, 400), ({"seconds": -1}, 400), ({"item": "x" * 20_000}, 413),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(anna, answers, changed, status):
    task = anna.post("/api/tasks").json()["tasks"][0]
    assert sent(anna, task, "x", **changed).status_code == status
    for body in (b"{", b"[]", b"[" * 5000, b'{"seconds": NaN}'):
        assert anna.put("/api/answers/x", content=body).status_code == 400
    assert sent(anna, task, "x" * 65).status_code == 400
    assert not answers()


def test_a_disk_that_cannot_be_written_is_no_acknowledgement(served, anna, name):
    store = served[2]
    task = anna.post("/api/tasks").json()["tasks"][0]
    store._base.execute("PRAGMA query_only=ON")
    refused = sent(anna, task, name)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_stored")
    store._base.execute("PRAGMA query_only=OFF")
    assert sent(anna, task, name).status_code == 200


def test_media_are_sent_in_parts(served, anna):
    made = served[0]
    path = f"/media/{made.items[0].clips[0].media}"
    whole = anna.get(path)
    assert (whole.content, whole.headers["content-type"]) == (CONTENT, "video/mp4")
    part = anna.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CONTENT)}"
    assert anna.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "secret.mp4", "../secret.mp4", "..%2fsecret.mp4", "%2e%2e/set.json", "..\\set.json", "",
        "%00", "/etc/passwd", "%2fetc%2fpasswd", "0" * 5000,
    ],
)  # fmt: skip
def test_no_path_of_a_client_is_opened(anna, path):
    answer = anna.get(f"/media/{path}")
    assert answer.status_code in (404, 400, 414)
    assert HIDDEN not in answer.content


def test_a_killed_server_loses_no_answer_and_counts_none_twice(tmp_path):
    found = load(tmp_path, annotators=6, answers=100, kills=1)
    assert (found.acknowledged, found.lost, found.double, found.unknown) == (100, 0, 0, 0)
