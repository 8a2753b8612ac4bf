# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pytest

from mugv_jax.systems.mugv.size import FRAMES, SIZES, VideoSize, parse_frames, parse_size


def video_size(width=64, height=48, frames=9):
    return VideoSize(width_px=width, height_px=height, frames=frames)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("frames", FRAMES.values())
def test_every_named_size_and_length_is_on_the_grid(name, frames):
    width, height = SIZES[name]
    size = video_size(width, height, frames)
    assert size.latent_shape == ((frames - 1) // 8 + 1, height // 8, width // 8)
    orientation = {"portrait": height > width, "landscape": width > height}
    assert orientation.get(name.split("-")[0], width == height)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 33}, "width=33 .* nearest are 32 and 40"),
        ({"height": 1110}, "height=1110 .* nearest are 1104 and 1112"),
        ({"width": 0}, "width=0 .* nearest is 8"),
        ({"width": -8}, "width=-8 .* nearest is 8"),
        ({"height": 6150}, "height=6150 .* at most 6144"),
        ({"frames": 100}, "frames=100 .* nearest are 97 and 105"),
        ({"frames": 0}, "frames=0 .* nearest is 1"),
        ({"frames": -9}, "frames=-9 .* nearest is 1"),
        ({"frames": 3825}, "frames=3825 .* at most 3817"),
    ],
)
def test_a_size_off_the_grid_names_the_nearest_on_it(fields, message):
    with pytest.raises(ValueError, match=message):
        video_size(**fields)


def test_every_frame_lies_in_the_latent_that_decodes_to_it():
    with_image, groups = video_size(frames=17), video_size(frames=16)
    assert [with_image.latent_index(f) for f in range(17)] == [0] + [1] * 8 + [2] * 8
    assert [groups.latent_index(f) for f in range(16)] == [0] * 8 + [1] * 8
    for size in (with_image, groups):
        assert size.latent_index(-1) == size.latent_shape[0] - 1
        assert size.latent_index(-size.frames) == 0
        for frame in (size.frames, -size.frames - 1):
            with pytest.raises(ValueError, match=f"frame {frame} does not exist"):
                size.latent_index(frame)


def test_sizes_and_lengths_are_read_from_text():
    assert parse_size("1280x720") == parse_size("1280X720") == parse_size("landscape")
    assert (parse_frames("5s"), parse_frames("3s"), parse_frames("25")) == (105, 73, 25)


@pytest.mark.parametrize("text", ["", "big", "1280", "x720", "1280x", "12.5x8", "-8x8", "²x8"])
def test_text_that_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="must be WIDTHxHEIGHT such as 1280x720"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "5 s", "4s", "9.0", "²"])
def test_text_that_is_no_length_is_refused(text):
    with pytest.raises(ValueError, match="must be a whole number"):
        parse_frames(text)
