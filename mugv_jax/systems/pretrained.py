# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Where a user's weights are: a local folder, single files, or a Hugging Face repository."""

import contextlib
import dataclasses
import importlib.resources
import os
from collections.abc import Sequence
from pathlib import Path

TEXT_ENCODER = "DeepFloyd/t5-v1_1-xxl"

# What each model is called, converted (Orbax folders) first, then as published.
NAMES = {
    "mugv_dit": ("dit", "dit.pt", "dit.safetensors", "pytorch_model.bin.index.json"),
    "mugv_vae": ("vae", "vae.pt", "vae.safetensors"),
    "t5_encoder": ("text_encoder", "t5", "t5-v1_1-xxl"),
}
DEFAULTS = "defaults.json"
_SHARDS = ("pytorch_model-*.bin",)
_T5_FILES = ("*.json", "spiece.model", "*.safetensors", "pytorch_model*.bin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightPaths:
    """Path of each model's weights (published or converted) and of the tokenizer's folder.

    dit: None where there is none, and none is needed.
    """

    dit: Path | None
    vae: Path
    text_encoder: Path
    tokenizer: Path


def find_weights(
    weights: str | os.PathLike,
    *,
    dit: str | os.PathLike | None = None,
    text_encoder: str | os.PathLike | None = None,
    tokenizer: str | os.PathLike | None = None,
    needs_dit: bool = True,
) -> WeightPaths:
    """Paths in the folder or repository `weights`.

    dit: another DiT than the one in `weights`: a checkpoint, or a training run.
    text_encoder: folder or repository of T5; by default a subfolder of `weights`, else the
        published `DeepFloyd/t5-v1_1-xxl`.
    tokenizer: folder or repository; by default `weights/tokenizer`, else where T5 is.
    needs_dit: that there is none is an error; encoding samples needs none.

    Raises:
        ValueError: a model that is not there, naming what was looked for.
    """
    folder = local_folder(
        weights, (*(name for names in NAMES.values() for name in names), *_SHARDS)
    )
    if dit is not None:
        transformer = Path(dit).expanduser()
    else:
        names = NAMES["mugv_dit"]
        transformer = required(folder, "mugv_dit", names) if needs_dit else first_of(folder, names)
    vae = required(folder, "mugv_vae", NAMES["mugv_vae"])
    if text_encoder is not None:
        text = local_folder(text_encoder, _T5_FILES)
    else:
        text = first_of(folder, NAMES["t5_encoder"]) or _published_text_encoder(folder)
    if tokenizer is not None:
        tokens = local_folder(tokenizer, ("*.json", "spiece.model"))
    else:
        tokens = first_of(folder, ("tokenizer",)) or text
    return WeightPaths(dit=transformer, vae=vae, text_encoder=text, tokenizer=tokens)


def demo_weights() -> Path:
    """The folder of the demo's weights, which come with the package.

    Raises:
        ValueError: this installation was made without them.
    """
    folder = Path(str(importlib.resources.files("mugv_jax") / "assets" / "demo"))
    if first_of(folder, NAMES["mugv_dit"]) is None:
        raise ValueError(
            f"no weights: this installation lacks those of the demo ({folder}), which are used "
            "where no others are given. Name a folder of published or converted ones."
        )
    return folder


def find_defaults(weights: str | os.PathLike) -> Path | None:
    """`defaults.json` in the folder or repository `weights`, where there is one.

    Raises:
        ValueError: no such folder or repository.
    """
    return first_of(local_folder(weights, (DEFAULTS,)), (DEFAULTS,))


def find_local(weights: str | os.PathLike) -> dict[str, Path]:
    """Kind -> path of the models that `find_weights` would find without downloading anything.

    Raises:
        ValueError: no such folder, and no repository of that name on this machine.
    """
    folder = local_folder(weights, (), download=False)
    found = {kind: first_of(folder, names) for kind, names in NAMES.items()}
    found = {kind: path for kind, path in found.items() if path is not None}
    if found and "t5_encoder" not in found:
        with contextlib.suppress(ValueError):
            found["t5_encoder"] = local_folder(TEXT_ENCODER, (), download=False)
    return found


def _published_text_encoder(folder: Path) -> Path:
    try:
        return local_folder(TEXT_ENCODER, _T5_FILES)
    except ValueError as error:
        looked = ", ".join(NAMES["t5_encoder"])
        raise ValueError(
            f"{folder} holds no text encoder (looked for {looked}), and {error}"
        ) from error


def required(folder: Path, kind: str, names: Sequence[str]) -> Path:
    """The first of `names` that is in `folder`, weights of a `kind`.

    Raises:
        ValueError: there is none.
    """
    found = first_of(folder, names)
    if found is None:
        raise ValueError(
            f"{folder} holds no {kind} weights: looked for {', '.join(names)}. "
            "Download the published files, or convert them with `mugv-jax convert`."
        )
    return found


def first_of(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of `names` that is in `folder`."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def local_folder(
    path_or_repo: str | os.PathLike, files: Sequence[str], *, download: bool = True
) -> Path:
    """A local folder as it is; a repository as its cached snapshot, downloaded when missing.

    files: files and folders, or patterns of them, to download.

    Raises:
        ValueError: no such folder or repository.
    """
    path = Path(path_or_repo).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ValueError(f"{path} is a file: give the folder that holds the weights.")
    text = os.fspath(path_or_repo)
    if text.count("/") != 1 or text.startswith((".", "/", "~")):
        raise ValueError(f"{text} does not exist, and is not a repository id (owner/name) either.")
    import huggingface_hub

    patterns = [*files, *(f"{name}/*" for name in files)]
    try:
        snapshot = huggingface_hub.snapshot_download(
            text, allow_patterns=patterns, local_files_only=not download
        )
    except Exception as error:  # its HTTP library, and so its errors, change with the version
        if not download:
            raise ValueError(
                f"{text} is no local folder, and no repository of that name has been downloaded: "
                "download it first."
            ) from error
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{text} is no local folder, and the repository could not be downloaded "
            f"({reason}). Give a local folder, or connect and try again."
        ) from error
    return Path(snapshot)
