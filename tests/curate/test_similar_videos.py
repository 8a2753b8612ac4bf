# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Similar videos: which go, by the density of their cluster."""

import numpy as np
import pytest

from mugv_jax.curate.similar_videos import SimilarConfig, clusters, limits_of, mark_similar
from mugv_jax.curate.thresholds import DROPPED_BY

DIM = 32


def near(centre: np.ndarray, cosine: float, rng: np.random.Generator) -> np.ndarray:
    """A unit vector at a cosine from a unit vector."""
    other = rng.normal(size=len(centre))
    other -= (other @ centre) * centre
    return cosine * centre + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)


def rows_of(videos: dict[str, list[np.ndarray]]) -> list[dict]:
    """A row for each clip of videos with these embeddings."""
    return [
        {"clip": f"{name}_{i}", "video": name, "embedding": np.float16(each).tobytes(),
         DROPPED_BY: None}
        for name, clips in videos.items() for i, each in enumerate(clips)
    ]  # fmt: skip


def two_groups(rng: np.random.Generator) -> tuple[dict[str, list[np.ndarray]], SimilarConfig]:
    """Twelve videos around one centre, four around another, all as far from their centre."""
    a, b = np.eye(DIM)[:2]
    videos = {f"a{i:02d}": [near(a, 0.96, rng)] for i in range(12)}
    videos |= {f"b{i:02d}": [near(b, 0.96, rng)] for i in range(4)}
    return videos, SimilarConfig(enabled=True, videos=8, least=0.99, densest=0.85)


def test_more_go_where_it_is_denser():
    videos, config = two_groups(np.random.default_rng(0))
    found = {row["video"]: row for row in mark_similar(rows_of(videos), config)}
    assert {found["a00"]["cluster_limit"], found["b00"]["cluster_limit"]} == {0.85, 0.99}
    assert found["a00"]["cluster_limit"] == 0.85
    gone = {name for name, row in found.items() if row["similar_video"] is not None}
    assert {name[0] for name in gone} == {"a"}
    assert all(found[name]["similar_video"] not in gone for name in gone)


def test_the_order_of_rows_changes_nothing():
    rng = np.random.default_rng(1)
    videos, config = two_groups(rng)
    rows = rows_of(videos)
    marked = {row["clip"]: row for row in mark_similar(rows, config)}
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    assert {row["clip"]: row for row in mark_similar(shuffled, config)} == marked


def test_the_video_with_most_clips_stays_and_dropped_clips_do_not_count():
    one = np.eye(DIM)[0]
    rows = rows_of({"short": [one], "long": [one, one], "dropped": [one] * 3})
    rows = [{**row, DROPPED_BY: "blur"} if row["video"] == "dropped" else row for row in rows]
    found = {
        row["video"]: row["similar_video"]
        for row in mark_similar(rows, SimilarConfig(enabled=True))
    }
    assert found == {"short": "long", "long": None, "dropped": None}


@pytest.mark.parametrize("enabled", [True, False])
def test_without_embeddings_or_when_off_nothing_goes(enabled):
    rows = [{"clip": name, "video": name, "embedding": None} for name in "ab"]
    found = mark_similar(rows, SimilarConfig(enabled=enabled))
    assert all(row["cluster"] is None and row["similar_video"] is None for row in found)


def test_one_cluster_has_the_least_strict_limit():
    vectors = np.float32(np.eye(DIM)[:5])
    config = SimilarConfig(enabled=True, videos=5)
    centres, cluster = clusters(vectors, config)
    assert limits_of(vectors, centres, cluster, config).tolist() == [config.least]


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"densest=0\.97 and least=0\.95"):
        SimilarConfig(densest=0.97)
