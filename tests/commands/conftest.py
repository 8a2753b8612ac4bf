# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax info`, for the tests of every system."""

import json

import pytest

from mugv_jax import cli
from mugv_jax.systems.mugv.system import SYSTEM


@pytest.fixture
def info(capsys, monkeypatch):
    """What `mugv-jax info` prints, parsed where it is JSON; no text encoder has been downloaded."""
    monkeypatch.setitem(SYSTEM.elsewhere, "text", "nobody/nothing")

    def call(*args):
        assert cli.main(["info", *map(str, args)]) == 0
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in args else printed

    return call
