# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Load of a labelling server that is killed again and again: is an answer lost, or counted twice?

    python tools/label_load.py --annotators 20 --answers 2000 --kills 5

Annotators work at the same time, each with a connection of its own, and send every answer until it
is acknowledged. The server is `mugv-jax label serve`, which is killed at even distances and started
again. At the end the answers on disk are compared with the acknowledged ones.
"""

import argparse
import dataclasses
import hashlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from mugv_jax.data.whole_files import write_whole
from mugv_jax.serve.label.labelset import SET, Clip, Item, LabelSet
from mugv_jax.serve.label.questions import KINDS, PAIRS
from mugv_jax.serve.label.store import Store

PATIENCE_S = 120  # for one request, with restarts of the server
VOTES = 5  # annotators of each item
QUESTIONS = tuple(question.id for question in KINDS[PAIRS].stages[0])


@dataclasses.dataclass(frozen=True)
class Found:
    """What a run found.

    acknowledged: answers that the server acknowledged.
    lost: those of them that are not on disk.
    double: answers on disk beyond the first of an annotator about a question of an item.
    unknown: answers on disk that were not acknowledged.
    retries: requests that failed and were sent again.
    seconds: of every acknowledged answer, from the last time that it was sent.
    """

    acknowledged: int
    lost: int
    double: int
    unknown: int
    retries: int
    seconds: list[float]


class Server:
    """The command `label serve` in a process that can be killed and started again."""

    def __init__(self, folder: Path):
        self._folder, self.port = folder, 0

    def start(self) -> None:
        """Starts the server; it listens when this returns."""
        command = [sys.executable, "-m", "mugv_jax", "label", "serve", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{self.port}", "--log-json", "-"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        for line in self._process.stderr:
            message = json.loads(line)["message"]
            if message.startswith("serving"):
                self.port = int(message.rstrip("/").rpartition(":")[2])
                return
        raise RuntimeError("the server did not start")

    def end(self, number: int = signal.SIGKILL) -> int:
        """Ends the server by a signal; returns its exit status."""
        self._process.send_signal(number)
        status = self._process.wait()
        self._process.stderr.close()  # pyright: ignore[reportOptionalMemberAccess]
        return status


class Annotator(threading.Thread):
    """Does all tasks that the server gives."""

    def __init__(self, server: Server, token: str):
        super().__init__()
        self._server, self._token = server, token
        self.acknowledged: list[str] = []
        self.seconds: list[float] = []
        self.retries = 0

    def run(self) -> None:
        url = f"http://127.0.0.1:{self._server.port}"
        headers = {"Authorization": f"Bearer {self._token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S) as client:
            while True:
                given = self._insist(client, "POST", "/api/tasks")
                if given["state"] == "finished":
                    return
                if not given["tasks"]:
                    time.sleep(0.05)
                    continue
                item = given["tasks"][0]["item"]
                for question in QUESTIONS:
                    self._answer(client, item, question)

    def _answer(self, client: httpx.Client, item: str, question: str) -> None:
        key = f"{self._token}/{item}/{question}"
        name = hashlib.sha256(key.encode()).hexdigest()
        values = {"item": item, "question": question, "answer": "same"}
        self._insist(client, "PUT", f"/api/answers/{name}", json=values)
        self.acknowledged.append(name)

    def _insist(self, client: httpx.Client, method: str, path: str, **options):
        """The answer to a request, which is sent until there is one."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            begin = time.monotonic()
            try:
                answer = client.request(method, path, **options)
                answer.raise_for_status()
            except httpx.TransportError:
                self.retries += 1
                time.sleep(0.02)
                continue
            if method == "PUT":
                self.seconds.append(time.monotonic() - begin)
            return answer.json()
        raise RuntimeError(f"{method} {path} was not answered in {PATIENCE_S} s")


def write_items(folder: Path, count: int) -> None:
    """Writes a set of pairs without videos, of which this load asks for none."""
    items = [
        Item(
            id=f"{number:016x}",
            name=str(number),
            clips=tuple(
                Clip(media=f"{number}{model}.mp4", model=model, id=str(number), fps=24,
                     width=64, height=64)
                for model in ("a", "b")
            ),
        )
        for number in range(count)
    ]  # fmt: skip
    made = LabelSet(
        kind=PAIRS, models=("a", "b"), stages=KINDS[PAIRS].stages, items=tuple(items),
        annotators=VOTES,
    )  # fmt: skip
    write_whole(folder / SET, made.text().encode())


def load(folder: Path, annotators: int, answers: int, kills: int) -> Found:
    """Runs the load in an empty folder.

    answers: at least so many are asked for, as whole items are done.
    """
    items = -(-answers // (VOTES * len(QUESTIONS)))
    write_items(folder, items)
    store, server = Store(folder), Server(folder)
    threads = []
    for number in range(annotators):
        threads.append(Annotator(server, store.add_annotator(f"annotator{number}")))
    server.start()
    for thread in threads:
        thread.start()
    total = items * VOTES * len(QUESTIONS)
    for kill in range(kills):
        while sum(len(each.acknowledged) for each in threads) < total * (kill + 1) / (kills + 1):
            if not any(thread.is_alive() for thread in threads):
                raise RuntimeError("the annotators ended too early")
            time.sleep(0.002)
        server.end()
        server.start()
    for thread in threads:
        thread.join()
    server.end(signal.SIGTERM)
    stored = store.answers()
    store.close()
    acknowledged = {name for each in threads for name in each.acknowledged}
    kept = {each.id for each in stored}
    return Found(
        acknowledged=sum(len(each.acknowledged) for each in threads),
        lost=len(acknowledged - kept),
        double=len(stored) - len({(e.item, e.question, e.annotator) for e in stored}),
        unknown=len(kept - acknowledged),
        retries=sum(each.retries for each in threads),
        seconds=[second for each in threads for second in each.seconds],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("annotators", 20), ("answers", 2000), ("kills", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = load(Path(folder), args.annotators, args.answers, args.kills)
    seconds = sorted(found.seconds)
    print(f"{args.annotators} annotators, {args.kills} kills, {time.monotonic() - begin:.1f} s")
    print(f"acknowledged {found.acknowledged}, lost {found.lost}, counted twice {found.double}")
    print(f"on disk without acknowledgement {found.unknown}, sent again {found.retries}")
    print(
        f"an answer: median {1000 * statistics.median(seconds):.1f} ms, "
        f"99% within {1000 * seconds[int(0.99 * len(seconds))]:.1f} ms"
    )


if __name__ == "__main__":
    main()
