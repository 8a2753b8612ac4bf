# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Choice of the latent shapes to train on, when samples have more shapes than may be compiled.

    maximise  sum over samples  weight * max over chosen buckets that it fits  volume kept

This is a facility location problem. It is submodular, so a greedy choice reaches 1 - 1/e of the
best value; afterwards single buckets are exchanged while that improves the value. All sums are of
integers and therefore the same in every process, in whatever order its processor adds.
"""

import numpy as np

from mugv_jax.axes import Bool, Int
from mugv_jax.data.data_config import Shape

# Only the most frequent shapes and sizes take part in the choice, which bounds time and memory.
# Samples of the others are assigned to the chosen buckets all the same.
DECIDING_SHAPES = 2048
DECIDING_SIZES = 24
ONE = 2**32  # total weight of all images, and of all clips


def fits(
    shapes: Int[np.ndarray, "u 3"], bucket: Int[np.ndarray, "*n 3"], crop_limit: float
) -> Bool[np.ndarray, "*n u"]:
    """Which shapes may be cropped to a bucket, cutting off at most `crop_limit` of their area.

    A clip never becomes an image: a latent frame of a clip holds 8 frames, that of an image one.
    """
    bucket = bucket[..., None, :]
    covers = np.all(shapes >= bucket, axis=-1)
    same_kind = (shapes[:, 0] == 1) == (bucket[..., 0] == 1)
    area = shapes[:, 1] * shapes[:, 2]
    return covers & same_kind & (bucket[..., 1] * bucket[..., 2] >= (1 - crop_limit) * area)


def choose_shapes(
    shapes: Int[np.ndarray, "u 3"], counts: Int[np.ndarray, "u"], number: int, crop_limit: float
) -> list[Shape]:
    """At most `number` shapes to crop samples to.

    All images together weigh as much as all clips together: a million images must not take every
    bucket.

    shapes, counts: the shapes that occur, and the number of samples of each.
    """
    if len(shapes) <= number:
        return [tuple(shape) for shape in shapes.tolist()]
    deciding = np.argsort(-counts, kind="stable")[:DECIDING_SHAPES]
    shapes, counts = shapes[deciding], counts[deciding]
    candidates = _candidates(shapes, counts)
    values = _values(candidates, shapes, counts, crop_limit)
    chosen = _exchange(values, _greedy(values, number))
    return [tuple(candidates[each].tolist()) for each in chosen]


def _candidates(
    shapes: Int[np.ndarray, "u 3"], counts: Int[np.ndarray, "u"]
) -> Int[np.ndarray, "n 3"]:
    """Every length, with every frequent size and with the common part of every two such sizes.

    Two sizes of equal area and different aspect ratio never cover each other, but both cover their
    common part.
    """
    sizes, size_of = np.unique(shapes[:, 1:], axis=0, return_inverse=True)
    frequency = np.zeros(len(sizes), np.int64)
    np.add.at(frequency, size_of.reshape(-1), counts)
    sizes = sizes[np.argsort(-frequency, kind="stable")[:DECIDING_SIZES]]
    common = np.unique(np.minimum(sizes[:, None], sizes[None]).reshape(-1, 2), axis=0)
    frames = np.unique(shapes[:, 0])
    return np.concatenate(
        [np.repeat(frames, len(common))[:, None], np.tile(common, (len(frames), 1))], axis=1
    )


def _values(
    candidates: Int[np.ndarray, "n 3"],
    shapes: Int[np.ndarray, "u 3"],
    counts: Int[np.ndarray, "u"],
    crop_limit: float,
) -> Int[np.ndarray, "n u"]:
    """Share of each shape that a candidate keeps, times the shape's weight; 0 without a fit."""
    image = shapes[:, 0] == 1
    weight = ONE * counts / np.where(image, counts[image].sum(), counts[~image].sum())
    volume = shapes.prod(axis=1, dtype=np.int64)
    kept = candidates.prod(axis=1, dtype=np.int64)[:, None] * (weight / volume)
    return np.where(fits(shapes, candidates, crop_limit), kept, 0).astype(np.int64)


def _best(values: Int[np.ndarray, "n u"], chosen: list[int]) -> tuple[int, int]:
    """The candidate that adds most value to those chosen, and the value that it adds."""
    kept = values[chosen].max(axis=0, initial=0)
    gains = np.maximum(values - kept, 0).sum(axis=1)
    return int(np.argmax(gains)), int(np.max(gains))


def _greedy(values: Int[np.ndarray, "n u"], number: int) -> list[int]:
    """At most `number` candidates, each the best addition to those before it."""
    chosen: list[int] = []
    while len(chosen) < number:
        best, gain = _best(values, chosen)
        if not gain:
            break
        chosen.append(best)
    return chosen


def _exchange(values: Int[np.ndarray, "n u"], chosen: list[int]) -> list[int]:
    """Replaces single buckets by better ones until none is better.

    It ends, because every exchange increases the value.
    """
    better = True
    while better:
        better = False
        for place in range(len(chosen)):
            others = chosen[:place] + chosen[place + 1 :]
            best, gain = _best(values, others)
            kept = values[others].max(axis=0, initial=0)
            if gain > np.maximum(values[chosen[place]] - kept, 0).sum():
                chosen, better = [*chosen[:place], best, *chosen[place + 1 :]], True
    return chosen
