# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's weights from nothing: clips, text encoder, VAE, samples, DiT, student, export, scores.

The tiny decoder is trained after the VAE, whose decoder it repeats; the student of 2 steps,
`few_steps`, after the DiT: its guidance first, then half of its steps twice.

Each stage runs one or more `mugv-jax` commands in the root of the repository. The configs of the
models are `configs/vae_demo*.py` and `configs/mugv_demo.py`; assets/demo/README.md lists hours.
"""

import logging
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo.world.scene import WORLDS
from mugv_jax.systems.mugv.defaults import FILE as DEFAULTS

CLIPS, HELD_OUT = 6144, 128
WORLD = "small"
DONE = "done"  # suffix of the empty file that marks a finished stage
ENCODE = "--size 64x64 --fps 8 --text-batch 64 --weights {root}/weights"
RENDER = f"demo world --overwrite --world {WORLD} --split train"
SCORE = "eval demo --weights {assets}"
ENCODER = "('^spatial_','^temporal_encoder','^quant_conv')"
ALL_BUT_SPATIAL_DECODER = "('^spatial_encoder','^temporal_','quant_conv')"

# Stage -> options of the TFDS data set of clips that it renders. "stars" are those that the VAE
# blurred into balls after the stage "vae".
DATA_SETS: dict[str, dict[str, Any]] = {
    "world": {"counts": {"train": CLIPS, "validation": HELD_OUT, "unseen": HELD_OUT}},
    "stars": {
        "counts": {"train": 24576}, "seed": 8,
        "only": {"shape": ("star",), "tone": ("dark", "grey")},
    },
}  # fmt: skip

log = logging.getLogger(__name__)


def _train_vae(
    config: str, folder: str, *fields: str, start: str = "", clips: tuple[str, ...] = ("world",)
) -> str:
    """Training of the VAE from the averaged weights of the run `start`, if one is named.

    clips: names of DATA_SETS to train on; "world" has the clips that are held out.
    """
    paths = "".join(f"{{{name}!r}}," for name in clips)
    fields = (
        f"data.paths=({paths})", "data.holdout_paths=({world!r},)",
        "data.holdout_split=validation", *fields,
    )  # fmt: skip
    if start:
        fields = (*fields, f"run.weights={{root}}/{start}", "run.ema_weights=true")
    options = " ".join(f'"--config.{field}"' for field in fields)
    return f"train-vae --config configs/{config}.py --output {{root}}/{folder} {options}"


def _distil(config: str, folder: str, *, start: str, ema: bool = False) -> str:
    """Distillation of the run `start`, or of its averaged weights, by a config of configs/post/."""
    return (
        f"train --config configs/post/{config}.py --output {{root}}/{folder} "
        f"--config.run.weights={{root}}/{start} --config.run.ema_weights={str(ema).lower()} "
        '"--config.data.paths=({clips!r},)"'
    )


# Stage -> its commands. Words in braces, such as {root}, are replaced by `train`.
COMMANDS = {
    "world": (),  # the clips that the VAE is trained on, one of DATA_SETS
    # The same clips, and first frames of others (hence the seed), as files for `data encode`.
    "clips": (
        f"{RENDER} --count {CLIPS} --output {{root}}/clips",
        f"{RENDER} --pictures --seed 7 --count 2048 --output {{root}}/pictures",
    ),
    "text": ("demo text --output {root}/weights/text_encoder",),
    "vae_spatial": (_train_vae("vae_demo_spatial", "vae_spatial"),),
    # The temporal half, on features of the spatial half.
    "vae_temporal": (_train_vae("vae_demo_temporal", "vae_temporal", start="vae_spatial"),),
    # Two more runs of it. The second trains its decoder only, so that latents stay
    # the same.
    "vae_longer": (
        _train_vae(
            "vae_demo_temporal", "vae_longer", "optimizer.learning_rate=5e-3", "run.steps=2400",
            "run.seed=1", start="vae_temporal",
        ),
    ),
    "vae_decoder": (
        _train_vae(
            "vae_demo_temporal", "vae_decoder", "optimizer.learning_rate=5e-3", "run.steps=2200",
            "run.seed=5", f"optimizer.freeze={ENCODER}", start="vae_longer",
        ),
    ),
    "vae": (_train_vae("vae_demo", "vae", start="vae_decoder"),),  # both decoders, on clips
    # Again, with more of the stars that they blur: first the spatial decoder, on single frames,
    # then both.
    "stars": (),
    "vae_frames": (
        _train_vae(
            "vae_demo_spatial", "vae_frames", "data.picture_rows=16",
            "optimizer.learning_rate=4e-3", f"optimizer.freeze={ALL_BUT_SPATIAL_DECODER}",
            "optimizer.warmup_steps=50", "run.steps=2500", "run.seed=11", start="vae",
            clips=("world", "stars"),
        ),
    ),
    "vae_stars": (
        _train_vae(
            "vae_demo_stars", "vae_stars", start="vae_frames", clips=("world", "stars", "stars")
        ),
        "convert {root}/vae_stars {root}/weights/vae.safetensors --ema --dtype bfloat16 "
        "--overwrite",
    ),
    "tiny_decoder": (
        "train-vae --config configs/tiny_decoder_demo.py --output {root}/tiny_decoder "
        "\"--config.data.paths=({world!r},)\" --config.data.holdout_split=validation "
        "--config.run.vae={root}/weights/vae.safetensors",
        "convert {root}/tiny_decoder {root}/weights/tiny_decoder.safetensors --ema "
        "--dtype bfloat16 --overwrite",
    ),
    "samples": tuple(
        f"data encode {{root}}/{kind}/captions.csv {ENCODE} --output {{root}}/{kind}_encoded"
        for kind in ("clips", "pictures")
    ),
    "dit": (
        "train --config configs/mugv_demo.py --output {root}/dit "
        "--config.data.paths=({clips!r},{pictures!r})",
    ),
    "files": (
        "demo export --dit {root}/dit --vae {root}/vae_stars --text {root}/weights/text_encoder "
        "--output {assets} --overwrite",
        "convert {root}/weights/tiny_decoder.safetensors {assets}/tiny_decoder.safetensors "
        "--overwrite",
    ),
    "few_steps": (
        _distil("guidance_demo", "unguided", start="dit", ema=True),
        _distil("progressive_demo", "two_steps", start="unguided"),
        "convert {root}/two_steps {assets}/few_steps/dit.safetensors --dtype bfloat16 --overwrite",
    ),
    "scores": (
        f"{SCORE} --clips 100 --batch 50 --seeds 77,78,79 --output {{root}}/scores",
        f"{SCORE} --sweep guidance=1,1.5,2,3,4,6 --clips 100 --output {{root}}/sweeps",
        f"{SCORE} --sweep steps=4,8,12,20,30 --clips 100 --output {{root}}/sweeps",
    ),
}  # fmt: skip
STAGES = tuple(COMMANDS)
MADE = (  # folders that the stages write
    "world", "clips", "pictures", "weights", "vae_spatial", "vae_temporal", "vae_longer",
    "vae_decoder", "vae", "stars", "vae_frames", "vae_stars", "tiny_decoder", "clips_encoded",
    "pictures_encoded", "dit", "unguided", "two_steps", "scores", "sweeps",
)  # fmt: skip


def train(
    root: Path, assets: Path, command: Callable[[list[str]], None], *, until: str = STAGES[-1]
) -> None:
    """Runs the stages up to `until` in order; a stage that has finished before is skipped.

    root: folder of all stages.
    assets: folder for the exported weights.
    command: runs `mugv-jax` with a list of arguments, and raises or exits if that fails.
    """
    root.mkdir(parents=True, exist_ok=True)
    clips, pictures = (str(root / f"{kind}_encoded") for kind in ("clips", "pictures"))
    for stage in STAGES[: STAGES.index(until) + 1]:
        mark = root / f"{stage}.{DONE}"
        if mark.exists():
            continue
        log.info("--- %s", stage)
        if stage in DATA_SETS:
            render_world(root / stage, **DATA_SETS[stage])
        sets = {
            name: str(next((root / name).glob("demo_world/*/"), root / name)) for name in DATA_SETS
        }
        for line in COMMANDS[stage]:
            words = [
                word.format(root=root, assets=assets, clips=clips, pictures=pictures, **sets)
                for word in shlex.split(line)
            ]
            log.info("mugv-jax %s", shlex.join(words))
            command(words)
        if stage == "few_steps":  # how the student is sampled
            shutil.copyfile(root / "two_steps" / DEFAULTS, assets / stage / DEFAULTS)
        write_whole(mark, b"")


def forget(root: Path) -> None:
    """Removes the results of all stages, and the marks of those that are finished."""
    for name in MADE:
        shutil.rmtree(root / name, ignore_errors=True)
    for stage in STAGES:
        (root / f"{stage}.{DONE}").unlink(missing_ok=True)


def render_world(folder: Path, **options: Any) -> None:
    """Renders clips that the VAE is trained on, by a builder with these options."""
    import tensorflow_datasets as tfds

    import mugv_jax.demo.world.builder  # noqa: F401 (registers it)

    builder = tfds.builder("demo_world", world=WORLDS[WORLD], data_dir=folder, **options)
    builder.download_and_prepare()
