# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's weights from nothing: clips, text encoder, VAE, samples, DiT, export, scores.

Each stage runs one or more `mugv-jax` commands in the root of the repository. The configs of the
models are `configs/vae_demo*.py` and `configs/mugv_demo.py`; assets/demo/README.md lists hours.
"""

import dataclasses
import logging
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo.world.scene import WORLDS

CLIPS, PICTURES, HELD_OUT = 6144, 2048, 128
PICTURE_SEED = 7  # the pictures show other scenes than the clips
WORLD = "small"
# Two more runs of the temporal half. The second trains its decoder only, so latents stay the same.
LONGER = ("optimizer.learning_rate=5e-3", "run.steps=2400", "run.seed=1")
ENCODER = "('^spatial_','^temporal_encoder','^quant_conv')"
DECODER = ("optimizer.learning_rate=5e-3", "run.steps=2200", "run.seed=5",
           f"optimizer.freeze={ENCODER}")  # fmt: skip
DONE = "done"  # suffix of the empty file that marks a finished stage

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The stages of training: one method per name in STAGES, each writing below `root`.

    assets: folder for the exported weights.
    command: runs `mugv-jax` with a list of arguments, and raises or exits if that fails.
    """

    root: Path
    assets: Path
    command: Callable[[list[str]], None]

    def folder(self, name: str) -> str:
        """Path of a stage's folder."""
        return str(self.root / name)

    def world(self) -> None:
        """Renders the clips that the VAE is trained on, as a TFDS data set."""
        import tensorflow_datasets as tfds

        import mugv_jax.demo.world.builder  # noqa: F401 (registers it)

        counts = {"train": CLIPS, "validation": HELD_OUT, "unseen": HELD_OUT}
        builder = tfds.builder(
            "demo_world", world=WORLDS[WORLD], counts=counts, data_dir=self.folder("world")
        )
        builder.download_and_prepare()

    def clips(self) -> None:
        """Writes the same clips, and first frames of others, as files for `data encode`."""
        shared = ["demo", "world", "--world", WORLD, "--split", "train"]
        self._run(*shared, "--count", CLIPS, "--out", self.folder("clips"))
        pictures = ["--pictures", "--seed", PICTURE_SEED, "--count", PICTURES]
        self._run(*shared, *pictures, "--out", self.folder("pictures"))

    def text(self) -> None:
        """Trains the vocabulary and the text encoder."""
        self._run("demo", "text", "--out", self.folder("weights/text_encoder"))

    def vae_spatial(self) -> None:
        """Trains the spatial half of the VAE."""
        self._train_vae("vae_demo_spatial", "vae_spatial")

    def vae_temporal(self) -> None:
        """Trains the temporal half on features of the spatial half."""
        self._train_vae("vae_demo_temporal", "vae_temporal", start="vae_spatial")

    def vae_longer(self) -> None:
        """Trains the temporal half for more steps, at a lower rate."""
        self._train_temporal("vae_longer", LONGER, start="vae_temporal")

    def vae_decoder(self) -> None:
        """Trains the temporal decoder for more steps."""
        self._train_temporal("vae_decoder", DECODER, start="vae_longer")

    def vae(self) -> None:
        """Trains both decoders on clips, and converts the result for encoding."""
        self._train_vae("vae_demo", "vae", start="vae_decoder")
        target = self.folder("weights/vae.safetensors")
        options = ["--ema", "--dtype", "bfloat16", "--overwrite"]
        self._run("convert", self.folder("vae"), target, *options)

    def samples(self) -> None:
        """Encodes all clips and pictures into latents and text states."""
        for kind in ("clips", "pictures"):
            source = self.folder(f"{kind}/captions.csv")
            options = ["--size", "64x64", "--fps", 8, "--text-batch", 64]
            folders = ["--weights", self.folder("weights"), "--out", self.folder(f"{kind}_encoded")]
            self._run("data", "encode", source, *options, *folders)

    def dit(self) -> None:
        """Trains the DiT."""
        paths = tuple(self.folder(f"{kind}_encoded") for kind in ("clips", "pictures"))
        self._train("train", "mugv_demo", "dit", f"--config.data.paths={paths!r}")

    def files(self) -> None:
        """Exports the weights that the package ships."""
        runs = [f"--{name}={self.folder(name)}" for name in ("dit", "vae")]
        text = self.folder("weights/text_encoder")
        self._run("demo", "export", *runs, f"--text={text}", f"--out={self.assets}")

    def scores(self) -> None:
        """Scores the exported weights, also over guidance scales and numbers of steps."""
        shared = ["eval", "demo", "--weights", self.assets]
        self._run(*shared, "--clips", 200, "--out", self.folder("scores"))
        for values in ("guidance=1,1.5,2,3,4,6", "steps=4,8,12,20,30"):
            sweep = ["--sweep", values, "--clips", 100, "--out", self.folder("sweeps")]
            self._run(*shared, *sweep)

    def _train_temporal(self, folder: str, fields: Sequence[str], *, start: str) -> None:
        changed = [f"--config.{each}" for each in fields]
        self._train_vae("vae_demo_temporal", folder, *changed, start=start)

    def _train_vae(self, config: str, folder: str, *more: str, start: str = "") -> None:
        """Trains the VAE from the averaged weights of the run `start`, if one is named."""
        (data,) = (self.root / "world").glob("demo_world/*/")
        options = [
            f"--config.data.paths=({str(data)!r},)",
            "--config.data.holdout_split=validation",
            *more,
        ]
        if start:
            options += [f"--config.run.weights={self.folder(start)}"]
            options += ["--config.run.ema_weights=true"]
        self._train("train-vae", config, folder, *options)

    def _train(self, command: str, config: str, folder: str, *options: str) -> None:
        file = f"configs/{config}.py"
        self._run(command, "--config", file, "--output", self.folder(folder), *options)

    def _run(self, *arguments: object) -> None:
        texts = [str(each) for each in arguments]
        log.info("mugv-jax %s", shlex.join(texts))
        self.command(texts)


STAGES = (
    "world", "clips", "text", "vae_spatial", "vae_temporal", "vae_longer", "vae_decoder", "vae",
    "samples", "dit", "files", "scores",
)  # fmt: skip


def train(recipe: Recipe, *, until: str = STAGES[-1]) -> None:
    """Runs the stages up to `until` in order; a stage that has finished before is skipped."""
    for name in STAGES[: STAGES.index(until) + 1]:
        mark = recipe.root / f"{name}.{DONE}"
        if not mark.exists():
            log.info("--- %s", name)
            recipe.root.mkdir(parents=True, exist_ok=True)
            getattr(recipe, name)()
            write_whole(mark, b"")
