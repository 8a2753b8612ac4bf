# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import sample_times
from mugv_jax.systems.contentv.request import CONTENTV_SIZES, ContentvRequest
from tests.weights.checkpoints import GOLDEN


def test_what_is_not_asked_for_is_as_released():
    made = ContentvRequest.of(("a boat",))
    assert (made.size.width_px, made.size.height_px, made.size.frames) == (768, 432, 125)
    assert made.size.latent_shape == (32, 54, 96)
    assert (made.steps, made.shift, made.fps, made.negative_prompt) == (50, 17.0, 24.0, "")
    assert made.guidance == Guidance(scale=6.0)


def test_times_are_those_of_the_published_schedule():
    made = ContentvRequest.of(("a boat",))
    reference = np.load(GOLDEN.parent / "contentv" / "contentv_schedule.npz")["sigmas_50_shift17"]
    times = sample_times(made.steps, made.shift)
    np.testing.assert_allclose(times[: len(reference)], reference, rtol=1e-6)


@pytest.mark.parametrize("name", CONTENTV_SIZES)
def test_every_shape_is_on_the_grid_and_about_as_large(name):
    made = ContentvRequest.of(("a boat",), size=CONTENTV_SIZES[name], guidance=Guidance(scale=2.0))
    width, height = made.size.width_px, made.size.height_px
    across, down = map(int, name.split(":"))
    assert math.isclose(width / height, across / down, rel_tol=0.02)
    assert math.isclose(width * height, 768 * 432, rel_tol=0.05)
    assert made.guidance.scale == 2.0


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ((), {}, "no prompt: give at least one"),
        (("a boat", " \n"), {}, "prompt 2 is empty"),
        (("a",), {"size": (760, 432)}, "width=760 must be a positive multiple of 16"),
        (("a",), {"size": (768, 8)}, r"height=8 .* the nearest is 16"),
        (("a",), {"frames": 124}, r"frames=124 must be 4k\+1 .* the nearest are 121 and 125"),
        (("a",), {"frames": 0}, "frames=0 must be"),
        (("a",), {"steps": 0}, "steps=0 must be at least 1"),
        (("a",), {"shift": 0.0}, "shift=0.0 must be above 0"),
        (("a",), {"fps": math.nan}, "fps=nan must lie in 1 to 1000"),
        (("a",), {"guidance": -1.0}, "guidance scale=-1.0"),
        (("a", "b"), {"seed": 2**32 - 1}, "seed=4294967295 must lie in 0 to 4294967294"),
        (("a", "b"), {"seed": (1, 2, 3)}, "seed has 3 entries, but the number of prompts is 2"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(prompts, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        ContentvRequest.of(prompts, **options)
    assert "\n" not in str(caught.value)
