# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses and keys that servers take and refuse."""

import argparse
import hashlib

import pytest

from mugv_jax.commands import listening
from mugv_jax.serve.http.keys import Keys
from mugv_jax.serve.http.listen import Address, parse_listen


@pytest.mark.parametrize(
    ("text", "address", "loopback", "url"),
    [
        ("8000", Address("127.0.0.1", 8000), True, "http://127.0.0.1:8000/"),
        ("localhost:1", Address("localhost", 1), True, "http://localhost:1/"),
        ("0.0.0.0:80", Address("0.0.0.0", 80), False, "http://localhost:80/"),
        ("[::1]:80", Address("::1", 80), True, "http://[::1]:80/"),
        ("gpu-7.example:0", Address("gpu-7.example", 0), False, "http://gpu-7.example:0/"),
    ],
)
def test_an_address_is_read(text, address, loopback, url):
    found = parse_listen(text)
    assert (found, found.loopback, found.url) == (address, loopback, url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "host",
        "host:",
        ":80",
        "a b:80",
        "h:65536",
        "h:-1",
        "h:8_0",
        "::1:80x",
        "-h:80",
        "h:٣",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        parse_listen(text)


def test_an_address_in_use_is_told_in_one_line():
    with Address("127.0.0.1", 0).bound() as first:
        port = first.getsockname()[1]
        with pytest.raises(ValueError, match=r"cannot be used: another server listens there"):
            Address("127.0.0.1", port).bound()
    with pytest.raises(ValueError, match="cannot be used"):
        Address("203.0.113.7", 80).bound()


def options(**given):
    return argparse.Namespace(
        **{"listen": "0.0.0.0:1", "keys": None, "without_keys": False} | given
    )


def test_a_server_on_the_network_needs_keys_or_a_word(tmp_path):
    (tmp_path / "keys").write_text(f"anna {'k' * 16}\n")
    network, local = parse_listen("0.0.0.0:1"), parse_listen("1")
    with pytest.raises(ValueError, match="--keys FILE is needed"):
        listening.keys_of(options(), network)
    assert listening.keys_of(options(), local) is None
    assert listening.keys_of(options(without_keys=True), network) is None
    assert listening.keys_of(options(keys=str(tmp_path / "keys")), network).who("k" * 16) == "anna"


def test_keys_are_plain_or_digests(tmp_path):
    digest = hashlib.sha256(b"another long key").hexdigest()
    path = tmp_path / "keys"
    path.write_text(f"# name key\n\nanna {'k' * 16}\nbuild sha256:{digest.upper()}\n")
    keys = Keys.read(path)
    tokens = ("k" * 16, "another long key", digest, "", None, "\ud800")
    assert [keys.who(each) for each in tokens] == ["anna", "build", None, None, None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no key"),
        ("anna short", "can be guessed"),
        ("anna sha256:12", "64 hexadecimal"),
        (f"{'k' * 30}", "must be NAME KEY"),
        (f"a/b {'k' * 30}", "must be NAME KEY"),
        (f"anna {'k' * 30}\nben {'k' * 30}", "line 2: anna has this key"),
    ],
)
def test_mistakes_in_a_file_of_keys_are_named(tmp_path, content, message):
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Keys.read(path)
