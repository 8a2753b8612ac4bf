# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files and texts that users bring: what is refused before it is read or written.

A path may name a pipe that never ends, a device or a link to itself; JSON may be nested a million
deep or hold numbers of a thousand digits. The functions here turn all of it into one ValueError
that names the file.
"""

import contextlib
import io
import json
import math
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MAX_JSON_BYTES = 100 * 10**6  # the limit of safetensors for its header
MAX_JSON_DEPTH = 64
MAX_UNPACKED_BYTES, MAX_RATIO = 2**28, 20  # of an archive: one of them may be exceeded
MAX_FOLDERS = 100  # names in a path
MAX_NAME_BYTES = 255  # of one name, in every usual file system
LARGEST = 2**63 - 1
SHOWN = 80  # characters of a value in a message
_KINDS = (
    (stat.S_ISDIR, "is a folder, not a file"),
    (stat.S_ISFIFO, "is a pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)
# Names by which the contents of a folder are recognised.
CONTENTS = {
    "a training run": ("checkpoints", "metrics.jsonl"),
    "training samples": ("train.csv", "encode.json"),
    "packed training samples": ("dataset_info.json",),
    "a checkpoint": (
        "_METADATA",
        ".metadata",
        "latest_checkpointed_iteration.txt",
        "adapter_config.json",
        "model_index.json",
        "model.safetensors",
        "diffusion_pytorch_model.safetensors",
        "dit.pt",
        "vae.pt",
    ),
}
RUN, SAMPLES, PACKED, CHECKPOINT = CONTENTS


class CannotWrite(ValueError):
    """An output cannot be written, as on a full disk: the next of many would fail as well."""


def existing_file(path: str | os.PathLike, what: str = "file") -> Path:
    """`path`, after a check that it is a file: no folder, pipe, socket, device or circle of links.

    what: what to call the file in the error.

    Raises:
        ValueError: there is no such file.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        reason = "does not exist"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    except ValueError:  # a null byte
        reason = "is no path"
    else:
        if stat.S_ISREG(mode):
            return path
        reason = next(text for test, text in _KINDS if test(mode))
    raise ValueError(f"{what} {str(path)!r} {reason}.")


def read_text(path: str | os.PathLike, what: str = "file", *, most: int = MAX_JSON_BYTES) -> str:
    """Text of a UTF-8 file of at most `most` bytes, without a byte order mark.

    Raises:
        ValueError: no such file, a larger one, or bytes that are not UTF-8.
    """
    path = existing_file(path, what)
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{what} {str(path)!r} has {size} bytes; at most {most} are read.")
    return _decoded(path.read_bytes(), str(path))


def read_json(path: str | os.PathLike, what: str = "file") -> Any:
    """Value in a JSON file; see `parse_json`.

    Raises:
        ValueError: no such file, or one that `parse_json` refuses.
    """
    return parse_json(read_text(path, what), str(path))


def parse_json(content: bytes | str, where: str) -> Any:
    """Value of JSON whose author is not known; `where` names it in errors.

    Raises:
        ValueError: no JSON, not in UTF-8, nested more than MAX_JSON_DEPTH deep, or with numbers
            beyond 64 bits, texts with lone surrogates, NaN or Infinity.
    """
    text = _decoded(content, where) if isinstance(content, bytes) else content
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError(f"{where}: {_too_deep()}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error}).") from error
    except ValueError as error:  # of a number
        raise ValueError(f"{where}: {error}") from error
    if _deeper_than(value, MAX_JSON_DEPTH):
        raise ValueError(f"{where}: {_too_deep()}")
    if "\\ud" in text.lower():  # an escape that may stand alone
        check_text(f"{where}: its text", json.dumps(value, ensure_ascii=False))
    return value


def is_zip(file: str | os.PathLike | BinaryIO | io.RawIOBase) -> bool:
    """Whether a file is a zip archive; one whose index is damaged is one still."""
    try:
        return zipfile.is_zipfile(file)  # pyright: ignore[reportArgumentType]
    except zipfile.BadZipFile:
        return True


def existing_archive(path: str | os.PathLike, what: str = "file") -> Path:
    """`path`, after a check that it is a file and, if a zip file, no decompression bomb.

    Raises:
        ValueError: no file, or one that unpacks to far more bytes than it has.
    """
    path = existing_file(path, what)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return path  # its reader says what it is instead
    size = path.stat().st_size
    if unpacked > max(MAX_UNPACKED_BYTES, MAX_RATIO * size):
        raise ValueError(
            f"{what} {str(path)!r} unpacks from {size} to {unpacked} bytes: it is refused as a "
            "decompression bomb; save it without compression."
        )
    return path


def check_text(name: str, text: str) -> None:
    """Refuse a text that is not valid Unicode, such as bytes in another encoding.

    Raises:
        ValueError: `text` holds lone surrogates or null characters; `name` says which text it is.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} is not valid UTF-8 text ({text[error.start : error.end][:1]!a} at character "
            f"{error.start}): write it again in UTF-8."
        ) from None
    if "\0" in text:
        raise ValueError(f"{name} holds a null character at {text.index(chr(0))}: remove it.")


def user_path(text: str | os.PathLike) -> Path:
    """Path of a file or folder that a user names, `~` expanded where it can be.

    Raises:
        ValueError: no name, more than MAX_FOLDERS of them, one that no file system takes, or a
            null character.
    """
    if not os.fspath(text).strip():
        raise ValueError(f"path {os.fspath(text)!r} is empty: name a file or folder.")
    path = Path(os.path.expanduser(text))
    shown = shortened(str(path))
    if len(path.parts) > MAX_FOLDERS:
        raise ValueError(
            f"path {shown!r} has {len(path.parts)} folders, at most {MAX_FOLDERS} are used: "
            "choose a shorter one."
        )
    if "\0" in str(path):
        raise ValueError(f"path {shown!r} holds a null character: remove it.")
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > MAX_NAME_BYTES:
        raise ValueError(
            f"path {shown!r} has a name of {longest} bytes, at most {MAX_NAME_BYTES} are possible: "
            "choose a shorter one."
        )
    return path


def resolved(path: str | os.PathLike) -> Path:
    """Absolute path without links; a circle of links stays as it is, and raises nothing."""
    return Path(os.path.realpath(path))


def check_output_folder(folder: str | os.PathLike, *own: str) -> None:
    """Refuse a folder to write into that holds something else.

    own: keys of CONTENTS that may be there, such as RUN for a run that is resumed.

    Raises:
        ValueError: a file, or a folder of other contents.
    """
    folder = user_path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output {str(folder)!r} is a file: name a folder.")
    inside = set(os.listdir(folder)) if folder.is_dir() else set()
    expected = {name for kind in own for name in CONTENTS[kind]}
    for kind, names in CONTENTS.items():
        found = [name for name in names if name in inside and name not in expected]
        if found and kind not in own:
            raise ValueError(
                f"output {str(folder)!r} holds {kind} ({found[0]}), which would be mixed up with "
                "what is written: name another folder."
            )


def check_writable(path: str | os.PathLike, what: str = "output") -> None:
    """Check that a file can be made at `path`, whose folders need not exist yet.

    Raises:
        CannotWrite: it cannot.
    """
    folder = user_path(path).absolute().parent
    try:
        while not folder.exists():
            folder = folder.parent
        if folder.is_dir():
            tempfile.TemporaryFile(dir=folder).close()  # `os.access` trusts root, even in /proc
            return
        reason = f"{folder} is no folder"
    except OSError as error:
        reason = error.strerror
    raise CannotWrite(f"{what} {shortened(str(path))!r} cannot be written: {reason}.")


@contextlib.contextmanager
def folders_above(path: Path) -> Iterator[None]:
    """Make the folders of the file `path`; if the block fails, those made here go, if empty.

    Raises:
        OSError: they cannot be made.
    """
    missing = [each for each in path.parents if not each.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for each in missing:
                each.rmdir()
        raise


@contextlib.contextmanager
def removed_on_error(folder: Path) -> Iterator[list[bool]]:
    """Remove a folder that the block has made if the block fails.

    Yields a list; whatever is appended to it says that the folder is worth keeping from now on. A
    folder that was there before is never removed; empty folders above it that were not, are.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    kept: list[bool] = []
    try:
        yield kept
    except BaseException:
        if made and not kept:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                for each in made[1:]:
                    each.rmdir()
        raise


def shortened(text: str, most: int = SHOWN) -> str:
    """`text`, or its two ends if it has more than `most` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}...({len(text) - 2 * half} more)...{text[-half:]}"


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: not UTF-8 text (byte {error.start}): save it in UTF-8."
        ) from error


def _too_deep() -> str:
    return f"nested more than {MAX_JSON_DEPTH} deep: no file of this kind is."


def _whole(text: str) -> int:
    # 20 digits hold every 64-bit number, and Python refuses to read more than 4300.
    value = int(text) if len(text) <= 20 else LARGEST + 1
    if abs(value) > LARGEST:
        raise ValueError(f"the number {shortened(text, 24)} is beyond 64 bits.")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shortened(text, 24)} is too large.")
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON.")


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True
