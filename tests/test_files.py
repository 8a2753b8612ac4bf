# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import socket
from pathlib import Path

import pytest

from mugv_jax import files
from mugv_jax.files import PACKED, RUN, SAMPLES, check_output_folder


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "does not exist"),
        ("file/below", "does not exist"),
        ("folder", "is a folder"),
        ("pipe", "is a pipe"),
        ("device", "is a device"),
        ("socket", "is a socket"),
        ("loop", "cannot be read"),
        ("n" * 300, "cannot be read"),
        ("nul\0", "is no path"),
    ],
)
def test_only_files_are_read_and_nothing_waits_for_a_pipe(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    Path("file").write_text("{}")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/zero")
    Path("loop").symlink_to("loop")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind("socket")
    assert files.existing_file("file") == Path("file")
    for read in (files.existing_file, files.read_text, files.read_json):
        with pytest.raises(ValueError, match=reason):
            read(name, "defaults")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested more than 64 deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested more than 64 deep"),
        (b"9" * 5000, r"\(4976 more\).* is beyond 64 bits"),
        (b"-9223372036854775809", "is beyond 64 bits"),
        (b"1e999", "is too large"),
        (b"[NaN]", "NaN is no number"),
        (b'"\\ud800"', "is not valid UTF-8"),
        ('"caf\u00e9"'.encode("latin-1"), "not UTF-8 text"),
        ("{}".encode("utf-16"), "not UTF-8 text"),
        (b"", "not JSON"),
        (b'{"a": 1', "not JSON"),
    ],
)
def test_json_of_strangers_is_read_or_refused_by_name(content, reason):
    with pytest.raises(ValueError, match=rf"^x\.json: .*{reason}"):
        files.parse_json(content, "x.json")


def test_json_that_is_sound_is_read_as_it_is(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(
        b"\xef\xbb\xbf" + b'{"a": [1, 2.5, "\\ud83d\\ude00"], "b": 9223372036854775807}'
    )
    assert files.read_json(path) == {"a": [1, 2.5, "\U0001f600"], "b": 2**63 - 1}
    assert files.parse_json(b"[" * 64 + b"]" * 64, "x")
    with pytest.raises(ValueError, match="has 60 bytes; at most 9 are read"):
        files.read_text(path, most=9)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (" ", "is empty"),
        ("f/" * 101, "has 101 folders"),
        ("n" * 256, "a name of 256 bytes"),
        ("a\0", "null"),
    ],
)
def test_paths_that_no_file_system_takes_are_refused(path, reason):
    with pytest.raises(ValueError, match=reason):
        files.user_path(path)


def test_a_home_that_does_not_exist_is_a_name_and_a_circle_of_links_a_path(tmp_path):
    assert files.user_path("~nobody-here/x") == Path("~nobody-here/x")
    (tmp_path / "loop").symlink_to("loop")
    assert files.resolved(tmp_path / "loop" / "x").name == "x"


@pytest.mark.parametrize(
    ("inside", "own", "refused"),
    [
        ("train.csv", (), "training samples"),
        ("train.csv", (SAMPLES,), None),
        ("_METADATA", (RUN,), "a checkpoint"),
        ("checkpoints", (RUN,), None),
        ("checkpoints", (SAMPLES,), "a training run"),
        ("dataset_info.json", (SAMPLES,), PACKED),
        ("notes.txt", (), None),
    ],
)
def test_a_folder_of_other_contents_is_no_output(tmp_path, inside, own, refused):
    (tmp_path / inside).touch()
    if refused is None:
        check_output_folder(tmp_path, *own)
    else:
        with pytest.raises(ValueError, match=rf"holds {refused} \({inside}\)"):
            check_output_folder(tmp_path, *own)
    with pytest.raises(ValueError, match="is a file"):
        check_output_folder(tmp_path / inside)


@pytest.mark.parametrize("worth", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_removes_what_it_made_unless_it_is_worth_keeping(tmp_path, worth, there):
    folder = tmp_path / "a" / "b"
    if there:
        folder.mkdir(parents=True)

    def fail():
        with files.removed_on_error(folder) as kept:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "half").touch()
            kept += [True] * worth
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (folder / "half").exists() == (worth or there)
    assert (tmp_path / "a").exists() == (worth or there)
    with files.removed_on_error(tmp_path / "c"):
        (tmp_path / "c").mkdir()
    assert (tmp_path / "c").is_dir()


def test_folders_above_a_file_go_if_it_is_not_written(tmp_path):
    with pytest.raises(KeyError), files.folders_above(tmp_path / "a" / "b" / "file"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    with files.folders_above(tmp_path / "a" / "file"):
        (tmp_path / "a" / "file").touch()
    files.check_writable(tmp_path / "x" / "y" / "file")
    with pytest.raises(ValueError, match="is no folder"):
        files.check_writable(tmp_path / "a" / "file" / "file")
    with pytest.raises(ValueError, match="cannot be written"):
        files.check_writable("/proc/x/file")
    assert not (tmp_path / "x").exists()
