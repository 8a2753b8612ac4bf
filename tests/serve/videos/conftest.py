# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import contextlib
import hashlib
import time

import httpx
import pytest

from mugv_jax.serve.http.keys import Keys
from mugv_jax.serve.videos import supervisor
from mugv_jax.serve.videos.generators import MugvGenerator
from mugv_jax.serve.videos.offer import Limits, Offer
from mugv_jax.serve.videos.server import ServerConfig, VideoServer
from mugv_jax.systems.mugv.defaults import read_defaults
from mugv_jax.systems.mugv.models import demo_weights
from tests.serve.threads import serving
from tests.serve.videos import fake_worker

KEYS = {"anna": "a" * 20, "ben": "b" * 20}


class Client(httpx.Client):
    """A client with the key of one owner."""

    def create(self, prompt="a red star", **fields):
        return self.post("/v1/videos", json={"prompt": prompt, **fields})

    def id(self, *args, **fields):
        answer = self.create(*args, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def video(self, id):
        return self.get(f"/v1/videos/{id}").json()

    def until(self, id, *states):
        """The video when it has one of these states."""
        deadline = time.monotonic() + 60
        while (found := self.video(id))["status"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.005)
        return found


def client_of(address, owner):
    headers = {"Authorization": f"Bearer {KEYS[owner]}"} if owner else {}
    return Client(base_url=address.url, headers=headers, timeout=60)


@contextlib.contextmanager
def video_server(folder, *, limits=None, **config):
    """A server with a fake worker: its address, and all batches that workers were given."""
    batches = []

    def start():
        worker, given = fake_worker.started(folder)
        batches.append(given)
        return worker

    folder.mkdir(exist_ok=True)
    keys = Keys({hashlib.sha256(key.encode()).hexdigest(): name for name, key in KEYS.items()})
    offer = Offer(
        MugvGenerator(read_defaults(demo_weights())),
        limits or Limits(),
        loras=("paint",),
        examples=[{"prompt": "a red star", "image": None}],
    )
    server = VideoServer(
        folder, offer, ServerConfig(title="Test", keys=keys, **config), start, start()
    )
    with serving(server.app) as address:
        yield address, batches


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Workers that end are started again at once."""
    monkeypatch.setattr(supervisor, "RESTART_S", (0.0, 0.0))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Address of a server that the tests of a file share."""
    with video_server(tmp_path_factory.mktemp("served")) as (address, _):
        yield address


@pytest.fixture
def anna(shared):
    with client_of(shared, "anna") as client:
        yield client


@pytest.fixture
def ben(shared):
    with client_of(shared, "ben") as client:
        yield client
