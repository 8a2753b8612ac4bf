# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What lies outside of a demo world, so that its model cannot be expected to make it.

A prompt is outside if it has words that no caption of the world has, or names several colours or
shapes where a clip has one object. A picture is outside unless it shows one vivid object of a known
outline, away from the edges, before a nearly grey and smooth backdrop.
"""

import re
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from mugv_jax.demo.world import polar
from mugv_jax.demo.world.captions import GROUNDS, MOTION_PHRASES, NOUNS, PLACES, TEMPLATES
from mugv_jax.demo.world.reading import outlines
from mugv_jax.demo.world.scene import SHAPES, TONES, World
from mugv_jax.demo.world.segment import LEAST_CHROMA, chroma, segment
from mugv_jax.video import fit

SIDE_PX = 64  # pictures are compared at the size of the world's clips
EDGE_PX = 2
# Bounds of a picture; in brackets the largest value in 600 first frames of the small world.
MOST_EDGE_CHROMA = 30.0  # 95% of the edge's pixels have less (14.2)
MOST_OTHER = 0.01  # share of vivid pixels that are not of the object (0.001)
MOST_MISMATCH = 0.08  # of the object and the outline that fits best (0.02)
MOST_ROUGHNESS = 5.0  # mean difference of neighbouring pixels of the backdrop, of 255 (1.9)
HALO_PX = 3  # around the object, which its blurred outline reaches


def caption_words(world: World) -> set[str]:
    """Words of the world's captions; second objects and moving cameras are left out."""
    texts = [re.sub(r"\{\w+\}", " ", each) for each in (*TEMPLATES, *PLACES)]
    texts += [noun for shape in world.shapes for noun in NOUNS[shape]]
    texts += [phrase for motion in world.motions for phrase in MOTION_PHRASES[motion]]
    texts += [*world.colours, *TONES, *GROUNDS, "a", "an"]
    texts += [each for each in (*world.patterns, *world.textures) if each != "plain"]
    return {word for text in texts for word in _words(text)}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def foreign_words(prompt: str, world: World) -> list[str]:
    """Words of a prompt that no caption of the world has, in order."""
    known = caption_words(world)
    return [word for word in dict.fromkeys(_words(prompt)) if word not in known]


def several(prompt: str, world: World) -> list[str]:
    """Colours or shapes that a prompt names, if there are several of a kind; else nothing.

    Colours of backdrops are no colours of objects.
    """
    place = "|".join(f"{tone} (?:{'|'.join(GROUNDS)})" for tone in TONES)
    words = _words(re.sub(place, "", prompt.lower()))
    shapes = {noun: shape for shape in world.shapes for noun in NOUNS[shape]}
    colours = list(dict.fromkeys(word for word in words if word in world.colours))
    things = list({shapes[word]: word for word in words if word in shapes}.values())
    return [each for names in (colours, things) if len(names) > 1 for each in names]


def why_foreign(picture: UInt8[np.ndarray, "h w 3"], world: World) -> str | None:
    """What a picture has that no frame of the world has, or None."""
    small = fit(picture[None], SIDE_PX, SIDE_PX)
    strength = np.hypot(*np.moveaxis(chroma(small[0]), -1, 0))
    inside = np.zeros(strength.shape, bool)
    inside[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX] = True
    if np.quantile(strength[~inside], 0.95) > MOST_EDGE_CHROMA:
        return "its edges are not those of a nearly grey backdrop"
    main = segment(np.concatenate([small, small]))
    if main is None:
        return "it shows no object of a vivid colour"
    near = main.coverage[0] > 0
    if ((strength > LEAST_CHROMA) & ~_widened(near)).mean() > MOST_OTHER:
        return "it shows vivid colours beside its main object"
    centre = polar.moments(main.coverage)
    fits = polar.mismatch(polar.unroll(main.coverage, *centre), outlines())[0]
    if min(fits[SHAPES.index(shape)] for shape in world.shapes) > MOST_MISMATCH:
        return f"its object is no {', '.join(world.shapes[:-1])} or {world.shapes[-1]}"
    grey = small[0].astype(np.float32).mean(-1)
    rough = np.abs(np.diff(grey, axis=0))[:, 1:] + np.abs(np.diff(grey, axis=1))[1:]
    if rough[~_widened(near)[1:, 1:]].mean() > MOST_ROUGHNESS:
        return "its backdrop is not smooth"
    return None


def _widened(mask: np.ndarray) -> np.ndarray:
    """The mask, with all pixels up to HALO_PX away."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(mask, HALO_PX), (2 * HALO_PX + 1,) * 2
    )
    return windows.max(axis=(-2, -1))


def warnings(
    prompts: Iterable[str], pictures: Iterable[UInt8[np.ndarray, "h w 3"]], world: World
) -> list[str]:
    """A sentence for everything that is outside of the world; empty if nothing is."""
    found = []
    for prompt in dict.fromkeys(prompts):
        foreign, many = foreign_words(prompt, world), several(prompt, world)
        if foreign:
            words = ", ".join(map(repr, foreign[:8])) + (", ..." if len(foreign) > 8 else "")
            found.append(f"The demo model has never seen the words {words}.")
        elif many:
            found.append(f"The demo model makes one object, not several ({', '.join(many)}).")
    reasons = dict.fromkeys(why_foreign(picture, world) for picture in pictures)
    found += [
        f"The demo model cannot animate this picture, since {reason}: it only knows pictures of "
        "its own small world (mugv-jax demo world --pictures draws some)."
        for reason in reasons
        if reason
    ]
    return found
