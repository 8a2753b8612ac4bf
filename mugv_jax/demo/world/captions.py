# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Caption of a scene: shape, colour and motion of the main object, then the rest.

A second object, a patterned backdrop and a moving camera are always mentioned; textures and plain
backdrops in half of the captions, so that a prompt need not mention them.
"""

import numpy as np

from mugv_jax.demo.world.objects import Thing
from mugv_jax.demo.world.scene import Backdrop, Scene

NOUNS = {
    "ball": ("ball", "sphere"),
    "box": ("box", "cube"),
    "can": ("can", "tin"),
    "cone": ("cone",),
    "ring": ("ring", "hoop"),
    "bottle": ("bottle", "flask"),
    "mug": ("mug", "cup"),
    "star": ("star",),
}
MOTION_PHRASES = {
    "left": ("moves left", "slides to the left", "drifts left", "glides to the left"),
    "right": ("moves right", "slides to the right", "drifts right", "glides to the right"),
    "up": ("moves up", "rises", "floats up", "glides to the top"),
    "down": ("moves down", "sinks", "drops down", "glides to the bottom"),
    "rotate": ("rotates", "spins", "turns around", "rotates in place"),
    "grow": ("grows", "gets larger", "becomes bigger", "grows in size"),
    "shrink": ("shrinks", "gets smaller", "becomes smaller", "shrinks in size"),
    "still": ("stays still", "does not move", "rests", "stands still"),
}
# {a_thing} has an article, {thing} has none. {beside}, {place} and {camera} may be empty; if not,
# they begin with their own space or comma.
TEMPLATES = (
    "{a_thing} {motion}{beside}{place}{camera}",
    "the {thing} {motion}{beside}{place}{camera}",
    "one {thing} {motion}{beside}{place}{camera}",
    "{a_thing} that {motion}{beside}{place}{camera}",
    "a video of {a_thing} that {motion}{beside}{place}{camera}",
    "a clip of {a_thing} that {motion}{beside}{place}{camera}",
    "a short video: {a_thing} {motion}{beside}{place}{camera}",
    "a product video of {a_thing} that {motion}{beside}{place}{camera}",
    "a product shot: the {thing} {motion}{beside}{place}{camera}",
    "we see {a_thing} that {motion}{beside}{place}{camera}",
    "here {a_thing} {motion}{beside}{place}{camera}",
    "there is {a_thing} and it {motion}{beside}{place}{camera}",
    "{a_thing}{place}; it {motion}{beside}{camera}",
    "{a_thing}{place}, and it {motion}{beside}{camera}",
    "{a_thing}{place}; the {thing} {motion}{beside}{camera}",
    "the video shows how {a_thing} {motion}{beside}{place}{camera}",
    "the clip shows {a_thing} that {motion}{beside}{place}{camera}",
    "in this clip {a_thing} {motion}{beside}{place}{camera}",
    "in the video the {thing} {motion}{beside}{place}{camera}",
    "look how the {thing} {motion}{beside}{place}{camera}",
    "watch {a_thing}{place}: it {motion}{beside}{camera}",
    "an animation of {a_thing} that {motion}{beside}{place}{camera}",
    "this {thing} {motion}{beside}{place}{camera}",
    "showing {a_thing} as it {motion}{beside}{place}{camera}",
)
BESIDES = (" beside {}", " next to {}", " near {}")
PLACES = (" on {}", " in front of {}", " against {}")
GROUNDS = ("background", "backdrop", "wall")
CAMERAS = {
    "pan left": (" while the camera pans left", ", camera pans left"),
    "pan right": (" while the camera pans right", ", camera pans right"),
    "zoom in": (" while the camera zooms in", ", camera zooms in"),
    "zoom out": (" while the camera zooms out", ", camera zooms out"),
}


def caption(scene: Scene) -> str:
    """Caption of a scene, with wording chosen by `scene.caption_seed`."""
    rng = np.random.default_rng(scene.caption_seed)
    cameras = CAMERAS.get(scene.backdrop.camera)
    beside = ""
    if scene.second:
        beside = str(rng.choice(BESIDES)).format(_with_article(_thing(scene.second.thing, rng)))
    thing = _thing(scene.main.thing, rng)
    return str(rng.choice(TEMPLATES)).format(
        thing=thing,
        a_thing=_with_article(thing),
        motion=rng.choice(MOTION_PHRASES[scene.told]),
        beside=beside,
        place=_place(scene.backdrop, rng),
        camera=rng.choice(cameras) if cameras else "",
    )


def _thing(thing: Thing, rng: np.random.Generator) -> str:
    words = [thing.colour, str(rng.choice(NOUNS[thing.shape]))]
    if rng.random() < 0.5 and thing.texture != "plain":
        words.insert(0, thing.texture)
    return " ".join(words)


def _place(backdrop: Backdrop, rng: np.random.Generator) -> str:
    plain = backdrop.pattern == "plain"
    if plain and rng.random() < 0.5:
        return ""
    words = [backdrop.tone, str(rng.choice(GROUNDS))]
    if not plain:
        words.insert(0, backdrop.pattern)
    return str(rng.choice(PLACES)).format(_with_article(" ".join(words)))


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun
