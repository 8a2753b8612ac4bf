# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax serve` as users start it."""

import contextlib
import re
import signal
import subprocess
import sys
import time

import httpx
import pytest

from mugv_jax import cli
from mugv_jax.data.folder_lock import only_process
from mugv_jax.serve.http.listen import Address
from mugv_jax.video import read_record, read_video

WAIT_S = 600  # on a busy machine


@contextlib.contextmanager
def served(folder, *options):
    """Client of a server in a process of its own."""
    with Address("127.0.0.1", 0).bound() as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mugv_jax", "serve", "-o", str(folder), *options]
    process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stderr=subprocess.PIPE)
    with process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            until(lambda: answers(process, client))
            yield process, client
        finally:
            process.kill()


def answers(process, client):
    assert process.poll() is None, process.stderr.read()
    with contextlib.suppress(httpx.TransportError):
        return client.get("/healthz").status_code == 200
    return False


def until(condition):
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def made(client, **fields):
    """A video that is completed."""
    id = client.post("/v1/videos", json={"prompt": "a red star moves left", **fields}).json()["id"]

    def ended():
        video = client.get(f"/v1/videos/{id}").json()
        assert video["error"] is None
        return video if video["status"] == "completed" else None

    return until(ended)


def compilations(client):
    figures = client.get("/metrics").text
    return float(re.search(r"^mugv_jax_compilations_total (.*)$", figures, re.MULTILINE)[1])


def test_a_shape_is_compiled_once(tmp_path):
    with served(tmp_path / "out") as (process, client):
        first = made(client, seed=3, steps=2, frames=9)
        compiled = compilations(client)
        assert compiled > 0
        made(client, seed=4, steps=2, frames=9)
        assert compilations(client) == compiled
        path = tmp_path / "served.mp4"
        path.write_bytes(client.get(f"/v1/videos/{first['id']}/content").content)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert b"Traceback" not in process.stderr.read()
    record = read_record(path)
    assert (record["seed"], record["settings"]["steps"]) == (3, 2)
    assert len(read_video(path).frames) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--listen", "0.0.0.0:0"], "--keys FILE is needed"),
        (["--listen", "nowhere"], "must be HOST:PORT"),
        (["--keys", "none.txt"], "does not exist"),
        (["--batch", "3"], "must be a power of two"),
        (["--queue", "0"], "must be at least 1"),
        (["--upload-mb", "-1"], "must be at least 1"),
        (["--loras", "nothing"], "is no folder"),
        (["--model", "contentv", "--fast-decode"], "is of --model mugv"),
        (["--weights", "nothing"], "nothing"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_anything_is_loaded(
    options, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["serve", "-o", "out", *options]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert message in said[0]


def test_two_servers_do_not_share_an_address_or_a_folder(tmp_path, capsys):
    with Address("127.0.0.1", 0).bound() as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli.main(["serve", "-o", str(tmp_path), "--listen", listen]) == 2
    assert "another server listens there" in capsys.readouterr().err
    with only_process(tmp_path):
        assert cli.main(["serve", "-o", str(tmp_path), "--listen", "127.0.0.1:0"]) == 2
    assert "another process writes it" in capsys.readouterr().err
