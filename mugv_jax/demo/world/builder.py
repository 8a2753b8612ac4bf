# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo world as a TFDS data set of ArrayRecord files.

    tfds.builder("demo_world", data_dir="...").download_and_prepare()

Importing this module registers the builder. Neither writing nor reading needs TensorFlow.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import SPLITS, WORLDS, Format, World, draw

COUNTS = {"train": 8192, "validation": 512, "unseen": 512}


class DemoWorld(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of rendered clips.

    counts: number of clips in each split: `train`; `validation`, new scenes of the same
        combinations; `unseen`, combinations of shape, colour and motion that the others lack.
    only: attribute -> its words in the clips that are kept, such as {"shape": ("star",)}; `counts`
        are then numbers of clips of which these are kept.
    seed, format, world: as in `DemoClips`.

    Raises:
        ValueError: unknown splits, or none, or an unknown attribute.
    """

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS would look beside it for checksums of downloads

    def __init__(
        self,
        *,
        counts: dict[str, int] | None = None,
        seed: int = 0,
        format: Format | None = None,
        world: World = WORLDS["full"],
        only: Mapping[str, Collection[str]] | None = None,
        **options: Any,
    ):
        counts = COUNTS if counts is None else counts
        format = format or Format()
        if not counts or not set(counts) <= set(SPLITS):
            raise ValueError(f"counts={counts} must name some of {', '.join(SPLITS)}.")
        self._clips = {
            split: DemoClips(split=split, count=count, seed=seed, format=format, world=world)
            for split, count in counts.items()
        }
        self._format, self._only = format, only or {}
        attributes = draw(SPLITS[0], 0).attributes
        if not self._only.keys() <= attributes.keys():
            raise ValueError(f"only={only} must name some of {', '.join(attributes)}.")
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        format, text = self._format, tfds.features.Text
        features = {
            "video": tfds.features.Tensor(
                shape=(format.frames, format.height_px, format.width_px, 3),
                dtype=np.uint8,
                encoding="zlib",
                doc="frames (f, h, w, 3), RGB",
            ),
            "fps": tfds.features.Scalar(dtype=np.float32, doc="frames per second"),
            "caption": text(doc="what the clip shows, in words"),
            "attributes": {name: text() for name in draw(SPLITS[0], 0).attributes},
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Rendered product clips whose captions a program can check.",
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,  # the scenes are drawn at random already
        )

    def _split_generators(self, _: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(clips) for split, clips in self._clips.items()}

    def _generate_examples(self, clips: DemoClips) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(len(clips)):
            attributes = clips.scene(number).attributes
            if any(attributes[name] not in words for name, words in self._only.items()):
                continue
            clip = clips[number]
            yield number, {**clip._asdict(), "fps": np.float32(clip.fps)}
