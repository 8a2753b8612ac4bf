# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import fcntl
import os

import pytest

from mugv_jax.data.folder_lock import LOCK, only_process


def test_a_folder_has_one_process_at_a_time(tmp_path):
    folder = tmp_path / "run"
    with only_process(folder):
        owner = f"process {os.getpid()} on "
        told = pytest.raises(ValueError, match=rf"run: another process writes it \({owner}")
        with told, only_process(folder):
            pass
        assert os.listdir(folder) == [LOCK]
    assert os.listdir(folder) == []


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    (tmp_path / LOCK).write_text("process 1 on nowhere")
    with only_process(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_without_locks_a_folder_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with only_process(tmp_path):
        pass
    assert "no lock (Operation not supported): start no second process there." in caplog.text
