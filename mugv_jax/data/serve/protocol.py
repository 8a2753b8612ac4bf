# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Calls between a trainer and an encoding server, over gRPC, with plain bytes as messages.

    About  ()               -> JSON: widths of latents and texts, bad files, digest of the folder
    List   ()               -> stream of JSON lines, a sample each
    File   (digest path)    -> stream of the bytes of a file in the published format

The digest is that of the folder that the trainer began with. A file is named by its path relative
to that folder, as `train.csv` names it. Nothing that is received is ever unpickled: the files are
read like those of any folder.
"""

from typing import Any

SERVICE = "mugv_jax.Samples"
ABOUT, LIST, FILE = "About", "List", "File"
SCHEME = "server://"
BLOCK = 2**20  # bytes of a message; gRPC's own limit is 4 MiB
VERSION = 1


def grpc() -> Any:
    """The package grpc.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import grpc
    except ModuleNotFoundError as error:
        raise ValueError("grpcio is not installed: pip install 'mugv_jax[serve]'.") from error
    return grpc


def unchanged(message: bytes) -> bytes:
    """A message is its own serialised form."""
    return message


def is_served(path: str) -> bool:
    """Whether samples are those of servers, such as server://host:5151."""
    return str(path).startswith(SCHEME)


def address(path: str) -> str:
    """host:port of `server://host:port`.

    Raises:
        ValueError: another form.
    """
    found = path.removeprefix(SCHEME).rstrip("/")
    host, colon, port = found.rpartition(":")
    if not is_served(path) or not colon or not host or not port.isdecimal():
        raise ValueError(f"samples {path!r} must be {SCHEME}HOST:PORT.")
    return found
