# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's weights, from nothing: clips, text encoder, VAE, samples, DiT, files, scores.

    python -m mugv_jax.demo.recipe --out runs/demo

Stages that are finished are skipped and one that was stopped goes on, so that the same command does
it all however often it is interrupted. `--until vae` ends after a stage. What a stage trains is in
`configs/vae_demo*.py` and `configs/mugv_demo.py`; docs/demo.md tells how long each takes.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mugv_jax import cli
from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo import export as demo_export
from mugv_jax.demo.text import command as demo_text
from mugv_jax.demo.world import command as demo_world
from mugv_jax.demo.world.scene import WORLDS

CLIPS, PICTURES, HELD_OUT = 6144, 2048, 128
PICTURE_SEED = 7  # other scenes than those of the clips
WORLD = "small"
# The temporal half again, and then its decoder alone: the latents stay as they are.
LONGER = ("optimizer.learning_rate=5e-3", "run.steps=2400", "run.seed=1")
ENCODER = "('^spatial_','^temporal_encoder','^quant_conv')"
DECODER = ("optimizer.learning_rate=5e-3", "run.steps=2200", "run.seed=5",
           f"optimizer.freeze={ENCODER}")  # fmt: skip
DONE = "done"  # suffix of an empty file beside the folders

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The stages, each a method that fills its folder below `root`, in the order of STAGES."""

    root: Path
    assets: Path

    def folder(self, name: str) -> str:
        return str(self.root / name)

    def world(self) -> None:
        """Clips to train the VAE on, as a TFDS data set."""
        import tensorflow_datasets as tfds

        import mugv_jax.demo.world.builder  # noqa: F401 (registers it)

        counts = {"train": CLIPS, "validation": HELD_OUT, "unseen": HELD_OUT}
        builder = tfds.builder(
            "demo_world", world=WORLDS[WORLD], counts=counts, data_dir=self.folder("world")
        )
        builder.download_and_prepare()

    def clips(self) -> None:
        """The same clips and first frames of others, as files to encode."""
        shared = ["--world", WORLD, "--split", "train"]
        run(demo_world.main, *shared, "--count", CLIPS, "--out", self.folder("clips"))
        pictures = ["--pictures", "--seed", PICTURE_SEED, "--count", PICTURES]
        run(demo_world.main, *shared, *pictures, "--out", self.folder("pictures"))

    def text(self) -> None:
        """The vocabulary and the text encoder."""
        run(demo_text.main, "--out", self.folder("weights/text_encoder"))

    def vae_spatial(self) -> None:
        self._train_vae("vae_demo_spatial", "vae_spatial")

    def vae_temporal(self) -> None:
        self._train_vae("vae_demo_temporal", "vae_temporal", start="vae_spatial")

    def vae_longer(self) -> None:
        self._again("vae_longer", LONGER, start="vae_temporal")

    def vae_decoder(self) -> None:
        self._again("vae_decoder", DECODER, start="vae_longer")

    def vae(self) -> None:
        self._train_vae("vae_demo", "vae", start="vae_decoder")
        target = self.folder("weights/vae.safetensors")
        mugv("convert", self.folder("vae"), target, "--ema", "--dtype", "bfloat16", "--overwrite")

    def samples(self) -> None:
        """Latents and text states of all clips and pictures."""
        for kind in ("clips", "pictures"):
            source = self.folder(f"{kind}/captions.csv")
            options = ["--size", "64x64", "--fps", 8, "--text-batch", 64]
            folders = ["--weights", self.folder("weights"), "--out", self.folder(f"{kind}_encoded")]
            mugv("data", "encode", source, *options, *folders)

    def dit(self) -> None:
        paths = tuple(self.folder(f"{kind}_encoded") for kind in ("clips", "pictures"))
        self._train("train", "mugv_demo", "dit", f"--config.data.paths={paths!r}")

    def files(self) -> None:
        """What the package ships."""
        runs = [f"--{name}={self.folder(name)}" for name in ("dit", "vae")]
        text = self.folder("weights/text_encoder")
        run(demo_export.main, *runs, f"--text={text}", f"--out={self.assets}")

    def scores(self) -> None:
        shared = ["--weights", self.assets]
        mugv("eval", "demo", *shared, "--clips", 200, "--out", self.folder("scores"))
        for values in ("guidance=1,1.5,2,3,4,6", "steps=4,8,12,20,30"):
            sweep = ["--sweep", values, "--clips", 100, "--out", self.folder("sweeps")]
            mugv("eval", "demo", *shared, *sweep)

    def _again(self, folder: str, fields: Sequence[str], *, start: str) -> None:
        """The temporal half once more, with some fields of its config changed."""
        changed = [f"--config.{each}" for each in fields]
        self._train_vae("vae_demo_temporal", folder, *changed, start=start)

    def _train_vae(self, config: str, folder: str, *more: str, start: str = "") -> None:
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
        mugv(command, "--config", file, "--output", self.folder(folder), *options)


STAGES = (
    "world", "clips", "text", "vae_spatial", "vae_temporal", "vae_longer", "vae_decoder", "vae",
    "samples", "dit", "files", "scores",
)  # fmt: skip


def mugv(*arguments: object) -> None:
    """`mugv-jax` with these arguments."""
    run(cli.main, *arguments)


def run(main: Callable[[list[str]], int], *arguments: object) -> None:
    """One command; what it refuses ends all."""
    texts = [str(each) for each in arguments]
    log.info("%s %s", main.__module__, " ".join(texts))
    status = main(texts)
    if status:
        sys.exit(status)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of everything")
    parser.add_argument(
        "--assets",
        type=Path,
        default=Path("mugv_jax/assets/demo"),
        help="of the files [%(default)s]",
    )
    parser.add_argument(
        "--until", choices=STAGES, default=STAGES[-1], help="last stage [%(default)s]"
    )
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = Recipe(args.out, args.assets)
    for name in STAGES[: STAGES.index(args.until) + 1]:
        mark = args.out / f"{name}.{DONE}"
        if not mark.exists():
            log.info("--- %s", name)
            args.out.mkdir(parents=True, exist_ok=True)
            getattr(recipe, name)()
            write_whole(mark, b"")
    return 0


if __name__ == "__main__":
    sys.exit(main())
