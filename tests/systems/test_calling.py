# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments and results of pipelines in the forms of diffusers, without a pipeline."""

from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from PIL import Image

from mugv_jax import export_to_video, video
from mugv_jax.systems import calling, steps
from mugv_jax.systems.arguments import check_names, pixels_of, seed_of, seeds_from

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)


def test_an_unknown_option_lists_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"'stpes' \(did you mean steps\?\): it has steps, seed"):
        check_names(["stpes"], ["steps", "seed"], "generate")
    with pytest.raises(ValueError, match=r"'qqq': it has steps"):
        check_names(["qqq"], ["steps"], "generate")


def test_seeds_come_from_numbers_keys_and_generators():
    assert seed_of(np.int64(7)) == 7
    assert seed_of(jax.random.key(7)) == 7
    assert seed_of(jax.random.PRNGKey(7)) == 7
    assert seed_of(torch.Generator().manual_seed(7)) == 7
    assert 0 <= seed_of(torch.Generator().manual_seed(2**40 + 1)) < 2**32
    with pytest.raises(ValueError, match="must be a whole number, a key of jax"):
        seed_of(0.5)
    assert seeds_from(None, 5, 3) == [5, 6, 7]
    assert seeds_from([torch.Generator().manual_seed(1), 9], None, 2) == [1, 9]
    assert seeds_from(None, None, 2) != seeds_from(None, None, 2)
    with pytest.raises(ValueError, match="give one of them"):
        seeds_from(1, 1, 1)
    with pytest.raises(ValueError, match="2 seeds are given for 3 videos"):
        seeds_from([1, 2], None, 3)


def test_pictures_of_every_kind_become_uint8():
    floats = FRAMES[0].astype(np.float32) / 255
    tensor = torch.from_numpy(np.moveaxis(floats, -1, 0).copy())
    for source in (FRAMES[0], floats, 2 * floats - 1, tensor):
        np.testing.assert_array_equal(pixels_of(source), FRAMES[0])
    np.testing.assert_array_equal(pixels_of([Image.fromarray(each) for each in FRAMES]), FRAMES)
    assert pixels_of("picture.png") == "picture.png"
    with pytest.raises(ValueError, match="of floats in"):
        pixels_of(np.zeros((4, 4), np.int32))


def test_options_have_the_names_of_diffusers(caplog):
    asked = {"height": 48, "width": 64, "num_frames": 81, "num_inference_steps": 3,
             "guidance_scale": 0.0, "negative_prompt": ["ugly", "ugly"], "strength": None,
             "max_sequence_length": 512}  # fmt: skip
    own = {"size": (64, 48), "frames": 81, "steps": 3, "guidance": 1.0, "negative_prompt": "ugly"}
    with caplog.at_level("INFO"):
        assert calling.own_options(asked, temporal=8) == own
        assert calling.own_options({"num_frames": 50}, temporal=8) == {"frames": 49}
        assert calling.own_options({"num_frames": 48}, temporal=8) == {"frames": 49}
    assert "max_sequence_length has no meaning here" in caplog.text
    assert "num_frames=50: a video has 8k+1 frames, so 49 are made." in caplog.text
    for wrong, message in (
        ({"height": 48}, "give both, or none"),
        ({"prompt_embeds": 1}, "prompt_embeds is an option of diffusers that"),
        ({"negative_prompt": ["a", "b"]}, "must be the same for all prompts"),
    ):
        with pytest.raises(ValueError, match=message):
            calling.own_options(wrong, temporal=8)


def test_results_have_the_forms_of_diffusers(tmp_path):
    pixels = calling.as_output_type([FRAMES, FRAMES], "np")
    assert (pixels.shape, pixels.dtype, pixels.max() <= 1) == ((2, 2, 16, 16, 3), np.float32, True)
    tensor = calling.as_output_type([FRAMES], "pt")
    assert tuple(tensor.shape) == (1, 2, 3, 16, 16)
    pictures = calling.as_output_type([FRAMES], "pil")[0]
    np.testing.assert_array_equal(np.asarray(pictures[1]), FRAMES[1])
    with pytest.raises(ValueError, match="output_type='gif' must be one of np, pil, pt, latent"):
        calling.check_output_type("gif")
    output = calling.Output(pixels, [], [1, 2])
    assert output[0] is output["frames"] is output.frames
    for number, shown in enumerate((pixels[0], pictures)):
        path = export_to_video(shown, tmp_path / f"{number}.mp4", fps=8)
        assert (video.read_video(path).frames.shape, video.read_video(path).fps) == (
            FRAMES.shape,
            8,
        )
    path = export_to_video(video.Video(FRAMES, 24, {"seed": 1}))
    assert video.read_record(path) == {"seed": 1}
    Path(path).unlink()


def test_what_an_observer_of_generate_returns_replaces_nothing():
    seen = []
    call = steps.reporting(lambda progress: seen.append(progress) or 0)
    assert call("progress", 3) is None
    assert seen == ["progress"]
    assert steps.reporting(None) is None
