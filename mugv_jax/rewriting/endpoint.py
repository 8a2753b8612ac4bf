# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Models behind an OpenAI-compatible endpoint: POST {base URL}/chat/completions, GET .../models.

Only `model` and `messages` are sent, which every such server takes: vLLM, llama.cpp, Ollama, LM
Studio, SGLang and hosted services differ in all other fields.
"""

import base64
import dataclasses
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from mugv_jax.files import parse_json, shortened
from mugv_jax.rewriting.answer import Answer, RewritingError

BASE_URL, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"  # environment variables
PUBLIC = "https://api.openai.com/v1"  # if only a key is set
MOST_BYTES = 2**22  # of an answer
BUSY = (408, 429, 500, 502, 503, 504)  # statuses after which the request is sent again
WAITS_S = (1.0, 4.0)  # before the second and the third try
CHECK_S = 10.0  # for the list of models
REFUSED = (401, 403)  # statuses of a missing or wrong key
_OTHER_URL = (
    f"set {BASE_URL} to that of an OpenAI-compatible server, such as http://localhost:8000/v1"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model by its name on a server.

    timeout_s: seconds until an answer must be complete, all tries together.

    Raises:
        ValueError: an address that is not one of HTTP.
    """

    model: str
    base_url: str
    key: str | None = dataclasses.field(default=None, repr=False)
    timeout_s: float = 120.0

    def __post_init__(self):
        parts = urllib.parse.urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base URL {self.base_url!r} is no http(s) address: {_OTHER_URL}.")

    @classmethod
    def of_environment(cls, model: str, *, timeout_s: float) -> "Endpoint":
        """Endpoint of the environment variables OPENAI_BASE_URL and OPENAI_API_KEY.

        Raises:
            ValueError: neither is set, or the address is none.
        """
        base_url, key = os.environ.get(BASE_URL), os.environ.get(KEY)
        if not base_url and not key:
            raise ValueError(
                f"rewrite model {shortened(model)!r} is no folder on this machine, and neither "
                f"{BASE_URL} nor {KEY} is set: name a folder of transformers, or {_OTHER_URL}."
            )
        return cls(model=model, base_url=base_url or PUBLIC, key=key or None, timeout_s=timeout_s)

    @property
    def identity(self) -> str:
        """Name of the model together with its server, for the cache."""
        return f"{self.base_url.rstrip('/')} {self.model}"

    @property
    def sees(self) -> bool:
        """Whether pictures may be sent; a server whose model reads none answers with an error."""
        return True

    def check(self) -> tuple[str, ...]:
        """Asks the server for its models before any work; their names, if it tells them.

        A server that has no such list is taken as it is.

        Raises:
            ValueError: nothing answers at the address, or it refuses the key.
        """
        try:
            with urllib.request.urlopen(self._request("models"), timeout=CHECK_S) as reply:
                found = parse_json(reply.read(MOST_BYTES), "the list of models")
            return tuple(str(each["id"]) for each in found["data"])
        except urllib.error.HTTPError as error:
            if error.code in REFUSED:
                key = f"{KEY} is not set" if not self.key else f"the key in {KEY} is not accepted"
                raise ValueError(
                    f"{self.model} at {self.base_url}: HTTP status {error.code}, {key}."
                ) from error
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            raise ValueError(
                f"{self.model} at {self.base_url}: no server answers there ({cause}): start it, or "
                "name another address."
            ) from error
        except (ValueError, KeyError, TypeError):  # of a server without such a list
            pass
        return ()

    def answer(self, system: str, request: str, *jpegs: bytes) -> Answer:
        """Answer to a request.

        jpegs: content of pictures, such as frames of a clip in order.

        Raises:
            RewritingError: no answer in time, an error of the server, or an answer of another form.
        """
        content: Any = request
        if jpegs:
            urls = [f"data:image/jpeg;base64,{base64.b64encode(each).decode()}" for each in jpegs]
            images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            content = [*images, {"type": "text", "text": request}]
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        return self._read(self._post({"model": self.model, "messages": messages}))

    def _post(self, body: dict[str, Any]) -> bytes:
        """Content of the reply, after up to three tries."""
        deadline = time.monotonic() + self.timeout_s
        for wait_s in (*WAITS_S, None):
            try:
                return self._once(body, deadline)
            except urllib.error.HTTPError as error:
                reason = f"HTTP status {error.code}: {_message(error)}"
                again = error.code in BUSY
                if wait_s is not None:
                    wait_s = max(wait_s, _asked_to_wait_s(error))
            except (OSError, ValueError) as error:  # ValueError: a URL or key with a line break
                cause = getattr(error, "reason", error)
                late = isinstance(cause, TimeoutError)
                reason = f"no answer within {self.timeout_s:g} s" if late else str(cause)
                again = isinstance(cause, ConnectionResetError)
            if not again or wait_s is None or time.monotonic() + wait_s >= deadline:
                raise RewritingError(f"{self.model} at {self.base_url}: {reason}.")
            time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    def _once(self, body: dict[str, Any], deadline: float) -> bytes:
        request = self._request("chat/completions", json.dumps(body).encode())
        read, size = [], 0
        with urllib.request.urlopen(
            request, timeout=max(0.1, deadline - time.monotonic())
        ) as reply:
            while part := reply.read1(2**16):  # a server may send a byte at a time
                read.append(part)
                size += len(part)
                if time.monotonic() > deadline:
                    raise TimeoutError
                if size > MOST_BYTES:
                    raise ValueError(f"the answer has more than {MOST_BYTES} bytes")
        return b"".join(read)

    def _request(self, call: str, body: bytes | None = None) -> urllib.request.Request:
        """A POST with a body, a GET without."""
        headers = {"Content-Type": "application/json", "User-Agent": "mugv_jax"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return urllib.request.Request(f"{self.base_url.rstrip('/')}/{call}", body, headers)

    def _read(self, content: bytes) -> Answer:
        where = f"the answer of {self.model} at {self.base_url}"
        try:
            reply = parse_json(content, where)
            choice = reply["choices"][0]
            message = choice["message"]
            text, refusal = message.get("content"), message.get("refusal")
        except ValueError as error:
            raise RewritingError(str(error)) from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise RewritingError(
                f"{where} is not one of an OpenAI-compatible server: {_OTHER_URL}."
            ) from error
        finish = choice.get("finish_reason")
        if refusal or finish == "content_filter":
            reason = repr(shortened(str(refusal), 200)) if refusal else "its content filter"
            raise RewritingError(f"{self.model} refused: {reason}.")
        text = text if isinstance(text, str) else ""
        return Answer(text, cut=finish == "length", tokens=_tokens(reply))


def _message(error: urllib.error.HTTPError) -> str:
    """Reason in the body of an error, as servers write it, or the status's own words."""
    try:
        found = json.loads(error.read(2**16))
        found = found.get("error", found)
        text = found if isinstance(found, str) else found.get("message") or found.get("detail")
    except (OSError, ValueError, AttributeError):
        text = None
    return shortened(str(text or error.reason), 300).rstrip(".")


def _asked_to_wait_s(error: urllib.error.HTTPError) -> float:
    """Seconds of the header Retry-After; 0 without one, or for a date."""
    try:
        return max(0.0, float(error.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0


def _tokens(reply: Any) -> tuple[int, int]:
    """Tokens read and written, as the server counts them; 0 where it does not."""
    usage = reply.get("usage")
    found = usage if isinstance(usage, dict) else {}
    read, written = (found.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return (read if isinstance(read, int) else 0, written if isinstance(written, int) else 0)
