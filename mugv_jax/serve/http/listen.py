# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses that servers listen on, and the names by which they may be asked."""

import dataclasses
import errno
import ipaddress
import re
import socket

from mugv_jax.data.serve.protocol import host_and_port

LOCAL = "localhost"
BACKLOG = 512
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Address:
    """An address to listen on; port 0 takes a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == LOCAL:
            return True
        return is_address(self.host) and ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """URL of the page for a browser on this machine."""
        wild = is_address(self.host) and ipaddress.ip_address(self.host).is_unspecified
        host = LOCAL if wild else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def bound(self) -> socket.socket:
        """A socket that listens on it.

        Raises:
            ValueError: the address is in use, or none of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            reason = f"{(error.strerror or str(error)).lower()}."
            if error.errno == errno.EADDRINUSE:
                reason = "another server listens there: stop it, or choose another port."
            raise ValueError(
                f"--listen={self.host}:{self.port} cannot be used: {reason}"
            ) from error


def parse_listen(text: str) -> Address:
    """Address of a text HOST:PORT, [IPv6]:PORT or PORT, which stands for this machine alone.

    Raises:
        ValueError: text of another form.
    """
    try:
        host, port = host_and_port(text if ":" in text else f"127.0.0.1:{text}")
        if not (is_address(host) or HOST_NAME.fullmatch(host)):
            raise ValueError(host)
    except ValueError as error:
        raise ValueError(
            f"--listen={text} must be HOST:PORT, such as 127.0.0.1:8000 for this machine alone or "
            "0.0.0.0:8000 for all."
        ) from error
    return Address(host, port)


def is_address(host: str) -> bool:
    """Whether a host is a number, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_known(header: str, names: frozenset[str]) -> bool:
    """Whether a header Host names this server: by a number, as localhost, or by one of `names`.

    A page of another site can point a name of its own at this machine, but no number.
    """
    host = header.rpartition(":")[0] if re.search(r":\d{1,5}$", header) else header
    host = host.lower().removesuffix(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host == LOCAL or host in names or is_address(host)
