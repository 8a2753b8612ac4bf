# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Values of a recipe that do not fit the samples: what is used instead, with a note in the log.

A field that a user set for this run (`asked`) is used as it is, or refused where it is checked.
"""

import dataclasses
import logging
from collections.abc import Collection, Sequence

import numpy as np

from mugv_jax.axes import Bool, Int
from mugv_jax.data.buckets import Bucket, assign
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.holdout import split_holdout
from mugv_jax.data.samples import SampleSource

log = logging.getLogger(__name__)


def fitted_to_samples(
    config: DataConfig, source: SampleSource, asked: Collection[str] = ()
) -> DataConfig:
    """The config with a hold-out, shapes and an image share that the samples of `source` allow.

    asked: fields that keep their values, such as "data.image_share".
    """
    if "data.holdout" not in asked:
        config = _holdout(config, source)
    members, _ = split_holdout(source.names, config)
    distinct = np.unique(source.shapes[members], axis=0)
    fit = fitting(distinct, config.shapes, config)
    if len(distinct) and not fit.any() and "data.shapes" not in asked:
        log.info("No sample covers one of data.shapes=%s: shapes are chosen from the samples.",
                 config.shapes)  # fmt: skip
        config = dataclasses.replace(config, shapes=())
        fit = fitting(distinct, config.shapes, config)
    if config.image_share and "data.image_share" not in asked:
        config = _image_share(config, distinct[fit])
    return config


def fitting(
    shapes: Int[np.ndarray, "u 3"], buckets: Sequence[Sequence[int]], config: DataConfig
) -> Bool[np.ndarray, "u"]:
    """Which shapes can be cropped to one of the buckets; all can if there are none yet."""
    if not buckets:
        return np.ones(len(shapes), bool)
    chosen = [(f, h, w) for f, h, w in buckets]
    return assign(shapes, chosen, config.crop_limit) < len(chosen)


def validates(
    config: DataConfig, source: SampleSource, buckets: Sequence[Bucket], asked: Collection[str] = ()
) -> bool:
    """Whether the run validates; False is said in the log.

    buckets: those of training.
    """
    if config.holdout_paths:
        return True
    if not config.holdout:
        log.info("No samples are held out (data.holdout), so validation is off.")
        return False
    _, held = split_holdout(source.names, config)
    shapes = np.unique(source.shapes[held], axis=0)
    if fitting(shapes, [bucket.shape for bucket in buckets], config).any():
        return True
    if "data.holdout" in asked:
        return True  # what makes the batches refuses it
    log.info("No held-out sample covers a shape of training, so validation is off.")
    return False


def _holdout(config: DataConfig, source: SampleSource) -> DataConfig:
    """The config without a hold-out, if it would take none of the samples or all of them."""
    members, held = split_holdout(source.names, config)
    if not config.holdout or config.holdout_paths or (len(members) and len(held)):
        return config
    which = "all" if len(held) else "none"
    log.info("data.holdout=%g would hold out %s of %d samples: nothing is held out.",
             config.holdout, which, len(source))  # fmt: skip
    return dataclasses.replace(config, holdout=0.0)


def _image_share(config: DataConfig, shapes: Int[np.ndarray, "u 3"]) -> DataConfig:
    """The config without an image share, if it asks for images or clips where there are none."""
    image = shapes[:, 0] == 1
    for what, asked_for, there in (
        ("images", max(config.image_share) > 0, image.any()),
        ("clips", min(config.image_share) < 1, (~image).any()),
    ):
        if asked_for and not there:
            log.info("data.image_share=%s asks for %s, but there are none: it is left out.",
                     config.image_share, what)  # fmt: skip
            return dataclasses.replace(config, image_share=())
    return config
