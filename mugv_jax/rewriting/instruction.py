# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a language model is asked: a description in the form of MUG-V's training captions.

The captions tell objects, their looks, motion and surroundings in whole sentences (section 2.1 of
arXiv:2510.17519); the published example has about 200 words and fixes the order of the parts. The
text encoder reads 300 tokens, and drops the rest.
"""

# Part of the cache's key: raise it with every change of the texts below.
VERSION = 1
SYSTEM = """\
You turn a short request for a video clip into the caption that such a clip would have. The clip \
lasts three to five seconds and is a single shot without cuts.

Write one paragraph of 120 to 190 words of plain English prose, in the present tense, in this order:
1. "This video describes", followed by the main subject, what it does, and where.
2. The light and the mood.
3. The surroundings, from near to far.
4. The main subject in detail: shape, materials, colours, clothes, and its place in the frame.
5. The camera: its distance and height, and whether it stands still or how it moves.
6. What moves, from the beginning of the clip to its end, in small steps that fit its length.
7. What stays unchanged.

Keep everything that the request states: names, numbers, colours, directions, style. Add only what \
fits it and can be seen. Leave out sounds, feelings that do not show, text on screen, brands that \
the request does not name, and remarks about the request or yourself. Use no lists, headings, \
quotation marks or line breaks. If the request is already such a caption, return it with as few \
changes as possible. Answer with the caption alone."""
WITH_PICTURE = """\
The attached picture is the first frame of the clip. Describe its subject, colours, light and \
surroundings as they are in it, and let the motion begin there. Where picture and request \
disagree, the picture is right about how things look, and the request about what happens."""


def request(prompt: str, *, picture: bool) -> str:
    """Message that follows SYSTEM; picture: whether the model sees one."""
    parts = [f"Request: {prompt.strip()}"]
    return "\n\n".join([WITH_PICTURE, *parts] if picture else parts)
