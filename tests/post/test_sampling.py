# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of prompts: trainable, the same in any batch and shard, and never made twice."""

import numpy as np
import pytest

from mugv_jax.data.fields import flow_fields
from mugv_jax.data.pt_files import read_latent
from mugv_jax.data.published import PublishedSamples
from mugv_jax.flow.guidance import Guidance
from mugv_jax.post.folder import read_rows
from mugv_jax.post.prompts import Prompt
from mugv_jax.post.sampling import SampleConfig, sample, seed_of
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.video import read_video
from tests.systems.mugv.folders import SMALL

ORDER = 1e-5  # float32 sums differ in their order between batches
LEVELS = 1  # of 256: so half a level may round either way
PROMPTS = [Prompt("x", "a red star", {"motion": "left", "seed": "8"}), Prompt("y", "a cube")]
REQUEST = Request(
    prompts=("unused",),
    size=VideoSize(width_px=64, height_px=64, frames=9),
    steps=1,
    guidance=Guidance(scale=1.0),
    conditioning_fps=8,
    fps=8,
    aesthetic_score=None,
)


def test_samples_are_trainable_complete_and_resumed(tmp_path, monkeypatch):
    pipeline, out = MugvPipeline(MugvModels.random(SMALL, keep_loaded=True)), tmp_path / "samples"
    shards = [SampleConfig(count=2, batch=2, shard_index=i, shard_count=2) for i in (0, 1)]
    done = [sample(PROMPTS, out, pipeline, REQUEST, config) for config in shards]
    assert [(each.made, each.rows) for each in done] == [(2, 2), (2, 4)]
    rows = read_rows(out, "caption", "prompt", "video_path", "motion")
    assert [row["sample_id"] for row in rows] == ["x-000", "x-001", "y-000", "y-001"]
    assert (rows[0]["motion"], rows[0]["seed"]) == ("left", str(seed_of(0, "x", 0)))
    assert rows[0]["text_feat_path"] == rows[1]["text_feat_path"] != rows[2]["text_feat_path"]
    samples = PublishedSamples(out / "train.csv", flow_fields())
    latents = [each["latent"] for each in (samples[k] for k in range(4))]
    assert not samples.bad
    assert len({each.tobytes() for each in latents}) == 4
    frames = read_video(out / rows[3]["video_path"]).frames
    decoded = pipeline.decode(latents[3][None], REQUEST.size)[0]
    assert np.max(np.abs(frames.astype(int) - decoded)) <= LEVELS

    alone = tmp_path / "alone"
    config = SampleConfig(count=1, batch=2, videos="none")
    sample([PROMPTS[1], PROMPTS[0]], alone, pipeline, REQUEST, config)
    mixed = read_latent(alone / "latents" / "y-000.pt")
    assert np.linalg.norm(mixed - latents[2]) <= ORDER * np.linalg.norm(mixed)

    made = []
    run = pipeline.sample
    monkeypatch.setattr(
        pipeline,
        "sample",
        lambda request, *a, **k: made.append(request.seed) or run(request, *a, **k),
    )
    assert sample(PROMPTS, out, pipeline, REQUEST, SampleConfig(count=2, batch=2)).made == 0
    (out / rows[2]["latent_path"]).unlink()
    again = sample(PROMPTS, out, pipeline, REQUEST, SampleConfig(count=2, batch=2))
    assert (again.made, again.rows, made) == (1, 4, [[seed_of(0, "y", 0)]])
    other = [Prompt("x", "a blue star")]
    with pytest.raises(ValueError, match="with another caption, 'a red star'"):
        sample(other, out, pipeline, REQUEST, SampleConfig(count=2, batch=2))
    with pytest.raises(ValueError, match="other settings: seed=1"):
        sample(PROMPTS, out, pipeline, REQUEST, SampleConfig(count=2, seed=1))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="count=0 must be at least 1"):
        SampleConfig(count=0)
    with pytest.raises(ValueError, match="videos='gif'"):
        SampleConfig(count=1, videos="gif")
