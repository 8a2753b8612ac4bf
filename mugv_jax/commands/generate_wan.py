# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Wan2.1 for `mugv-jax generate`."""

from mugv_jax.commands import text_to_video
from mugv_jax.systems.wan.pipeline import WanPipeline
from mugv_jax.systems.wan.system import SYSTEM

WEIGHTS = (
    "reads a folder or repository of its authors or as diffusers keep it, such as "
    "Wan-AI/Wan2.1-T2V-1.3B, or the same converted"
)
GENERATOR = text_to_video.TextGenerator(
    system=SYSTEM, pipeline=WanPipeline, negative="Wan's own, in Chinese"
)
DEFAULTS = GENERATOR.defaults()
OPTIONS = ()
EXAMPLES = """\
  mugv-jax generate --model wan --weights Wan-AI/Wan2.1-T2V-1.3B --size portrait "a paper boat"
"""
add_arguments = text_to_video.add_arguments
open_pipeline, prepare = GENERATOR.open_pipeline, GENERATOR.prepare
