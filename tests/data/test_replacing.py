# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.replacing import ASIDE, replacing

NAMES = ("list", "parts")


def written(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in (*NAMES[:1], "parts/0", "notes"):
        (tmp_path / name).write_text("older")
    return tmp_path


def test_older_results_go_once_newer_ones_are_there(folder):
    with replacing(folder, NAMES, proof="list"):
        assert written(folder).keys() == {"notes", *(f"{ASIDE}/{n}" for n in ("list", "parts/0"))}
        (folder / "list").write_text("newer")
    assert written(folder) == {"notes": "older", "list": "newer"}


def test_they_go_too_if_the_newer_run_is_stopped_later(folder):
    def run():
        with replacing(folder, NAMES, proof="parts"):
            (folder / "parts" / "deep").mkdir(parents=True)
            (folder / "parts" / "deep" / "1").write_text("newer")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert written(folder) == {"notes": "older", "parts/deep/1": "newer"}


@pytest.mark.parametrize("content", [None, ""])
def test_what_fails_before_it_writes_leaves_everything_as_it_was(content, folder):
    def run():
        with replacing(folder, NAMES, proof="list"):
            (folder / "parts").mkdir()
            if content is not None:
                (folder / "list").write_text(content)
            raise ValueError("no data")

    before = written(folder)
    with pytest.raises(ValueError, match="no data"):
        run()
    assert written(folder) == before


def test_a_killed_process_loses_nothing(folder):
    (folder / ASIDE).mkdir()
    for name in NAMES:
        (folder / name).rename(folder / ASIDE / name)
    with replacing(folder, NAMES, proof="list"):
        pass  # writes nothing: the results of before are back
    assert written(folder) == {"notes": "older", "list": "older", "parts/0": "older"}
    (folder / ASIDE).mkdir()
    (folder / ASIDE / "list").write_text("oldest")
    with replacing(folder, NAMES, proof="list"):
        (folder / "list").write_text("newer")
    assert written(folder) == {"notes": "older", "list": "newer"}


def test_a_folder_without_results_is_not_touched(tmp_path):
    with replacing(tmp_path / "new", NAMES, proof="list"):
        assert not (tmp_path / "new").exists()


def test_a_folder_in_use_is_refused(folder):
    refused = pytest.raises(ValueError, match="another process writes it")
    with only_process(folder), refused, replacing(folder, NAMES, proof="list"):
        pass
    assert written(folder).keys() == {"notes", "list", "parts/0"}
