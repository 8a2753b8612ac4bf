# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A server on the loopback that answers as an OpenAI-compatible one."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CAPTION = "This video describes a paper boat on a wet street. The camera stands still."


def chat(text: str | None = CAPTION, finish: str = "stop", **message: str) -> tuple[int, bytes]:
    """Status and content of a chat completion."""
    choice = {"finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    return 200, json.dumps({"choices": [choice]}).encode()


class Stub(ThreadingHTTPServer):
    """Server that gives the replies in order, the last one for ever.

    asked: path, Authorization header and body of every request.
    replies: status and content; None answers nothing until `over` is set.
    models: names that it lists, or the status with which it refuses to.
    """

    daemon_threads = True

    def __init__(self, replies):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies, self.asked, self.over = list(replies), [], threading.Event()
        self.models: int | tuple[str, ...] = ("vlm",)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_GET(self):
        """The list of models, or the status that the stub's `models` is."""
        models = self.server.models
        status = models if isinstance(models, int) else 200
        names = () if isinstance(models, int) else models
        content = json.dumps({"data": [{"id": name} for name in names]}).encode()
        self._send(status, content)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub = self.server
        stub.asked.append((self.path, self.headers.get("Authorization"), body))
        reply = stub.replies.pop(0) if len(stub.replies) > 1 else stub.replies[0]
        if reply is None:
            stub.over.wait()
            return
        self._send(*reply)

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(*replies) -> Iterator[Stub]:
    """A running stub with these replies."""
    with Stub(replies or [chat()]) as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stub
        finally:
            stub.over.set()
            stub.shutdown()
            thread.join()
