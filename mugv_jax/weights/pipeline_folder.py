# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folder of a whole pipeline, in the published layout of ContentV:

transformer/  vae/  text_encoder/  text_encoder_2/  text_encoder_3/    models, published or Orbax
tokenizer/  tokenizer_2/  tokenizer_3/  scheduler/                     small files
model_index.json                                                       classes of all parts
"""

import json
import shutil
from pathlib import Path

from mugv_jax.weights.diffusers_folder import write_json
from mugv_jax.weights.tables import mmdit, wan_vae

INDEX_FILE = "model_index.json"
SCHEDULER = "scheduler"
MODEL_FOLDERS = {
    "transformer": "contentv_dit",
    "vae": "wan_vae_diffusers",
    "text_encoder": "clip_text",
    "text_encoder_2": "clip_text",
    "text_encoder_3": "t5_encoder",
}
TOKENIZER_FOLDERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
_CLIP, _CLIP_TOKENIZER = "CLIPTextModelWithProjection", "CLIPTokenizer"
_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
INDEX = {
    "_class_name": "ContentVPipeline",
    "scheduler": ["diffusers", _SCHEDULER],
    "text_encoder": ["transformers", _CLIP],
    "text_encoder_2": ["transformers", _CLIP],
    "text_encoder_3": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", _CLIP_TOKENIZER],
    "tokenizer_2": ["transformers", _CLIP_TOKENIZER],
    "tokenizer_3": ["transformers", "T5TokenizerFast"],
    "transformer": ["contentv_transformer", mmdit.CLASS],
    "vae": ["diffusers", wan_vae.CLASS],
}
SCHEDULER_CONFIG = {"_class_name": _SCHEDULER, "num_train_timesteps": 1000, "shift": 17.0}


def is_pipeline(path: Path) -> bool:
    """Whether `path` is the folder of a whole pipeline rather than of one model."""
    return (path / INDEX_FILE).is_file() or all((path / name).is_dir() for name in MODEL_FOLDERS)


def check_pipeline(folder: Path) -> None:
    """Raises a ValueError that names all parts that are missing or unknown, if there are any."""
    missing = [name for name in MODEL_FOLDERS if not (folder / name).is_dir()]
    unknown = [name for name in _parts(folder / INDEX_FILE) if name not in INDEX]
    if missing or unknown:
        problems = "; ".join(
            f"{what} {', '.join(names)}"
            for what, names in (("without", missing), ("with an unknown", unknown))
            if names
        )
        raise ValueError(
            f"{folder}: a pipeline {problems}. Only ContentV's is known, whose models are "
            f"{', '.join(MODEL_FOLDERS)}; convert another's models one by one."
        )


def copy_small_files(folder: Path, target: Path) -> None:
    """Copies all files but the models; a missing index or scheduler is replaced by ContentV's."""
    for name in (*TOKENIZER_FOLDERS, SCHEDULER):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, target / name)
    if not (target / SCHEDULER).exists():
        (target / SCHEDULER).mkdir()
        write_json(target / SCHEDULER / "scheduler_config.json", SCHEDULER_CONFIG)
    if (folder / INDEX_FILE).is_file():
        shutil.copy(folder / INDEX_FILE, target / INDEX_FILE)
    else:
        write_json(target / INDEX_FILE, INDEX)


def _parts(index: Path) -> list[str]:
    """Names of the parts in an index; none if there is no index."""
    if not index.is_file():
        return []
    try:
        entries = json.loads(index.read_text()).items()
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{index}: no index of a pipeline ({error}).") from error
    # A part is [library, class]; an optional part that is absent is [null, null].
    return [name for name, value in entries if isinstance(value, list) and any(value)]
