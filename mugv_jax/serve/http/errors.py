# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Refusals of requests, in the form of OpenAI's API.

{"error": {"message": ..., "type": ..., "param": ..., "code": ...}}
"""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from mugv_jax.files import shortened

INVALID = "invalid_request_error"
# Status -> type of the error.
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
MOST_CHARACTERS = 600


class Refusal(Exception):
    """A request that is refused.

    status: status of HTTP.
    message: value, rule and remedy, in one line.
    param: name of the field that is at fault, if it is one.
    code: short name of the reason, for programs.
    headers: further headers, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer to the client."""
        error = {
            "message": shortened(" ".join(self.message.split()), MOST_CHARACTERS),
            "type": TYPES.get(self.status, INVALID),
            "param": self.param,
            "code": self.code,
        }
        return JSONResponse({"error": error}, self.status, headers=self.headers)


def too_many(message: str, retry_after_s: float, code: str) -> Refusal:
    """Refusal of a request that may succeed later."""
    seconds = max(1, round(retry_after_s))
    return Refusal(429, message, code=code, headers={"Retry-After": str(seconds)})


def too_large(most: int) -> Refusal:
    """Refusal of a body of more than `most` bytes, of which the rest is not read."""
    message = f"the body is too large: at most {most} bytes are taken here."
    return Refusal(413, message, code="too_large", headers={"Connection": "close"})


def add_handlers(app: FastAPI) -> None:
    """Answer every error of an application in the form of this file."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return error.response()


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path = shortened(request.url.path)
    message = {
        404: f"there is nothing at {path!r}.",
        405: f"{request.method} is no method of {path!r}.",
    }.get(error.status_code, str(error.detail))
    return Refusal(error.status_code, message, headers=error.headers).response()


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or None
    return Refusal(400, f"{name or 'the request'}: {first['msg']}.", param=name).response()


def _gone(_: Request, __: Exception) -> JSONResponse:
    return Refusal(400, "the body ended before it was complete.").response()


def _failed(_: Request, __: Exception) -> JSONResponse:
    # The HTTP server logs the exception.
    message = "the server failed to answer; its log says why."
    return Refusal(500, message, headers={"Connection": "close"}).response()
