# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Making of labelling sets: which videos become items, and the copies that annotators see."""

import collections
import dataclasses
import hashlib
import itertools
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mugv_jax import progress
from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.whole_files import write_whole
from mugv_jax.serve.label.labelset import MEDIA, SET, Clip, Item, LabelSet
from mugv_jax.serve.label.media import CRF, copy_picture, copy_video
from mugv_jax.serve.label.questions import Question
from mugv_jax.serve.label.sources import Source

log = logging.getLogger(__name__)

MEDIA_BYTES, ID_BYTES = 16, 8  # of random names
Group = tuple[str, tuple[Source, ...]]  # name of an item, and its videos


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateConfig:
    """Settings of a labelling set.

    annotators: number of annotators of each item.
    golden_every: one of so many items of an annotator is a golden one, as long as there are some.
    seed: of orders and sides.

    Raises:
        ValueError: values out of range.
    """

    annotators: int = 3
    golden_every: int = 10
    seed: int = 0

    def __post_init__(self):
        require_at_least(1, self, "annotators")
        require_at_least(2, self, "golden_every")
        require_seed("seed", self.seed)


def single_groups(sources: Iterable[Source], models: Sequence[str]) -> list[Group]:
    """An item for each video; with several models, names begin with the model's."""
    several = len(models) > 1
    return [(f"{each.model}/{each.id}" if several else each.id, (each,)) for each in sources]


def paired_groups(first: Sequence[Source], second: Sequence[Source]) -> list[Group]:
    """Videos of two folders, paired by name, or else by a prompt that each folder has once.

    Videos without a partner are left out, with a warning that names some.

    Raises:
        ValueError: no video has a partner.
    """
    by_id = {each.id: each for each in second}
    made = [(each.id, (each, by_id.pop(each.id))) for each in first if each.id in by_id]
    paired = {name for name, _ in made}
    left = _by_group(each for each in first if each.id not in paired)
    right = _by_group(by_id.values())
    for prompt in [each for each in left if each in right]:
        a, b = left[prompt], right[prompt]
        if len(a) == len(b) == 1:
            made.append((f"{a[0].id}_{b[0].id}", (a[0], b[0])))
            del left[prompt], right[prompt]
    paired = {source for _, sources in made for source in (sources[0].path, sources[1].path)}
    alone = [str(each.path) for each in (*first, *second) if each.path not in paired]
    if not made:
        raise ValueError(
            "no video of the first folder has a partner in the second: give files the same names, "
            f"or keep their records, which name the prompts. {listed(alone, 'is', 'are')}"
        )
    if alone:
        log.warning("%s", listed(alone, "video has no partner", "videos have no partner"))
    return made


def group_pairs(sources: Sequence[Source], per_prompt: int, seed: int) -> list[Group]:
    """Pairs of videos of one prompt, at most `per_prompt` for each, drawn at random.

    Raises:
        ValueError: no prompt has two videos, or a number below 1.
    """
    if per_prompt < 1:
        raise ValueError(f"per_prompt={per_prompt} must be at least 1.")
    made: list[Group] = []
    for own in _by_group(sources).values():
        pairs = [(f"{a.id}_{b.id}", (a, b)) for a, b in itertools.combinations(own, 2)]
        pairs.sort(key=lambda pair: hashlib.sha256(f"{seed}/{pair[0]}".encode()).digest())
        made += pairs[:per_prompt]
    if not made:
        raise ValueError(
            "no prompt has two videos: name two folders, or a folder with several videos of each "
            "prompt, such as one of `mugv-jax post sample --count 2`."
        )
    return made


def _by_group(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Sources of each prompt; those without a prompt belong to none."""
    found: dict[str, list[Source]] = collections.defaultdict(list)
    for each in sources:
        if each.group:
            found[each.group].append(each)
    return dict(found)


def write_set(
    folder: Path,
    kind: str,
    groups: Sequence[Group],
    stages: tuple[tuple[Question, ...], ...],
    config: CreateConfig,
    *,
    known: Mapping[str, Mapping[str, str]] | None = None,
    samples: str | None = None,
) -> LabelSet:
    """Writes a labelling set: copies of all videos and pictures, and then `set.json`.

    folder: a new or empty one.
    known: right answers of golden items, by the name of the item.

    Raises:
        ValueError: a video or picture that cannot be read.
    """
    (folder / MEDIA).mkdir(parents=True, exist_ok=True)
    copies = _Copies(folder / MEDIA)
    items = []
    for name, sources in progress.over(groups, "copying videos", unit="item"):
        picture = next((each.picture for each in sources if each.picture), None)
        items.append(
            Item(
                id=secrets.token_hex(ID_BYTES),
                name=name,
                clips=tuple(map(copies.clip, sources)),
                prompt=next((each.prompt for each in sources if each.prompt), ""),
                picture=None if picture is None else copies.picture(picture),
                known=dict((known or {}).get(name, {})),
                about=dict(sources[0].about),
            )
        )
    made = LabelSet(
        kind=kind,
        models=tuple(dict.fromkeys(each.model for _, sources in groups for each in sources)),
        stages=stages,
        items=tuple(items),
        annotators=config.annotators,
        golden_every=config.golden_every,
        seed=config.seed,
        samples=samples,
    )
    write_whole(folder / SET, made.text().encode())
    if copies.encoded:
        log.info(
            "%d of %d videos are encoded anew for browsers, as H.264 with CRF %d.",
            copies.encoded, copies.videos, CRF,
        )  # fmt: skip
    return made


class _Copies:
    """Copies in the folder `media`, one of each video and picture."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._clips: dict[tuple[Path, float, float | None], Clip] = {}
        self._pictures: dict[Path, str] = {}
        self.encoded = 0

    @property
    def videos(self) -> int:
        """Number of videos."""
        return len(self._clips)

    def clip(self, source: Source) -> Clip:
        key = (source.path, source.start_s, source.end_s)
        if key not in self._clips:
            name = secrets.token_hex(MEDIA_BYTES)
            made = copy_video(
                source.path, self._folder, name, start_s=source.start_s, end_s=source.end_s
            )
            self.encoded += made.encoded
            self._clips[key] = Clip(
                media=made.file,
                model=source.model,
                id=source.id,
                fps=made.fps,
                width=made.width,
                height=made.height,
            )
        return self._clips[key]

    def picture(self, path: Path) -> str:
        if path not in self._pictures:
            name = secrets.token_hex(MEDIA_BYTES)
            self._pictures[path] = copy_picture(path, self._folder, name)
        return self._pictures[path]
