# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured of videos and clips: one stage a file, each a function from rows to rows.

MEASURES has the stages that score clips by name, in the order in which they may be named: those
that read another's column stand behind it.
"""

from mugv_jax.curate.stage import Stage
from mugv_jax.curate.stages.borders import Borders
from mugv_jax.curate.stages.clip import ClipScores
from mugv_jax.curate.stages.keypoints import Keypoints
from mugv_jax.curate.stages.motion import Motion
from mugv_jax.curate.stages.sharpness import Sharpness
from mugv_jax.curate.stages.signature import Signature
from mugv_jax.curate.stages.steadiness import Steadiness
from mugv_jax.curate.stages.text import Text
from mugv_jax.curate.stages.thumbnail import Thumbnail
from mugv_jax.curate.stages.watermark import Watermark

ORDERED = (
    Borders, Sharpness, Steadiness, Motion, Watermark, Signature, Keypoints, Thumbnail, Text,
    ClipScores,
)  # fmt: skip
MEASURES: dict[str, type[Stage]] = {stage.NAME: stage for stage in ORDERED}
