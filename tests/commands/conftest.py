# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The command `mugv-jax info` as a fixture for the tests of every system."""

import json

import pytest

from mugv_jax import cli
from mugv_jax.systems.mugv.system import SYSTEM


@pytest.fixture
def info(capsys, monkeypatch):
    """Function that returns the output of `mugv-jax info`, parsed if it is JSON."""
    monkeypatch.setitem(SYSTEM.elsewhere, "text", "nobody/nothing")

    def call(*args):
        assert cli.main(["info", *map(str, args)]) == 0
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in args else printed

    return call
