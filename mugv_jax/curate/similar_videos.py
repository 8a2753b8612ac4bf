# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos that show much the same as others, found in clusters: the denser, the more of them go.

    e_v       mean of the embeddings of a video's clips, of length 1
    density   of a cluster: videos / mean (1 - cosine with its centre)
    limit     least - (least - densest) r,   r: rank of the cluster's density, from 0 to 1

In a cluster, the videos are gone through from the one with most clips; one goes whose cosine with
a video that stayed is `limit` or more. ContentV 3: k-means over the long videos, with stricter
thresholds of similarity in denser clusters. It states no numbers, and embeds videos by a model of
its own; here they are CLIP's embeddings.
"""

import collections
import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from mugv_jax.axes import Float
from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row
from mugv_jax.curate.thresholds import DROPPED_BY

log = logging.getLogger(__name__)

WRITES = {"cluster": "int64", "cluster_limit": "float64", "similar_video": "string"}
ROUNDS = 25  # of k-means
NO_SPREAD = 1e-3  # mean distance from the centre below which a cluster counts as one point


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarConfig:
    """Which videos are too similar to others.

    enabled: whether they are looked for; it needs CLIP's embeddings (`clip.folder`).
    videos: in a cluster, on average.
    least: cosine at which a video goes in the cluster of least density.
    densest: the same in the densest cluster, at most `least`.
    seed: of k-means.
    """

    enabled: bool = False
    videos: int = 100
    least: float = 0.95
    densest: float = 0.9
    seed: int = 0

    def __post_init__(self):
        require_at_least(2, self, "videos")
        require_seed("seed", self.seed)
        if not 0 < self.densest <= self.least <= 1:
            raise ValueError(
                f"densest={self.densest} and least={self.least} must lie above 0 and up to 1, and "
                "densest must be at most least."
            )


def mark_similar(rows: Sequence[Row], config: SimilarConfig) -> list[Row]:
    """Rows with the columns of WRITES; `similar_video` names the video that stays instead.

    Videos count by their clips that nothing has dropped and that have an embedding.
    """
    none = dict.fromkeys(WRITES)
    clips = collections.defaultdict(list)
    for row in rows:
        if row.get(DROPPED_BY) is None and row.get("embedding") is not None:
            clips[row["video"]].append(np.frombuffer(row["embedding"], np.float16))
    if config.enabled and not clips:
        log.info("Similar videos are not looked for: no clip has an embedding (clip.folder).")
    if not config.enabled or len(clips) < 2:
        return [{**row, **none} for row in rows]
    # The same for any order of the rows; those with most clips stay.
    names = sorted(clips, key=lambda name: (-len(clips[name]), name))
    vectors = _unit(np.stack([np.mean(np.array(clips[name], np.float32), 0) for name in names]))
    centres, cluster = clusters(vectors, config)
    limits = limits_of(vectors, centres, cluster, config)
    made: dict[str, Row] = {}
    for number, limit in enumerate(limits):
        members = np.flatnonzero(cluster == number)
        stayed: list[int] = []
        for each in members:
            alike = vectors[np.array(stayed, int)] @ vectors[each]
            goes = bool(stayed) and float(alike.max()) >= limit
            made[names[each]] = {
                "cluster": number,
                "cluster_limit": float(limit),
                "similar_video": names[stayed[int(alike.argmax())]] if goes else None,
            }
            if not goes:
                stayed.append(int(each))
    return [{**row, **made.get(row["video"], none)} for row in rows]


def clusters(
    vectors: Float[np.ndarray, "n d"], config: SimilarConfig
) -> tuple[Float[np.ndarray, "k d"], np.ndarray]:
    """Centres of spherical k-means over unit vectors, and the number of each vector's cluster."""
    faiss = needed("faiss")
    count = max(1, round(len(vectors) / config.videos))
    means = faiss.Kmeans(
        vectors.shape[1], count, niter=ROUNDS, seed=config.seed, spherical=True,
        min_points_per_centroid=1,
    )  # fmt: skip
    means.train(vectors)
    _, nearest = means.index.search(vectors, 1)
    return _unit(means.centroids), nearest[:, 0]


def limits_of(
    vectors: Float[np.ndarray, "n d"],
    centres: Float[np.ndarray, "k d"],
    cluster: np.ndarray,
    config: SimilarConfig,
) -> Float[np.ndarray, "k"]:
    """Cosine at which a video goes, for each cluster; one cluster alone has the least density."""
    spread = 1 - np.einsum("nd,nd->n", vectors, centres[cluster])
    count = np.bincount(cluster, minlength=len(centres))
    total = np.bincount(cluster, weights=spread, minlength=len(centres))
    density = count / np.maximum(total / np.maximum(count, 1), NO_SPREAD)
    rank = density.argsort(kind="stable").argsort(kind="stable") / max(len(centres) - 1, 1)
    return config.least - (config.least - config.densest) * rank


def _unit(vectors: np.ndarray) -> Float[np.ndarray, "n d"]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(length, 1e-6), np.float32)
