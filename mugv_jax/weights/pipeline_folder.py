# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folder of a whole pipeline, as diffusers keeps it: a folder for each part, and an index.

transformer/  vae/  text_encoder/ ...    models, published or Orbax
tokenizer/  scheduler/ ...               small files
model_index.json                         the classes of all parts
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.weights.diffusers_folder import write_json

INDEX_FILE = "model_index.json"
SCHEDULER = "scheduler"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PipelineFolder:
    """Layout of the folder in which one system's pipeline is published.

    title: name of the system.
    models: folder -> kind of the model in it.
    tokenizers: folders of tokenizers.
    index: contents of the index, part -> [library, class].
    scheduler: contents of `scheduler/scheduler_config.json`.
    """

    title: str
    models: Mapping[str, str]
    tokenizers: Sequence[str]
    index: Mapping[str, Any]
    scheduler: Mapping[str, Any]

    def check(self, folder: Path) -> None:
        """Raises a ValueError that names all missing and unknown parts, if there are any."""
        missing = [name for name in self.models if not (folder / name).is_dir()]
        unknown = [name for name in _parts(folder / INDEX_FILE) if name not in self.index]
        if missing or unknown:
            problems = "; ".join(
                f"{what} {', '.join(names)}"
                for what, names in (("without", missing), ("with an unknown", unknown))
                if names
            )
            raise ValueError(
                f"{folder}: a pipeline {problems}. The known one that is nearest is {self.title}'s,"
                f" whose models are {', '.join(self.models)}; convert another's models one by one."
            )

    def copy_small_files(self, folder: Path, target: Path) -> None:
        """Copies all parts but the models; writes index and scheduler where they are missing."""
        for name in (*self.tokenizers, SCHEDULER):
            if (folder / name).is_dir():
                shutil.copytree(folder / name, target / name)
        if not (target / SCHEDULER).exists():
            (target / SCHEDULER).mkdir()
            write_json(target / SCHEDULER / "scheduler_config.json", self.scheduler)
        if (folder / INDEX_FILE).is_file():
            shutil.copy(folder / INDEX_FILE, target / INDEX_FILE)
        else:
            write_json(target / INDEX_FILE, self.index)


def find_layout(folder: Path, known: Sequence[PipelineFolder]) -> PipelineFolder | None:
    """The layout of `known` that fits a folder best; None for a folder that is no pipeline.

    A pipeline has an index, or a folder for every model of a layout. The best fit has most of its
    models in the folder, and of several such layouts lacks fewest.
    """
    if not known:
        return None
    found = [sum((folder / name).is_dir() for name in layout.models) for layout in known]
    lacking = [len(layout.models) - count for layout, count in zip(known, found, strict=True)]
    best = max(range(len(known)), key=lambda i: (found[i], -lacking[i]))
    return known[best] if (folder / INDEX_FILE).is_file() or not lacking[best] else None


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
