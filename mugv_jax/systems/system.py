# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Descriptor of a system: all that generic code needs to know about a family of models.

`mugv_jax/systems/NAME/system.py` holds the descriptor `SYSTEM` of system NAME, and the dataclass of
its models' sizes. `find` imports it on first use.
"""

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from mugv_jax.cost.costs import Costs, Stage
from mugv_jax.cost.memory.plan import Plan, Size, resident_weights, widened_weights
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.systems import NAMES
from mugv_jax.systems.pretrained import first_of, local_folder
from mugv_jax.systems.sizes import NamedLengths, NamedSizes, parse_frames, parse_size
from mugv_jax.weights.diffusers_folder import PipelineFolder
from mugv_jax.weights.registry import MODELS

Kinds = Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemConfig:
    """Sizes of a system's models: one field for each model, checked to fit together.

    KINDS: field -> kinds of `weights/registry.py` that may fill it; random weights use the
        first.
    OPTIONAL: the same for fields that are None where there is no such model.
    """

    KINDS: ClassVar[Kinds]
    OPTIONAL: ClassVar[Kinds] = {}

    @classmethod
    def kinds_of(cls, field: str) -> tuple[str, ...]:
        """Kinds that may fill a field."""
        return {**cls.KINDS, **cls.OPTIONAL}[field]

    def check_latents(self, read: int, made: int) -> None:
        """Raise a ValueError if DiT and VAE differ in the channels of a latent."""
        if read != made:
            raise ValueError(
                f"the DiT takes {read} latent channels, but the VAE makes {made}: they are not of "
                "one system."
            )

    def check_text(self, read: int, made: int) -> None:
        """Raise a ValueError if DiT and text encoder differ in the width of text states."""
        if read != made:
            raise ValueError(
                f"the DiT reads text states of width {read}, but the text encoder makes {made}: "
                "they are not of one system."
            )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """Classes and numbers by which one family of models differs from the others.

    name: name of the package, also used in configs and commands.
    title: name of the system in help texts.
    config: dataclass of the sizes of all models.
    titles: field -> name of the model in reports.
    files: field -> names that the model's file or folder may have in a folder of weights; the first
        one that exists is taken.
    elsewhere: field -> repository of a model that the folder may lack.
    size: class of the sizes of its videos.
    sizes, lengths: (width, height) in pixels, and frames, by name.
    steps: default number of denoising steps.
    text_tokens: sizes of the DiT -> number of text tokens that it reads.
    denoiser: class that wraps the DiT.
    statistics: (shift, scale) of every latent channel, for stored latents that are not normalised.
    train_shift, sample_shift: ratio of the time shift towards noise in training, and in samples
        drawn while training; None follows the size of the video (`flow/schedule.py`).
    costs: counts of memory and arithmetic.
    folder: layout of the published folder of all models, or None.
    """

    name: str
    title: str
    config: type[SystemConfig]
    titles: Mapping[str, str]
    files: Mapping[str, tuple[str, ...]]
    elsewhere: Mapping[str, str] = dataclasses.field(default_factory=dict)
    size: type[Size]
    sizes: NamedSizes
    lengths: NamedLengths
    steps: int
    text_tokens: Callable[[Any], int]
    denoiser: Callable[[Any], Denoiser]
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    train_shift: float | None = None
    sample_shift: float | None = None
    costs: Costs
    folder: PipelineFolder | None = None

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of every model by field: the first that may fill it."""
        every = {**self.config.KINDS, **self.config.OPTIONAL}
        return {field: kinds[0] for field, kinds in every.items()}

    @property
    def groups(self) -> dict[str, type]:
        """Dataclass of the sizes of every model that the system must have, by field."""
        return self._groups(self.config.KINDS)

    @property
    def optional_groups(self) -> dict[str, type]:
        """The same of every model that the system may have."""
        return self._groups(self.config.OPTIONAL)

    def _groups(self, fields: Iterable[str]) -> dict[str, type]:
        kinds = self.kinds
        return {field: MODELS[kinds[field]].config_class for field in fields}

    def parse(self, size: str, frames: str) -> Size:
        """Size of a video from texts such as "1280x720" or "portrait", and "105" or "5s".

        Raises:
            ValueError: texts of another form, or a size off the grid.
        """
        width, height = parse_size(size, self.sizes)
        count = parse_frames(frames, self.lengths, self.size.FRAMES_FORM)
        return self.size(width_px=width, height_px=height, frames=count)

    def find_in(self, folder: Path) -> dict[str, Path]:
        """Paths of the system's models in a folder, by field."""
        found = {field: first_of(folder, names) for field, names in self.files.items()}
        return {field: path for field, path in found.items() if path is not None}

    def find_elsewhere(self) -> dict[str, Path]:
        """Snapshots of the repositories `elsewhere` that have been downloaded, by field."""
        found = {}
        for field, repository in self.elsewhere.items():
            with contextlib.suppress(ValueError):
                found[field] = local_folder(repository, (), download=False)
        return found

    def stages(self, models: Mapping[str, Any], plan: Plan) -> Iterator[Stage]:
        """Predicted memory of every stage that has a model; `models` are their sizes by field."""
        kinds = self.kinds
        weights = {
            field: resident_weights(kinds[field], config, plan) for field, config in models.items()
        }
        together = [field for field in self.costs.together if field in models]
        for task in self.costs.tasks:
            if task.field in models:
                config = models[task.field]
                activations = task.activations(config, plan)
                activations += widened_weights(kinds[task.field], config, plan)
                held = together if task.field in together else [task.field]
                yield Stage(task.name, sum(weights[field] for field in held), round(activations))


def find(name: str) -> System:
    """System with the given name.

    Raises:
        ValueError: an unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"system {name!r} must be one of {', '.join(NAMES)}.")
    return importlib.import_module(f"mugv_jax.systems.{name}.system").SYSTEM


def every() -> tuple[System, ...]:
    """All systems, in the order in which they are registered."""
    return tuple(map(find, NAMES))


def system_of(config: SystemConfig) -> System:
    """The system whose models have the sizes `config`."""
    return next(system for system in every() if type(config) is system.config)
