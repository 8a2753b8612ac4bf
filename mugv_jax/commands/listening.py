# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of commands that serve a page: the address, and who may reach it."""

import argparse
import importlib.util

from mugv_jax.commands.options import Group, add_path, add_switch, add_value
from mugv_jax.serve.http.keys import Keys
from mugv_jax.serve.http.listen import Address, parse_listen

PACKAGES = ("fastapi", "uvicorn", "python_multipart")


def add_listen(parser: argparse.ArgumentParser, default: str) -> Group:
    """Add the options --listen and --allow-host; returns their group."""
    group = parser.add_argument_group("network")
    address = "address of the server; 127.0.0.1 is this machine alone, 0.0.0.0 all of the network"
    add_value(group, "--listen", default, address, metavar="HOST:PORT")
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers ask this server, beside its address and localhost; may be "
        "given several times",
    )
    return group


def add_keys(group: Group) -> None:
    """Add the options --keys and --without-keys, which `keys_of` reads."""
    keys = "file of API keys, a line NAME KEY for each client; KEY may be sha256:DIGEST"
    add_path(group, "--keys", keys, "FILE")
    without = "let everybody who reaches an address of the network use the server"
    add_switch(group, "--without-keys", without)


def keys_of(args: argparse.Namespace, address: Address) -> Keys | None:
    """Keys of the parsed options, or None where none are needed.

    Raises:
        ValueError: a file that cannot be used, or an address of the network without keys.
    """
    if args.keys is not None:
        if args.without_keys:
            raise ValueError("--keys and --without-keys exclude each other.")
        return Keys.read(args.keys)
    if not address.loopback and not args.without_keys:
        raise ValueError(
            f"--listen={args.listen} can be reached from the network, so --keys FILE is needed; "
            "--without-keys lets everybody in."
        )
    return None


def address_of(args: argparse.Namespace) -> Address:
    """Address of the parsed options.

    Raises:
        ValueError: text of another form, or the packages of servers are not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"a server needs the package {missing[0]}: pip install 'mugv_jax[serve]'.")
    return parse_listen(args.listen)


def hosts_of(args: argparse.Namespace, address: Address) -> tuple[str, ...]:
    """Names by which browsers may ask the server."""
    return (address.host, *args.allow_host)
