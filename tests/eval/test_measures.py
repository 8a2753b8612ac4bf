# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of two videos against scikit-image, and against FloLPIPS written with PyTorch."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mugv_jax.eval import measures
from mugv_jax.eval.measures import METRICS, Measures, OtherLength
from mugv_jax.video.optical_flow import dis_flow
from tests.curate.photos import panned, photo, steps
from tests.weights.published_lpips import Published, save

CLOSE = 1e-5
SINGLE = 2e-4  # of float32, through thirteen convolutions
SIDES = 53, 64  # odd, and more than one step of the motion


def moving(count: int, shift: float) -> np.ndarray:
    """A camera over a photo, by `shift` pixels a frame to the right."""
    return panned(photo("coffee.png", 160), steps(count, (shift, 0)), SIDES[::-1])


@pytest.fixture(scope="module")
def pair():
    x = moving(5, 2.0)
    noise = np.random.default_rng(0).normal(0, 12, x.shape)
    y = np.clip(moving(5, 1.0) + noise, 0, 255).round().astype(np.uint8)
    return x, y


@pytest.fixture(scope="module")
def network():
    return Published(seed=0)


@pytest.fixture(scope="module")
def weighted(network, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "lpips.pt"
    save(network.state_dict(), file)
    return Measures(str(file), dis_flow)


@pytest.fixture(autouse=True)
def two_frames_at_a_time(monkeypatch):
    monkeypatch.setattr(measures, "STEP_PIXELS", 2 * SIDES[0] * SIDES[1])


def test_similarities_are_the_means_of_those_of_scikit_image(pair):
    found = Measures(None, dis_flow)(*pair)
    psnr = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(*pair)]
    ssim = [
        structural_similarity(
            x, y, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for x, y in zip(*pair)
    ]  # fmt: skip
    assert found["psnr"] == pytest.approx(np.mean(psnr), abs=CLOSE)
    assert found["ssim"] == pytest.approx(np.mean(ssim), abs=CLOSE)
    assert found["lpips"] is found["flolpips"] is None


def published_flolpips(network: Published, x: np.ndarray, y: np.ndarray) -> float:
    """The paper's formula, with PyTorch's interpolation and the network's own layers."""

    def tensor(frame):
        return torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1

    totals = []
    for t in range(len(x) - 1):
        moved = dis_flow(x[t], x[t + 1]) - dis_flow(y[t], y[t + 1])
        moved = torch.from_numpy(moved).permute(2, 0, 1)[None]
        taps, total = (network._taps(tensor(each[t])) for each in (x, y)), 0.0
        for stage, (g_x, g_y) in enumerate(zip(*taps)):
            distance = getattr(network, f"lin{stage}").model((g_x - g_y) ** 2)
            resized = torch.nn.functional.interpolate(moved, distance.shape[2:], mode="bilinear")
            length = resized.norm(dim=1, keepdim=True)
            total += float((distance * length / length.sum()).sum().detach())
        totals.append(total)
    return float(np.mean(totals))


def test_distances_are_those_of_the_papers(network, weighted, pair):
    found = weighted(*pair)
    x, y = (torch.from_numpy(each.transpose(0, 3, 1, 2).copy()).float() for each in pair)
    expected = network(x / 127.5 - 1, y / 127.5 - 1).mean().item()
    assert found["lpips"] == pytest.approx(expected, rel=SINGLE)
    flolpips = published_flolpips(network, *pair)
    assert abs(flolpips - expected) > 10 * SINGLE * expected  # the weights count
    assert found["flolpips"] == pytest.approx(flolpips, rel=SINGLE)


def test_where_nothing_moves_differently_every_position_counts_alike(weighted):
    x = np.repeat(moving(1, 0), 3, axis=0)
    found = weighted(x, np.repeat((x[:1] * 0.5).astype(np.uint8), 3, axis=0))
    assert found["flolpips"] == pytest.approx(found["lpips"], rel=CLOSE)
    assert found["lpips"] > 0.01


def test_motion_is_stated_at_a_width_of_1280():
    found = Measures(None, dis_flow)(moving(4, 2.0), moving(4, 0.0))
    assert found["motion"] == pytest.approx(2.0 * 1280 / SIDES[1], rel=0.15)
    assert found["motion_made"] == pytest.approx(0, abs=0.5)


def test_equal_videos():
    x = moving(3, 1.0)
    found = Measures(None, dis_flow)(x, x)
    assert found["psnr"] == pytest.approx(120)
    assert found["ssim"] == pytest.approx(1)
    assert found["motion"] == found["motion_made"]


def test_one_frame_has_no_motion():
    found = Measures(None, dis_flow)(moving(1, 0), moving(1, 0))
    assert {name for name in METRICS if found[name] is None} == {
        "lpips", "flolpips", "motion", "motion_made"
    }  # fmt: skip


@pytest.mark.parametrize(("frames", "longer"), [((3, 5), "it has"), ((4, 2), "the reference has")])
def test_videos_of_other_lengths_are_refused(frames, longer):
    with pytest.raises(OtherLength, match=f"{longer} more than {min(frames)} frames"):
        Measures(None, dis_flow)(*(moving(count, 0) for count in frames))
