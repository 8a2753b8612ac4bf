# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from mugv_jax.compile.videos import VIDEOS
from mugv_jax.systems.system import SYSTEMS, ContentvConfig, EnhancerConfig, MugvConfig


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_named_size_lies_on_the_grid_of_its_system(system):
    videos = VIDEOS[system]
    for name, (width, height) in videos.sizes.items():
        for length in ("3s", "5s", *videos.lengths):
            size = videos.parse(name, length)
            assert (size.width_px, size.height_px) == (width, height)
    assert {"landscape", "portrait"} <= set(videos.sizes)  # what commands begin with


@pytest.mark.parametrize(
    ("system", "size", "frames", "latent"),
    [
        (MugvConfig, "landscape", "5s", (14, 90, 160)),
        (EnhancerConfig, "1280x720", "105", (27, 90, 160)),
        (ContentvConfig, "16:9", "125", (32, 54, 96)),
        (ContentvConfig, "portrait", "5s", (32, 96, 54)),
        (ContentvConfig, "768x432", "1", (1, 54, 96)),
    ],
)
def test_sizes_are_read_as_users_write_them(system, size, frames, latent):
    assert VIDEOS[system].parse(size, frames).latent_shape == latent


@pytest.mark.parametrize(
    ("system", "size", "frames", "message"),
    [
        (ContentvConfig, "16:9", "124", r"frames=124 must be 4k\+1"),
        (ContentvConfig, "770x432", "5s", "width=770 must be a positive multiple of 16"),
        (EnhancerConfig, "16:9", "5s", "must be WIDTHxHEIGHT"),
        (EnhancerConfig, "landscape", "long", "must be a whole number"),
    ],
)
def test_what_is_no_size_is_refused(system, size, frames, message):
    with pytest.raises(ValueError, match=message):
        VIDEOS[system].parse(size, frames)
