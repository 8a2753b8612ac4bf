# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The API as clients use it, with a worker that is none."""

import json
import time

import httpx
import openai
import pytest

from mugv_jax.serve.videos import events
from mugv_jax.serve.videos.offer import Limits
from mugv_jax.serve.videos.retention import Retention
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.video import read_video
from tests.serve.videos.conftest import KEYS, client_of, video_server

PICTURE = demo_weights() / "picture.png"


def refused(answer, status, param=None):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    return error["message"]


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_the_official_client_makes_and_fetches_a_video(shared, tmp_path):
    with openai.OpenAI(base_url=f"{shared.url}v1", api_key=KEYS["anna"]) as client:
        assert [model.id for model in client.models.list()] == ["mugv"]
        with PICTURE.open("rb") as picture:
            made = client.videos.create_and_poll(
                prompt="a red star", model="mugv", seconds="2", size="64x64",
                input_reference=picture, extra_body={"seed": 7}, poll_interval_ms=10,
            )  # fmt: skip
        assert (made.status, made.progress, made.seconds, made.size) == (
            "completed",
            100,
            "2",
            "64x64",
        )
        assert made.error is None
        assert made.model_extra["seed"] == 7
        client.videos.download_content(made.id).write_to_file(tmp_path / "video.mp4")
        assert len(read_video(tmp_path / "video.mp4").frames) == 3
        content = client.videos.download_content(made.id, variant="thumbnail")
        assert content.response.headers["content-type"] == "image/webp"
        assert made.id in [video.id for video in client.videos.list(limit=1)]
        assert client.videos.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.videos.retrieve(made.id)
        with pytest.raises(openai.BadRequestError, match="multiple of 8"):
            client.videos.create(prompt="a red star", size="65x64")
    with (
        openai.OpenAI(base_url=f"{shared.url}v1", api_key="wrong" * 5) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.videos.create(prompt="a red star")


def test_what_is_accepted_is_told_completely(anna):
    video = anna.create("a blue circle", frames=9, steps=3, guidance=2.5, seed="11").json()
    assert video["status"] == "queued"
    assert video["position"] == 1
    assert video["settings"] == {
        "frames": 9, "steps": 3, "guidance": 2.5, "negative_prompt": "", "lora": None,
        "lora_scale": None, "enhance": False,
    }  # fmt: skip
    done = anna.until(video["id"], "completed")
    assert done["seed"] == 11
    assert done["position"] is None
    assert done["completed_at"] >= done["started_at"] >= done["created_at"]


def test_seeds_are_drawn_anew_where_none_is_given(anna):
    seeds = {anna.create().json()["seed"] for _ in range(4)}
    assert len(seeds) == 4


def test_pictures_come_as_files_or_data_urls_and_can_be_had_again(anna):
    import base64

    content = PICTURE.read_bytes()
    files = {"last_image": content, "key_frames[]": content}
    fields = {"prompt": "a red star", "key_frame_times[]": "1"}
    first = anna.post("/v1/videos", data=fields, files=files).json()
    assert first["inputs"] == {
        "image": False,
        "last_image": True,
        "video": False,
        "key_frames": [8],
    }
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    second = anna.create(input_reference={"image_url": url}).json()
    for id, name in ((first["id"], "key_frame_8"), (second["id"], "image")):
        again = anna.get(f"/v1/videos/{id}/input/{name}")
        assert again.headers["content-type"] == "image/png"
        assert again.content.startswith(b"\x89PNG")
    assert anna.get(f"/v1/videos/{second['id']}/input/last_image").status_code == 404


def test_a_video_is_continued(anna, tmp_path):
    from mugv_jax.video import write_video
    from tests.serve.videos.fake_worker import FRAMES

    write_video(tmp_path / "short.mp4", FRAMES, 8)
    write_video(tmp_path / "long.mp4", FRAMES.repeat(8, 0), 8)

    def asked(name):
        files = {"video": (tmp_path / name).read_bytes()}
        return anna.post("/v1/videos", data={"prompt": "a star", "frames": 25}, files=files)

    assert "has 3 frames" in refused(asked("short.mp4"), 400, "video")
    assert asked("long.mp4").json()["inputs"]["video"]


def test_cancelled_requests_stop(anna):
    held, waiting = anna.id("hold"), anna.id("a red star")
    anna.until(held, "in_progress")
    assert anna.video(waiting)["position"] == 1
    assert anna.get(f"/v1/videos/{held}/content").status_code == 409
    cancelled = anna.post(f"/v1/videos/{held}/cancel").json()
    assert (cancelled["status"], cancelled["error"]["code"]) == ("failed", "cancelled")
    anna.until(waiting, "completed")
    assert anna.video(held)["error"]["code"] == "cancelled"
    assert "ended already" in refused(anna.post(f"/v1/videos/{held}/cancel"), 409)


def test_a_video_that_is_made_can_be_deleted(anna):
    held = anna.id("hold")
    anna.until(held, "in_progress")
    assert anna.delete(f"/v1/videos/{held}").json()["deleted"]
    assert anna.get(f"/v1/videos/{held}").status_code == 404
    anna.until(anna.id(), "completed")  # the worker is free again


def test_failures_have_their_reason(anna):
    failed = anna.until(anna.id("fail"), "failed")
    assert failed["error"] == {"code": "server_error", "message": "it was meant to fail."}


def test_a_worker_that_dies_is_started_again(tmp_path):
    with video_server(tmp_path / "s", batch=4) as (address, _), client_of(address, "anna") as anna:
        guilty = anna.id("die")
        others = [anna.id() for _ in range(3)]
        assert anna.until(guilty, "failed")["error"]["code"] == "worker_ended"
        for id in others:
            anna.until(id, "completed")
        figures = anna.get("/metrics").text
        assert "mugv_jax_worker_ends_total 3.0" in figures
        assert anna.get("/healthz").json() == {"status": "ok"}


def test_requests_wait_over_a_restart(tmp_path):
    with video_server(tmp_path / "s") as (address, _), client_of(address, "anna") as anna:
        held, waiting = anna.id("hold"), anna.id()
        anna.until(held, "in_progress")
    with video_server(tmp_path / "s") as (address, _), client_of(address, "anna") as anna:
        anna.until(held, "in_progress")
        anna.post(f"/v1/videos/{held}/cancel")
        anna.until(waiting, "completed")


def test_keys_see_their_own_videos_alone(anna, ben):
    id = anna.id("a red star")
    anna.until(id, "completed")
    ways = [
        ("GET", ""),
        ("GET", "/content"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ]
    for method, rest in ways:
        assert ben.request(method, f"/v1/videos/{id}{rest}").status_code == 404
    assert id not in ben.get("/v1/videos?limit=100").text
    assert "no such video" in refused(ben.get(f"/v1/videos?after={id}"), 404, "id")
    assert anna.get(f"/v1/videos/{id}").status_code == 200


def test_lists_have_pages(anna):
    ids = [anna.id() for _ in range(3)]
    first = anna.get("/v1/videos?limit=2").json()
    assert ([video["id"] for video in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = anna.get(f"/v1/videos?limit=1&after={first['last_id']}").json()
    assert rest["data"][0]["id"] == ids[0]
    for query, param in (("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order")):
        assert refused(anna.get(f"/v1/videos?{query}"), 400, param)


def test_parts_of_a_video_can_be_had(anna):
    id = anna.id()
    anna.until(id, "completed")
    whole = anna.get(f"/v1/videos/{id}/content").content
    part = anna.get(f"/v1/videos/{id}/content", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole[4:8])
    assert "variant must be" in refused(
        anna.get(f"/v1/videos/{id}/content?variant=x"), 400, "variant"
    )


def events_of(client, path, *, until):
    """Events of a stream up to the first that `until` is true of."""
    found = []
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            name, _, text = line.partition(": ")
            if name == "event":
                found.append([text])
            elif name == "data":
                found[-1].append(json.loads(text))
                if until(*found[-1]):
                    return found
    return found


def test_a_stream_tells_every_change_and_ends_with_the_video(anna):
    id = anna.id("hold")
    seen = events_of(anna, "/v1/events", until=lambda event, _: event == "preview")
    assert {data["id"] for _, data in seen} == {id}
    assert seen[-1][1]["image"].startswith("data:image/jpeg;base64,")
    assert (seen[-1][1]["step"], seen[-1][1]["steps"]) == (1, 2)
    assert anna.video(id)["progress"] == 45
    anna.post(f"/v1/videos/{id}/cancel")
    seen = events_of(anna, f"/v1/videos/{id}/events", until=lambda *_: False)
    assert [(event, data["status"]) for event, data in seen] == [("status", "failed")]


def test_streams_of_one_key_are_few(anna, monkeypatch):
    monkeypatch.setattr(events, "MOST_PER_OWNER", 0)
    answer = anna.get("/v1/events")
    assert "at most 0 and" in refused(answer, 429)
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(queue=1), "1 requests wait, and at most 1 may"),
        (Limits(per_key=2), "2 of your requests wait or are made"),
        (Limits(per_minute=2), "more than 2 requests in a minute"),
    ],
)
def test_one_client_cannot_have_everything(tmp_path, limits, word):
    with (
        video_server(tmp_path / "s", limits=limits) as (address, _),
        client_of(address, "anna") as anna,
    ):
        held = anna.id("hold")
        anna.until(held, "in_progress")
        anna.id()
        answer = anna.create()
        assert word in refused(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1


def test_old_results_go(tmp_path):
    config = {"retention": Retention(days=1, count=2)}
    with video_server(tmp_path / "s", **config) as (address, _), client_of(address, "anna") as anna:
        ids = [anna.id() for _ in range(3)]
        for id in ids:
            video = anna.until(id, "completed")
            assert video["expires_at"] == pytest.approx(video["completed_at"] + 86400, abs=1)
    with video_server(tmp_path / "s", **config) as (address, _), client_of(address, "anna") as anna:
        deadline = time.monotonic() + 30
        while len(anna.get("/v1/videos").json()["data"]) > 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert anna.get(f"/v1/videos/{ids[0]}").status_code == 404
        assert not list((tmp_path / "s" / "videos").glob(f"{ids[0]}*"))


def test_equal_shapes_are_made_together(tmp_path):
    with (
        video_server(tmp_path / "s", batch=4) as (address, batches),
        client_of(address, "anna") as anna,
    ):
        held = anna.id("hold")
        anna.until(held, "in_progress")
        ids = [anna.id(seed=seed) for seed in range(4)]
        other = anna.id(steps=2)
        anna.post(f"/v1/videos/{held}/cancel")
        anna.until(other, "completed")
        assert [[job.id for job in jobs] for jobs in batches[0]] == [[held], ids, [other]]


def test_capabilities_are_what_the_weights_can_do(anna):
    found = anna.get("/v1/capabilities").json()
    (model,) = found["models"]
    assert (model["default_size"], model["default_seconds"]) == ("64x64", "2")
    assert model["frames"] == {"default": 17, "least": 9, "most": 105, "multiple_of": 8, "plus": 1}
    assert model["loras"] == ["paint"]
    assert found["needs_key"]
    assert httpx.get(str(anna.base_url) + "healthz").json() == {"status": "ok"}
