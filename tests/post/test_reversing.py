# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs from real clips: the nearest candidate loses, folders resume, and what is refused."""

import dataclasses
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax import cli
from mugv_jax.data.fields import LatentField, flow_fields
from mugv_jax.data.pt_files import latent_bytes, read_latent, read_text
from mugv_jax.data.published import PublishedSamples
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.reversal import reverse
from mugv_jax.flow.sampler import read, sample
from mugv_jax.flow.schedule import sample_times
from mugv_jax.post.folder import read_rows
from mugv_jax.post.reversing import ReverseConfig, reverse_clips
from mugv_jax.post.sampling import seed_of
from mugv_jax.systems.mugv.denoiser import MugvCondition, MugvDenoiser
from mugv_jax.systems.mugv.transformer import MugvTransformer, TransformerConfig
from mugv_jax.systems.sampling import seed_noise
from mugv_jax.systems.text import padded
from tests.systems.mugv.folders import SMALL, write_config
from tests.train.runs import MUGV, write_samples

ORDER = 1e-4  # relative L2: float32 sums differ in their order between batches, in every step
STEPS, LEVEL, SHIFT = 4, 3, 2.0
CONFIG = ReverseConfig(
    steps=STEPS, level=LEVEL, shift=SHIFT, guidance=Guidance(scale=2.0), candidates=3, batch=2
)


@pytest.fixture
def real(tmp_path):
    system = dataclasses.replace(MUGV, text_dim=SMALL.dit.text_dim)
    return write_samples(tmp_path / "real", 3, shapes=((2, 4, 4),), system=system)


def network():
    assert SMALL.dit is not None
    return MugvTransformer.random(TransformerConfig(dit=SMALL.dit), keep_loaded=True)


def both_sides(models, real, names):
    """(wins, losers, numbers of the nearest candidates) of clips, candidate by candidate."""
    times = sample_times(STEPS, SHIFT)
    clips = np.stack([read_latent(real / f"latents/{name}.pt") for name in names])
    files = [real / f"text_features/{name}_text.pt" for name in names]
    with models.model("dit") as (dit, variables):
        denoiser = MugvDenoiser(dit)

        def condition(files):
            text, mask = padded([read_text(file)[0] for file in files], 64)
            raw = MugvCondition.of(jnp.asarray(text), jnp.asarray(mask), 24, clips.shape[1])
            return read(denoiser, variables, raw)

        shared = {
            "noisy": jnp.ones(clips.shape[:2], bool),
            "positive": condition(files),
            "negative": condition([real / "empty_text.pt"] * len(names)),
            "guidance": CONFIG.guidance,
        }

        def flow(x, times):
            return np.asarray(sample(denoiser, variables, jnp.array(x), times=times, **shared).x)

        x = jnp.asarray(clips)
        z = np.asarray(reverse(denoiser, variables, x, times=times, level=LEVEL, **shared))
        seeds = [[seed_of(CONFIG.seed, name, k) for name in names] for k in range(3)]
        noises = np.stack([seed_noise(own, clips.shape[1:]) for own in seeds])
        differences = [flow(noise, times[: STEPS - LEVEL + 1]) - z for noise in noises]
        nearest = np.argmin(np.square(differences).sum(axis=(2, 3, 4, 5)), axis=0)
        losers = flow(noises[nearest, np.arange(len(names))], times)
        return flow(z, times[STEPS - LEVEL :]), losers, nearest


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_the_nearest_candidate_loses_and_a_folder_is_resumed(real, tmp_path, monkeypatch):
    models, out = network(), tmp_path / "pairs"
    options = (
        f"--random-weights --config {write_config(tmp_path / 'sizes.py')} --steps {STEPS} "
        f"--level {LEVEL} --shift {SHIFT} --guidance 2 --candidates 3 --batch 2 "
        f"--compile-cache {tmp_path / 'compiled'} --shard-index 0 --shard-count 2"
    )
    assert cli.main(["post", "reverse", str(real), "-o", str(out), *options.split()]) == 0
    other = dataclasses.replace(CONFIG, shard_index=1, shard_count=2)
    done = reverse_clips(real, out, models, other)
    assert (done.made, done.finished, done.rows) == (1, 1, 3)

    rows = read_rows(out, "lose_path", "margin", "seed", "distance", "reversal_error")
    samples = PublishedSamples(out / "train.csv", (*flow_fields(), LatentField("lose")))
    assert [row["sample_id"] for row in rows] == ["0", "1", "2"]
    assert not samples.bad
    assert {path.name for path in out.iterdir()} >= {"empty_text.pt", "sample.json"}
    assert not (out / "videos").exists()
    chosen = []
    batches = [both_sides(models, real, names) for names in (("0", "1"), ("2", "2"))]
    sides = [each for batch in batches for each in zip(*batch, strict=True)]
    for k, row in enumerate(rows):
        win, lose, nearest = *sides[k][:2], int(sides[k][2])
        assert error(samples[k]["latent"], win) <= ORDER
        assert error(samples[k]["lose"], lose) <= ORDER
        assert (row["win"], row["lose"]) == (str(k), f"{k}-{nearest:03d}")
        assert (row["margin"], row["seed"]) == ("", str(seed_of(0, str(k), nearest)))
        clip = read_latent(real / row["real_path"])
        assert float(row["reversal_error"]) == pytest.approx(
            np.sqrt(np.mean((win - clip) ** 2)), 1e-3
        )
        chosen.append(nearest)
    assert len({*chosen}) > 1  # or the choice would not be seen

    with monkeypatch.context() as patch:  # nothing to do: the model is not even loaded
        patch.setattr(models, "model", None)
        assert reverse_clips(real, out, models, CONFIG).made == 0
    (out / rows[2]["lose_path"]).unlink()
    before = (out / rows[1]["latent_path"]).stat().st_mtime_ns
    again = reverse_clips(real, out, models, CONFIG)
    assert (again.made, again.rows) == (1, 3)
    assert (out / rows[1]["latent_path"]).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"other settings: level=2 \(was 3\)"):
        reverse_clips(real, out, models, dataclasses.replace(CONFIG, level=2))


def test_clips_that_cannot_be_used_are_refused(real, tmp_path):
    models, out = network(), tmp_path / "pairs"

    def refused(told, **changes):
        with pytest.raises(ValueError, match=told):
            reverse_clips(real, out, models, dataclasses.replace(CONFIG, **changes))
        assert not out.exists()

    (real / "sample.json").write_text("{}")
    refused("holds videos of a model")
    (real / "sample.json").unlink()
    (real / "empty_text.pt").unlink()
    refused("no empty_text.pt, the caption that guidance leads away from")
    shutil.copy(real / "text_features/0_text.pt", real / "empty_text.pt")
    listed = (real / "train.csv").read_text()
    (real / "train.csv").write_text(listed.replace("\n1,", "\na/b,"))
    refused("sample_id='a/b' must be letters")
    (real / "train.csv").write_text(listed)
    for k in range(3):
        (real / f"latents/{k}.pt").write_bytes(latent_bytes(np.zeros((2, 4, 4, 16), np.float32)))
    refused("has 16 channels, not 24")
    (real / "train.csv").write_text(listed.splitlines()[0] + "\n")
    refused("train.csv has no rows: fill the folder with `mugv-jax data encode` first")
    (real / "train.csv").unlink()
    refused("real clips .*train.csv' does not exist")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"level": 5}, "level=5 must lie in 1 to 4"),
        ({"level": 0}, "level=0 must lie in 1 to 4"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"candidates": 0}, "candidates=0 must be at least 1"),
        ({"shift": 0.0}, "shift=0.0 must be above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(CONFIG, **changes)


def test_by_default_the_published_share_of_steps_is_reversed():
    shares = {
        steps: ReverseConfig(steps=steps, guidance=Guidance()).reversed_steps
        for steps in (1, 8, 50)
    }
    assert shares == {1: 1, 8: 7, 50: 42}
