# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Many clients of `mugv-jax serve` while the server is killed again and again.

    python -m tools.serve_load --requests 200 --clients 20 --kills 5 --output /tmp/load

Every request that was answered with an id must end as a video that can be decoded, or as a failure
with a reason; the last line says how many did. Every other kill spares the worker's process, which
must then end by itself.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from mugv_jax.video import read_video

FRAMES = 17
WORDS = (("red", "blue", "green", "yellow"), ("star", "circle", "square"), ("left", "right", "up"))
START_S = 900.0  # on a busy machine
QUEUE = "queue.sqlite"
CLIENT = httpx.Client(timeout=60, verify=False)


class Server:
    """A server that is started again by the same command."""

    def __init__(self, folder: Path, port: int, options: list[str]):
        listen = ["--listen", f"127.0.0.1:{port}"]
        self.command = [sys.executable, "-m", "mugv_jax", "serve", "-o", str(folder), *listen]
        self.command += [*options, "--quiet"]
        self.url = f"http://127.0.0.1:{port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(self.command, start_new_session=True)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if CLIENT.get(f"{self.url}/healthz").status_code == 200:
                    return
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with status {self.process.returncode}")
            time.sleep(0.5)
        raise SystemExit("the server does not start")

    def kill(self, *, worker: bool) -> None:
        """End it without warning, its worker too or not."""
        (os.killpg if worker else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; returns its status."""
        self.process.terminate()
        return self.process.wait()


def ask(url: str, number: int, accepted: dict[str, int], lock: threading.Lock) -> None:
    """Make one request, again and again until it is accepted."""
    chance = random.Random(number)
    prompt = "a {} {} moves {}".format(*(chance.choice(words) for words in WORDS))
    while True:
        try:
            body = {"prompt": prompt, "seed": number}
            answer = CLIENT.post(f"{url}/v1/videos", json=body)
        except httpx.TransportError:  # killed: it may have been accepted, but nobody was told
            time.sleep(1)
            continue
        if answer.status_code == 200:
            with lock:
                accepted[answer.json()["id"]] = number
            return
        if answer.status_code not in (429, 503):
            raise SystemExit(f"refused: {answer.text}")
        time.sleep(float(answer.headers.get("retry-after", 1)))


def clients(
    url: str, requests: int, count: int, accepted: dict[str, int]
) -> list[threading.Thread]:
    """Threads that make all requests."""
    lock = threading.Lock()

    def client(first: int) -> None:
        for number in range(first, requests, count):
            ask(url, number, accepted, lock)
            time.sleep(random.Random(number).uniform(0, 2))

    threads = [threading.Thread(target=client, args=(first,)) for first in range(count)]
    for thread in threads:
        thread.start()
    return threads


def ended(url: str, id: str) -> dict | None:
    """The video if it has ended."""
    with contextlib.suppress(httpx.TransportError):
        answer = CLIENT.get(f"{url}/v1/videos/{id}")
        if answer.status_code != 200:
            return {"status": "lost", "error": answer.text}
        if answer.json()["status"] in ("completed", "failed"):
            return answer.json()
    return None


def frames_of(url: str, id: str) -> int:
    """Number of frames of a finished video, decoded."""
    content = CLIENT.get(f"{url}/v1/videos/{id}/content")
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(content.content)
        file.flush()
        return len(read_video(file.name).frames)


def wait_for(folder: Path, ended: int) -> None:
    """Wait until so many videos have ended."""
    query = "SELECT COUNT(*) FROM videos WHERE completed_at IS NOT NULL"
    with contextlib.closing(
        sqlite3.connect(f"file:{folder / QUEUE}?mode=ro", uri=True)
    ) as database:
        while database.execute(query).fetchone()[0] < ended:
            time.sleep(0.2)


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8155)
    parser.add_argument("--seed", type=int, default=1)
    args, options = parser.parse_known_args()
    chance, began = random.Random(args.seed), time.monotonic()
    server = Server(args.output, args.port, ["--per-minute", "100000", *options])
    accepted: dict[str, int] = {}
    threads = clients(server.url, args.requests, args.clients, accepted)
    for number in range(args.kills):
        wait_for(args.output, round((number + chance.random()) * args.requests / (args.kills + 1)))
        time.sleep(chance.uniform(0, 1))
        server.kill(worker=number % 2 == 0)
        print(f"kill {number + 1}: {len(accepted)} accepted so far", flush=True)
        server.start()
    for thread in threads:
        thread.join()
    results: dict[str, dict] = {}
    while len(results) < len(accepted):
        for id in accepted.keys() - results.keys():
            found = ended(server.url, id)
            if found is not None:
                results[id] = found
        time.sleep(0.5)
    counts: dict[str, int] = {}
    for id, found in results.items():
        state = found["status"]
        if state == "completed" and frames_of(server.url, id) != FRAMES:
            state = "broken"
        if state == "failed" and not found["error"]["message"]:
            state = "failed without a reason"
        counts[state] = counts.get(state, 0) + 1
        if state != "completed":
            print(id, found["error"])
    figures = {
        "accepted": len(accepted), **counts, "kills": args.kills,
        "seconds": round(time.monotonic() - began, 1), "status at the end": server.stop(),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
