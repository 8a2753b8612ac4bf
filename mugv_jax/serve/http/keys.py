# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""API keys: a file with a line for each, its owner's name and the key or its digest.

    # name   key, or sha256: and its digest
    anna     mk-3f9a1c0e5b7d4286
    build    sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Keys are long random texts, so a plain digest cannot be reversed.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from mugv_jax.files import read_text

LEAST_CHARACTERS = 16
MOST_BYTES = 2**20
DIGEST = "sha256:"
BEARER = "bearer "
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


class Keys:
    """Keys of clients; `digests` are their SHA-256 in hex -> name of the owner."""

    def __init__(self, digests: Mapping[str, str]):
        self._digests = dict(digests)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Keys":
        """Keys of a file.

        Raises:
            ValueError: no such file, no key in it, or a line of another form.
        """
        digests: dict[str, str] = {}
        for number, line in enumerate(read_text(path, "keys", most=MOST_BYTES).splitlines(), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            where = f"keys {str(path)!r}, line {number}"
            if len(words) != 2 or not NAME.fullmatch(words[0]):
                raise ValueError(f"{where}: must be NAME KEY, with letters and digits in NAME.")
            digest = _digest(words[1], where)
            if digest in digests:
                raise ValueError(f"{where}: {digests[digest]} has this key already.")
            digests[digest] = words[0]
        if not digests:
            raise ValueError(f"keys {str(path)!r} holds no key: write NAME KEY, one a line.")
        return cls(digests)

    def who(self, token: str | None) -> str | None:
        """Name of the owner of a key, or None; every key is compared, in constant time."""
        given = hashlib.sha256((token or "").encode("utf-8", "replace")).hexdigest()
        found = None
        for digest, name in self._digests.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found


def bearer(authorization: str | None) -> str | None:
    """Token of a header Authorization."""
    if authorization is None or authorization[: len(BEARER)].lower() != BEARER:
        return None
    return authorization[len(BEARER) :].strip() or None


def _digest(text: str, where: str) -> str:
    if text.startswith(DIGEST):
        digest = text.removeprefix(DIGEST).lower()
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{where}: {DIGEST} must be followed by 64 hexadecimal digits.")
        return digest
    if len(text) < LEAST_CHARACTERS:
        raise ValueError(
            f"{where}: the key has {len(text)} characters and can be guessed; use at least "
            f"{LEAST_CHARACTERS} random ones."
        )
    return hashlib.sha256(text.encode()).hexdigest()
