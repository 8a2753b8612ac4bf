# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV for `mugv-jax generate`."""

from mugv_jax.commands import text_to_video
from mugv_jax.systems.contentv.pipeline import ContentvPipeline
from mugv_jax.systems.contentv.system import SYSTEM

WEIGHTS = (
    "reads a folder or repository as diffusers keep it, such as ByteDance/ContentV-8B, or the same "
    "converted"
)
GENERATOR = text_to_video.TextGenerator(
    system=SYSTEM, pipeline=ContentvPipeline, negative="no text"
)
DEFAULTS = GENERATOR.defaults()
OPTIONS = ()
EXAMPLES = """\
  mugv-jax generate --model contentv --weights ByteDance/ContentV-8B --size 9:16 "a paper boat"
"""
add_arguments = text_to_video.add_arguments
open_pipeline, prepare = GENERATOR.open_pipeline, GENERATOR.prepare
