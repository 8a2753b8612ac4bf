# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Time of an exchange on a torus of chips (after "How to Scale Your Model", section 3).

A group of g chips spans n_i places on torus axis i. Its bandwidth on an axis is that of two links
if the axis is a closed ring and of one link otherwise, divided by the stride between its chips.

    all-gather, reduce-scatter   payload (1 - 1/g) / sum_i bandwidth_i;   all-reduce: twice that
    all-to-all                   payload max_i n_i / (4 bandwidth_i)
    permutation                  payload x hops / link

The latency of the hops to the farthest chip is added.
"""

import dataclasses
import math

import numpy as np

from mugv_jax.compile.collectives import Collective
from mugv_jax.cost.chips import Chip

HOP_SECONDS = 1e-6  # latency of one hop, from the same section


@dataclasses.dataclass(frozen=True, eq=False)
class Torus:
    """Slice of chips; `coordinates` (devices, axes) are in the order of a program's devices."""

    chip: Chip
    coordinates: np.ndarray

    @property
    def shape(self) -> np.ndarray:
        """Number of chips along every axis."""
        return self.coordinates.max(axis=0) - self.coordinates.min(axis=0) + 1

    def _closed(self) -> np.ndarray:
        """Whether each axis is a ring."""
        return (self.shape % self.chip.ring == 0) & (self.shape > 2)

    def seconds(self, collective: Collective, link_efficiency: float) -> float:
        """Seconds of all runs of an exchange."""
        link = self.chip.link_bandwidth * link_efficiency
        if collective.kind == "collective-permute":
            hops = self._hops(collective.groups)
            return collective.times * hops * (collective.payload / link + HOP_SECONDS)
        # All groups of an exchange have the same shape; the slowest of a few represents all.
        return collective.times * max(
            self._group_seconds(collective, self.coordinates[group], link)
            for group in collective.groups[:: max(1, len(collective.groups) // 4)]
        )

    def _group_seconds(self, collective: Collective, places: np.ndarray, link: float) -> float:
        spans = [np.unique(column) for column in places.T]
        axes = [axis for axis, span in enumerate(spans) if len(span) > 1]
        counts = np.array([len(spans[axis]) for axis in axes])
        strides = np.array([np.ptp(spans[axis]) / (len(spans[axis]) - 1) for axis in axes])
        closed = self._closed()[axes] & (counts == self.shape[axes])
        bandwidth = link * np.where(closed, 2, 1) / strides
        latency = HOP_SECONDS * float(np.sum(strides * np.where(closed, counts / 2, counts - 1)))
        if collective.kind == "all-to-all":
            return collective.payload * float(np.max(counts / (4 * bandwidth))) + latency
        rounds = 2 if collective.kind == "all-reduce" else 1
        others = 1 - 1 / len(places)
        total = float(np.sum(bandwidth))
        if math.prod(counts) != len(places):
            total = float(np.min(bandwidth))  # not a box of the torus: one ring through all chips
        return rounds * (collective.payload * others / total + latency)

    def _hops(self, pairs: np.ndarray) -> int:
        """Number of links on the longest path from a source to its target."""
        apart = np.abs(self.coordinates[pairs[:, 0]] - self.coordinates[pairs[:, 1]])
        around = np.where(self._closed(), self.shape - apart, apart)
        return int(np.minimum(apart, around).sum(axis=1).max())
