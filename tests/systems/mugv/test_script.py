# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline in scripts that were written for diffusers, and what callers see of its steps."""

import types

import numpy as np
import pytest
import torch
from PIL import Image

from mugv_jax.systems.mugv.pipeline import MugvPipeline
from tests.systems.mugv.folders import SMALL

SIZE = {"height": 32, "width": 48, "num_frames": 9}
OWN = {"size": "48x32", "frames": 9, "steps": 2, "seed": 5, "progress": False}


@pytest.fixture(scope="module")
def pipe() -> MugvPipeline:
    made = MugvPipeline.random(SMALL, keep_loaded=True)
    made.set_progress_bar_config(disable=True)
    return made


def shifted(shift: float):
    """Something like a scheduler of diffusers."""
    return types.SimpleNamespace(config={"flow_shift": shift})


def test_a_script_for_another_pipeline_runs(caplog):
    """The steps of diffusers' example for Wan, with another class in front."""
    with caplog.at_level("INFO"):
        pipe = MugvPipeline.random(SMALL)
        assert pipe.scheduler.config["_class_name"] == "FlowMatchEulerDiscreteScheduler"
        pipe.scheduler = shifted(3.0)
        pipe.to("cuda")
        pipe.enable_sequential_cpu_offload()
        pipe.vae.enable_tiling()
        pipe.enable_attention_slicing()
        pipe.set_progress_bar_config(disable=True)
        step = pipe.vae_scale_factor_spatial * pipe.transformer.config.patch_size[1]
        output = pipe(
            prompt="a paper boat on a pond",
            negative_prompt="blurred",
            height=2 * step,
            width=3 * step,
            num_frames=9,
            num_inference_steps=2,
            guidance_scale=5.0,
            generator=torch.Generator("cpu").manual_seed(5),
        ).frames[0]
    assert (output.shape, output.dtype) == ((9, 32, 48, 3), np.float32)
    assert pipe.models.offload
    assert not pipe.models.keep_loaded
    assert "samples by Euler's method here, with its shift of 3" in caplog.text
    assert "to('cuda'): jax computes on cpu in this process." in caplog.text


def test_a_call_makes_the_frames_of_generate(pipe):
    own = pipe.generate(["a boat", "a cat"], **OWN, negative_prompt="blurred", guidance=2.0)
    made = pipe(["a boat", "a cat"], "blurred", **SIZE, num_inference_steps=2, guidance_scale=2.0,
                seed=5, output_type="pil")  # fmt: skip
    for number in (0, 1):
        shown = np.stack([np.asarray(frame) for frame in made.frames[number]])
        np.testing.assert_array_equal(shown, own[number].frames)
        assert made.videos[number].record == own[number].record
    assert made.seeds == [5, 6]
    assert own[1].record["seed"] == 6
    again = pipe("a cat", "blurred", **SIZE, num_inference_steps=2, guidance_scale=2.0,
                 seed=6, return_dict=False)  # fmt: skip
    np.testing.assert_array_equal(np.rint(again[0][0] * 255), own[1].frames)


def test_a_picture_may_be_given_per_video(pipe):
    picture = Image.new("RGB", (48, 32), (200, 30, 60))
    made = pipe("a boat", image=picture, num_videos_per_prompt=2, **SIZE, num_inference_steps=1,
                seed=1)  # fmt: skip
    assert made.frames.shape == (2, 9, 32, 48, 3)
    assert np.all(np.rint(made.frames[:, 0] * 255) == (200, 30, 60))
    assert not np.array_equal(made.frames[0], made.frames[1])


def test_a_callback_sees_and_changes_the_latents(pipe):
    seen = []

    def callback(given, step, timestep, inputs):
        assert given is pipe
        seen.append((step, timestep, inputs["latents"].shape))
        return {"latents": inputs["latents"] * 0 + 1} if step == 1 else inputs

    made = pipe("a boat", **SIZE, num_inference_steps=2, seed=5, output_type="latent",
                callback_on_step_end=callback)  # fmt: skip
    assert [step for step, *_ in seen] == [0, 1]
    assert seen[0][1:] == (1000.0, (1, 2, 4, 6, 24))
    assert 0 < seen[1][1] < 1000
    np.testing.assert_array_equal(made.frames, np.ones((1, 2, 4, 6, 24), np.float32))
    with pytest.raises(ValueError, match="a callback gets only latents"):
        pipe("a boat", callback_on_step_end=callback, callback_on_step_end_tensor_inputs=["eps"])
    with pytest.raises(ValueError, match=r"latents of shape \(1,\), not"):
        pipe("a boat", **SIZE, num_inference_steps=1, seed=5,
             callback_on_step_end=lambda *_: {"latents": np.ones(1)})  # fmt: skip


def test_progress_has_a_preview_and_a_run_may_end_early(pipe):
    seen = []

    def on_step(progress):
        seen.append((progress.step, progress.steps, progress.t < progress.started))
        (picture,) = progress.preview()
        assert (picture.shape, picture.dtype) == ((32, 48, 3), np.uint8)
        pipe.interrupt = progress.step == 1

    stopped = pipe.generate(["a boat", "a cat"], **OWN, on_step=on_step)
    assert seen == [(1, 2, True)]
    assert [made.frames.shape for made in stopped] == [(9, 32, 48, 3)]
    seen.clear()
    pipe.generate("a boat", **OWN, on_step=lambda progress: seen.append(progress.step))
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stpes": 3}, r"'stpes' \(did you mean steps\?\): it has size, frames, image"),
        ({"size": 64}, r"size=64 must be \(width, height\)"),
        ({"size": "64"}, "size '64' must be WIDTHxHEIGHT"),
    ],
)
def test_mistakes_say_what_there_is(pipe, options, message):
    with pytest.raises(ValueError, match=message):
        pipe.generate("a boat", **options)


def test_a_call_refuses_what_it_does_not_know(pipe):
    with pytest.raises(ValueError, match=r"the call has no option 'num_frame'"):
        pipe("a boat", num_frame=9)
    with pytest.raises(ValueError, match="random weights take no adapters"):
        pipe.unload_lora_weights()
    with pytest.raises(ValueError, match="random weights are not saved"):
        pipe.save_pretrained("anywhere")
