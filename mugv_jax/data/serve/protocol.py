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

import socket
from typing import Any

SERVICE = "mugv_jax.Samples"
ABOUT, LIST, FILE = "About", "List", "File"
SCHEME = "server://"
BLOCK = 2**20  # bytes of a message; gRPC's own limit is 4 MiB
VERSION = 1
MOST_PORT = 65_535


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
    try:
        _, port = host_and_port(found)
    except ValueError:
        port = 0
    if not is_served(path) or not port:
        raise ValueError(
            f"samples {path!r} must be {SCHEME}HOST:PORT, with a port of 1 to {MOST_PORT}."
        )
    return found


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, where an address of IPv6 is [in brackets].

    Raises:
        ValueError: another form, or a port beyond 16 bits.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    well_formed = colon and bare and (":" not in host or bare != host) and "/" not in host
    if not well_formed or not (port.isascii() and port.isdecimal()) or int(port) > MOST_PORT:
        raise ValueError(
            f"{text!r} must be HOST:PORT, such as 0.0.0.0:5151, with a port of 0 (a free one) to "
            f"{MOST_PORT}."
        )
    return bare, int(port)


def check_listen(listen: str) -> None:
    """Check that a server can listen at HOST:PORT, before any work for it.

    Raises:
        ValueError: another form, an unknown host, or a port that is taken or not allowed.
    """
    try:
        host, port = host_and_port(listen)
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(where)
    except OSError as error:
        raise ValueError(
            f"--listen={listen} cannot be used: {(error.strerror or str(error)).lower()}; name "
            "another address."
        ) from error
    except ValueError as error:
        raise ValueError(f"--listen={error}") from error
