# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""JSON objects of requests."""

from typing import Any

from starlette.requests import Request

from mugv_jax.files import parse_json
from mugv_jax.serve.http.errors import Refusal, too_large


async def json_object(request: Request, *, most: int = 2**20) -> dict[str, Any]:
    """The JSON object in a request's body of at most `most` bytes.

    Raises:
        Refusal: no JSON, nested deeply, with numbers beyond 64 bits, or no object.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise too_large(most)
    try:
        value = parse_json(bytes(body), "the body")
    except ValueError as error:
        raise Refusal(400, str(error), code="invalid_json") from error
    if not isinstance(value, dict):
        raise Refusal(400, "the body must be a JSON object.", code="invalid_json")
    return value
