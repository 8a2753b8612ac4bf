# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The official lists of prompts, and the videos that VBench's tool looks for.

    VBench_full_info.json, vbench2_i2v_full_info.json
    [{"prompt_en": ..., "dimension": [...], "image_name": ...}, ...]        the last of I2V only

The tool finds a video by its name, PROMPT-INDEX.mp4 with INDEX from 0 to 4. Of prompts for temporal
flickering 25 videos are wanted, of which its static filter keeps 5. All official prompts fit into
a file's name (210 bytes at most). One of another list that does not, or that has a slash, gets a
shortened name; the tool then needs `--mode custom_input --prompt_file`, which maps names to
prompts.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.eval.vbench.suites import I2V, T2V, Suite
from mugv_jax.files import check_text, read_json, shortened
from mugv_jax.problems import Problems

FLICKERING = "temporal_flickering"
PER_PROMPT, FILTERED = 5, 25  # videos of a prompt, and of one whose videos are filtered
STRIDE = 100  # between the seeds of two prompts
LONGEST_NAME = 230  # bytes of a file's name, of 255; temporary files have longer ones
KEPT = 150  # bytes of a prompt whose name is shortened
SUFFIX = ".mp4"


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A prompt, its place in the list, and the dimensions that its videos are scored on.

    image: file name of the first frame; None in VBench.
    """

    number: int
    text: str
    dimensions: tuple[str, ...]
    image: str | None = None


@dataclasses.dataclass(frozen=True)
class Sample:
    """A video to make."""

    prompt: str
    image: str | None
    seed: int
    output: str


def read_prompts(path: Path) -> tuple[Suite, list[Prompt]]:
    """The suite of an official list, and its prompts; one that is there twice is one prompt.

    Raises:
        ValueError: no such file, or entries of another form; all together.
    """
    entries = read_json(path, "VBench's list")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: must be a list of prompts, such as VBench_full_info.json.")
    images = [isinstance(entry, dict) and "image_name" in entry for entry in entries]
    suite = I2V if any(images) else T2V
    found: dict[str, Prompt] = {}
    problems = Problems()
    for number, entry in enumerate(entries):
        with problems:
            prompt = _prompt(f"{path}, entry {number + 1}", entry, suite, len(found))
            known = found.get(prompt.text)
            if known is not None and known.image != prompt.image:
                raise ValueError(f"{path}: {shortened(prompt.text)!r} has two pictures.")
            if known is not None:
                both = tuple(dict.fromkeys([*known.dimensions, *prompt.dimensions]))
                prompt = dataclasses.replace(known, dimensions=both)
            found[prompt.text] = prompt
    problems.check()
    return suite, list(found.values())


def _prompt(where: str, entry: Any, suite: Suite, number: int) -> Prompt:
    text = entry.get("prompt_en") if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{where}: prompt_en is {shortened(repr(text))}, but must be a text.")
    check_text(f"{where}: prompt_en", text)
    dimensions = entry.get("dimension")
    if not isinstance(dimensions, list) or not set(map(str, dimensions)) <= set(suite.measured):
        raise ValueError(
            f"{where}: dimension is {shortened(repr(dimensions))}, but must list some of "
            f"{', '.join(suite.measured)}."
        )
    image = entry.get("image_name")
    if suite is I2V and (not isinstance(image, str) or Path(image).name != image):
        raise ValueError(
            f"{where}: image_name is {shortened(repr(image))}, but must be a file's name."
        )
    return Prompt(number, text, tuple(dimensions), image)


def chosen(prompts: Sequence[Prompt], suite: Suite, dimensions: Collection[str]) -> list[Prompt]:
    """Prompts of some dimensions; of all if there are none.

    Raises:
        ValueError: a dimension that the suite does not have.
    """
    unknown = [name for name in dimensions if name not in suite.measured]
    if unknown:
        raise ValueError(
            f"dimension {unknown[0]!r} is none of {suite.title}, which has "
            f"{', '.join(suite.measured)}."
        )
    if not dimensions:
        return list(prompts)
    return [prompt for prompt in prompts if {*prompt.dimensions} & {*dimensions}]


def samples_of(
    prompts: Sequence[Prompt],
    suite: Suite,
    *,
    seed: int,
    per_prompt: int | None = None,
    images: Path | None = None,
) -> list[Sample]:
    """The videos of prompts: seed + 100 n + k for video k of prompt n of the whole list.

    per_prompt: videos of each prompt; None for what the tool wants.
    images: folder of the pictures.

    Raises:
        ValueError: a number of videos out of range.
    """
    if per_prompt is not None and not 1 <= per_prompt <= STRIDE:
        raise ValueError(f"per prompt={per_prompt} must lie in 1 to {STRIDE}.")
    samples = []
    for prompt in prompts:
        filtered = suite is T2V and FLICKERING in prompt.dimensions
        count = per_prompt or (FILTERED if filtered else PER_PROMPT)
        image = None if images is None or prompt.image is None else str(images / prompt.image)
        samples += [
            Sample(prompt.text, image, seed + STRIDE * prompt.number + k, name_of(prompt.text, k))
            for k in range(count)
        ]
    return samples


def name_of(prompt: str, index: int) -> str:
    """Name of a prompt's video: PROMPT-INDEX.mp4, or a shortened one."""
    end = f"-{index}{SUFFIX}"
    if is_whole(prompt):
        return prompt + end
    kept = prompt.replace("/", " ").encode()[:KEPT].decode(errors="ignore").strip()
    return f"{kept} {hashlib.sha256(prompt.encode()).hexdigest()[:12]}{end}"


def is_whole(prompt: str) -> bool:
    """Whether the tool finds the prompt's videos by their names."""
    hidden = prompt.startswith(".")
    return "/" not in prompt and not hidden and len(prompt.encode()) <= LONGEST_NAME


def prompt_file(samples: Sequence[Sample]) -> Mapping[str, str]:
    """What the tool reads as --prompt_file: prompts by name of the video."""
    return {sample.output: sample.prompt for sample in samples}
