# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's weights as the package ships them, from the runs that trained them.

    python -m mugv_jax.demo.export --dit runs/dit --vae runs/vae --text demo_text \\
        --out mugv_jax/assets/demo

writes averaged weights (EMA) as bfloat16 safetensors under their published names, the text
encoder with its vocabulary, `defaults.json`, and the picture that `make demo` sets in motion.
The model card beside them stays as it is.
"""

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import WORLDS
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import read_config

MAX_BYTES = 32 * 10**6
TEXT_FILES = ("config.json", "spiece.model")
PROBE = "a red star moves left"
PICTURE = 19  # of the split that training never saw: the first frame of a yellow box that rises


def export(
    dit: Path, vae: Path, text: Path, out: Path, defaults: Mapping[str, Any]
) -> dict[str, int]:
    """Writes the folder `out`; the bytes of each file, by its name there.

    dit, vae: training runs that kept an average.  text: folder of a T5 encoder.
    defaults: what `defaults.json` says.

    Raises:
        ValueError: runs that cannot be read or do not fit together, or more than `MAX_BYTES`.
            Nothing is changed then.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=out) as partial:
        folder = Path(partial)
        convert(dit, folder / "dit.safetensors", kind="mugv_dit", ema=True, dtype="bfloat16")
        convert(vae, folder / "vae.safetensors", kind="mugv_vae", ema=True, dtype="bfloat16")
        encoder = folder / "text_encoder" / "model.safetensors"
        convert(text, encoder, kind="t5_encoder", dtype="bfloat16")
        for name in TEXT_FILES:
            shutil.copyfile(text / name, encoder.parent / name)
        (folder / "defaults.json").write_text(json.dumps(defaults, indent=2) + "\n")
        clips = DemoClips(split="unseen", count=PICTURE + 1, world=WORLDS["small"])
        Image.fromarray(clips[PICTURE].video[0]).save(folder / "picture.png")
        sizes = _check(folder, dit, vae)
        for name in sizes:
            (out / name).parent.mkdir(exist_ok=True)
            (folder / name).replace(out / name)
    return sizes


def _check(folder: Path, dit: Path, vae: Path) -> dict[str, int]:
    """Bytes by file of a folder that holds one whole system, and is small enough."""
    models = MugvModels.from_pretrained(folder)
    models.tokenize([PROBE])
    for name, run in (("dit", dit), ("vae", vae)):
        (kind,) = models.config.KINDS[name]
        trained, told = _in_a_file(read_config(run, kind)[1]), getattr(models.config, name)
        if told != trained:
            raise ValueError(
                f"{run} has sizes that leave no trace in a published file, which would be read as "
                f"{told}, not as {trained}. Train with the published values of those."
            )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    if sum(sizes.values()) > MAX_BYTES:
        listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
        raise ValueError(
            f"{sum(sizes.values()) / 1e6:.1f} MB are more than the {MAX_BYTES / 1e6:.0f} MB that "
            f"the package may carry: {listed}. Train smaller models."
        )
    return sizes


def _in_a_file(config: Any) -> Any:
    """Sizes as a published file has them: the VAE's scaling factor is in its weights there."""
    if not isinstance(config, VAEConfig):
        return config
    return dataclasses.replace(config, scaling_factor=VAEConfig.scaling_factor)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dit", type=Path, required=True, help="training run of the DiT")
    parser.add_argument("--vae", type=Path, required=True, help="training run of the VAE")
    parser.add_argument("--text", type=Path, required=True, help="folder of the text encoder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=8, help="best measured [%(default)s]")
    parser.add_argument("--guidance", type=float, default=3.0, help="best measured [%(default)s]")
    args = parser.parse_args(arguments)
    defaults = {
        "size": "64x64",
        "frames": "17",
        "fps": 8,
        "conditioning_fps": 8,
        "steps": args.steps,
        "shift": 1,
        "guidance": args.guidance,
        "negative_prompt": "",
        "aesthetic_score": None,
    }
    try:
        sizes = export(args.dit, args.vae, args.text, args.out, defaults)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for name, size in sizes.items():
        sys.stdout.write(f"{size / 1e6:6.2f} MB  {name}\n")
    sys.stdout.write(f"{sum(sizes.values()) / 1e6:6.2f} MB  {args.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
