# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Video and picture files, uint8 frames, pixels in [-1, 1]. Frames are RGB, (f, h, w, 3).

kinds     pictures and videos, told by content    animation  animated pictures as videos
pictures  picture files                           reading  video files -> frames, whole or streamed
frames    frames in memory, pixels in [-1, 1]     writing  frames -> video files, whole or streamed
files     paths and containers                    sound    audio tracks, copied between files
times     rates and time stamps                   colour   decoded pictures <-> RGB
hdr       HDR -> SDR                              orientation  turned and mirrored pictures
fitting   scaling to a size of another shape      records  how a file was made, in its tags
spans     frames of a part of a video
"""

from mugv_jax.video.animation import is_picture, timed_frames
from mugv_jax.video.colour import MAX_PIXELS, upright_rgb
from mugv_jax.video.files import CONTAINERS, completed, note_once, prepare_output
from mugv_jax.video.fitting import FITS, check_fit, fit, lost_share
from mugv_jax.video.frames import Video, side_by_side, to_frames, to_pixels
from mugv_jax.video.kinds import PICTURES, VIDEOS
from mugv_jax.video.pictures import MIN_SIDE_PX, read_image
from mugv_jax.video.pillow_pictures import to_rgb
from mugv_jax.video.reading import FrameStream, decoding, open_frames, read_video
from mugv_jax.video.records import read_record
from mugv_jax.video.times import exact_rate, resample, rounding, timed
from mugv_jax.video.writing import CRF, check_rate, write_video, writing

__all__ = [
    "CONTAINERS",
    "CRF",
    "FITS",
    "MAX_PIXELS",
    "MIN_SIDE_PX",
    "PICTURES",
    "VIDEOS",
    "FrameStream",
    "Video",
    "check_fit",
    "check_rate",
    "completed",
    "decoding",
    "exact_rate",
    "fit",
    "is_picture",
    "lost_share",
    "note_once",
    "open_frames",
    "prepare_output",
    "read_image",
    "read_record",
    "read_video",
    "resample",
    "rounding",
    "side_by_side",
    "timed",
    "timed_frames",
    "to_frames",
    "to_pixels",
    "to_rgb",
    "upright_rgb",
    "write_video",
    "writing",
]
