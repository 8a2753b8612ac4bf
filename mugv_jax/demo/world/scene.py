# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Content of a clip of the demo world, drawn from a seed.

Lengths are in short sides of the frame, positions relative to its centre (x right, y down).
Motion is that of the object within the frame. A moving camera slides or scales the backdrop only,
as in a product shot whose camera follows its subject.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from mugv_jax.demo.world import faults
from mugv_jax.demo.world.faults import Fault
from mugv_jax.demo.world.objects import Placed, Pose, Thing, path
from mugv_jax.demo.world.shapes import FORMS

SHAPES = tuple(FORMS)
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHIFTS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
MOTIONS = (*SHIFTS, "rotate", "grow", "shrink", "still")
TEXTURES = ("plain", "striped", "dotted")
PATTERNS = ("plain", "gradient", "checked", "striped", "dotted", "cloudy")
TONES = ("white", "grey", "dark", "cream", "pale blue")
CAMERAS = ("still", "pan left", "pan right", "zoom in", "zoom out")
SPLITS = ("train", "validation", "unseen")

ROUND = ("ball", "ring")  # their rotation shows only on stripes
FEWEST_STEPS = 2  # least distance of two objects' colours on the circle of COLOURS
SECOND_AREA = (0.3, 0.42)  # range, relative to the main object's area
SECOND_RADIUS = 0.12  # at most
MARGIN = 0.02  # between the second object and the main one or the frame's edge
TRIES = 20  # positions of the second object

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """Size and frame rate of clips: sides of 64, 80 or 96 pixels, 8k+1 frames.

    Raises:
        ValueError: values out of range.
    """

    height_px: int = 64
    width_px: int = 64
    frames: int = 17
    fps: float = 8.0

    def __post_init__(self):
        for field in ("height_px", "width_px"):
            if getattr(self, field) not in (64, 80, 96):
                raise ValueError(
                    f"{field}={getattr(self, field)} must be 64, 80 or 96: objects are drawn and "
                    "read at these sizes, and a token covers 16 pixels."
                )
        if self.frames < 9 or self.frames % 8 != 1:
            raise ValueError(f"frames={self.frames} must be 8k+1, and at least 9 to show a motion.")
        if not 1 <= self.fps <= 60:
            raise ValueError(f"fps={self.fps} must lie in 1 to 60.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """The words that clips are drawn from; the default is all of them.

    second: share of clips that get a second object if one fits.
    patterned: share of clips whose backdrop is drawn from `patterns`; the others are plain.
    wrong_captions: share of clips whose caption names another motion.
    faulty: share of clips with a physical error (`faults.py`); their captions are right.

    Raises:
        ValueError: unknown or missing words, or shares out of range.
    """

    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = COLOURS
    motions: tuple[str, ...] = MOTIONS
    textures: tuple[str, ...] = TEXTURES
    patterns: tuple[str, ...] = PATTERNS
    second: float = 0.35
    patterned: float = 0.6
    wrong_captions: float = 0.0
    faulty: float = 0.0

    def __post_init__(self):
        for field in ("shapes", "colours", "motions", "textures", "patterns"):
            given, words = getattr(self, field), getattr(World, field)
            if not given or len(set(given)) != len(given) or not set(given) <= set(words):
                raise ValueError(f"{field}={given} must be some of {', '.join(words)}, each once.")
        for field in ("second", "patterned", "wrong_captions", "faulty"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field}={getattr(self, field)} must lie in [0, 1].")
        if self.wrong_captions + self.faulty > 1:
            raise ValueError(
                f"wrong_captions={self.wrong_captions} and faulty={self.faulty} must not exceed 1 "
                "together: no clip has both."
            )
        turns = "rotate" in self.motions and {*ROUND} & {*self.shapes}
        if turns and "striped" not in self.textures:
            raise ValueError(
                f"shapes={self.shapes} that rotate need the texture 'striped': nothing else shows "
                f"how {' or '.join(ROUND)} turns."
            )


_SMALL = World(
    shapes=("ball", "box", "cone", "star"),
    colours=("red", "yellow", "green", "cyan", "blue", "purple"),
    motions=("left", "right", "up", "down", "grow", "shrink", "still"),
    textures=("plain",),
    patterns=("plain", "gradient"),
    second=0.0,
)
# The demo's model knows "small". "cans" is the same with one shape that it does not know, to
# fine-tune it on. "faulty" is the same with the errors of collected data, for post-training, and
# every clip of "errors" has one, for the VAE.
WORLDS = {
    "full": World(),
    "small": _SMALL,
    "cans": dataclasses.replace(_SMALL, shapes=("can",)),
    "faulty": dataclasses.replace(_SMALL, wrong_captions=0.25, faulty=0.25),
    "errors": dataclasses.replace(_SMALL, faulty=1.0),
}


@dataclasses.dataclass(frozen=True)
class Backdrop:
    """Backdrop of a clip, and what the camera does.

    phase: offset of the pattern, in radians.
    """

    pattern: str
    tone: str
    camera: str
    phase: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Content of one clip. The main object is the larger one; it moves and is named first.

    told: motion that the caption names; another one than `motion` in a wrong caption.
    fault: physical error of the main object, if any.
    """

    main: Placed
    motion: str
    told: str
    second: Placed | None
    backdrop: Backdrop
    format: Format
    caption_seed: int
    fault: Fault | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """Content of the clip in words, empty where there is no second object and no fault."""
        thing = dataclasses.asdict(self.main.thing)
        second = self.second.thing if self.second else Thing("", "", "")
        return {
            **thing,
            "motion": self.motion,
            **{f"second_{name}": value for name, value in dataclasses.asdict(second).items()},
            "pattern": self.backdrop.pattern,
            "tone": self.backdrop.tone,
            "camera": self.backdrop.camera,
            "told": self.told,
            "fault": self.fault.kind if self.fault else "",
        }


def combinations(split: str, world: World = WORLDS["full"]) -> list[tuple[str, str, str]]:
    """Combinations (shape, colour, motion) of a split.

    `unseen` is a Latin square, shape + 3 colour + 5 motion = 0 (mod n), where n is the largest of
    the three counts (8, and 7 in the small world). Each pair of values of two attributes occurs in
    it at most once, so training sees every pair, with all but one value of the third attribute.

    Raises:
        ValueError: an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} must be one of {', '.join(SPLITS)}.")
    parts = (world.shapes, world.colours, world.motions)
    modulus = max(map(len, parts))
    numbered = itertools.product(*map(enumerate, parts))
    return [
        (shape, colour, motion)
        for (i, shape), (j, colour), (k, motion) in numbered
        if ((i + 3 * j + 5 * k) % modulus == 0) == (split == "unseen")
    ]


def draw(
    split: str,
    number: int,
    *,
    seed: int = 0,
    format: Format | None = None,
    world: World = WORLDS["full"],
) -> Scene:
    """Scene `number` of a split; it depends on the arguments only, not on earlier calls."""
    all_of_split = combinations(split, world)
    rng = np.random.default_rng((seed, SPLITS.index(split), number))
    shape, colour, motion = _pick(rng, all_of_split)
    striped = motion == "rotate" and shape in ROUND
    texture = "striped" if striped else _pick(rng, world.textures)
    main = Placed(Thing(shape, colour, texture), *_poses(rng, motion))
    scene = Scene(
        main=main,
        motion=motion,
        told=motion,
        second=_second(rng, main, world) if rng.random() < world.second else None,
        backdrop=_backdrop(rng, world),
        format=format or Format(),
        caption_seed=int(rng.integers(2**31)),
    )
    return _spoilt(rng, scene, world)


def _spoilt(rng: np.random.Generator, scene: Scene, world: World) -> Scene:
    """The scene with a wrong caption or a physical error, in the world's shares."""
    if not world.wrong_captions + world.faulty:
        return scene
    chance = rng.random()
    if chance < world.wrong_captions:
        others = [each for each in world.motions if each != scene.motion]
        return dataclasses.replace(scene, told=_pick(rng, others))
    if chance < world.wrong_captions + world.faulty:
        kinds = [each for each in faults.FAULTS if each != "freeze" or scene.motion != "still"]
        colours = [each for each in world.colours if _distinct(each, scene.main.thing.colour)]
        shapes = [each for each in world.shapes if each != scene.main.thing.shape]
        fault = faults.draw(rng, _pick(rng, kinds), scene.main, colours, shapes)
        return dataclasses.replace(scene, fault=fault)
    return scene


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def _poses(rng: np.random.Generator, motion: str) -> tuple[Pose, Pose]:
    """First and last pose of the main object, which never leaves the frame."""
    x, y = rng.uniform(-0.05, 0.05, 2).tolist()
    radius, angle = rng.uniform(0.18, 0.23), rng.uniform(-0.1, 0.1)
    still = Pose(x, y, radius, angle)
    if motion in SHIFTS:
        travel, (right, down) = rng.uniform(0.34, 0.44) / 2, SHIFTS[motion]
        across = dataclasses.replace(still, x=x * abs(down), y=y * abs(right))
        return (
            dataclasses.replace(across, x=across.x - right * travel, y=across.y - down * travel),
            dataclasses.replace(across, x=across.x + right * travel, y=across.y + down * travel),
        )
    if motion == "rotate":
        turn = math.radians(rng.uniform(90, 150)) * rng.choice((-1, 1))
        return still, dataclasses.replace(still, angle=angle + float(turn))
    if motion in ("grow", "shrink"):
        small = dataclasses.replace(still, radius=rng.uniform(0.15, 0.17))
        large = dataclasses.replace(still, radius=rng.uniform(0.28, 0.32))
        return (small, large) if motion == "grow" else (large, small)
    return still, still


def _second(rng: np.random.Generator, main: Placed, world: World) -> Placed | None:
    """A smaller object at rest, of another colour and clear of the main one; None if none fits."""
    colour = _pick(rng, [each for each in world.colours if _distinct(each, main.thing.colour)])
    thing = Thing(_pick(rng, world.shapes), colour, _pick(rng, world.textures))
    radius = (main.first.radius + main.last.radius) / 2
    share = rng.uniform(*SECOND_AREA) * FORMS[main.thing.shape].area / FORMS[thing.shape].area
    radius = min(radius * math.sqrt(share), SECOND_RADIUS)
    for _ in range(TRIES):
        x, y = rng.uniform(radius + MARGIN - 0.5, 0.5 - radius - MARGIN, 2).tolist()
        if all(
            math.hypot(x - pose.x, y - pose.y) > radius + pose.radius + MARGIN
            for pose in path(main, np.linspace(0, 1, 5))
        ):
            pose = Pose(x, y, radius)
            return Placed(thing, pose, pose)
    return None


def _distinct(a: str, b: str) -> bool:
    """Whether two colours are far enough from each other on the circle of COLOURS."""
    steps = abs(COLOURS.index(a) - COLOURS.index(b))
    return min(steps, len(COLOURS) - steps) >= FEWEST_STEPS


def _backdrop(rng: np.random.Generator, world: World) -> Backdrop:
    """A random backdrop; the camera moves only if its pattern makes that visible."""
    pattern = _pick(rng, world.patterns) if rng.random() < world.patterned else "plain"
    moves = pattern not in ("plain", "gradient") and rng.random() < 0.5
    camera = _pick(rng, CAMERAS[1:]) if moves else CAMERAS[0]
    return Backdrop(pattern, _pick(rng, TONES), camera, rng.uniform(0, 2 * math.pi))
