# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's weights as the package ships them, exported from the runs that trained them.

The folder holds averaged weights (EMA) as bfloat16 safetensors under their published names, the
text encoder with its vocabulary, `defaults.json`, and the picture that `make demo` animates.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from mugv_jax.demo.text.run import CONFIG, PIECES, WEIGHTS
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import WORLDS
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import read_config
from mugv_jax.weights.staging import temporary_folder

MAX_BYTES = 32 * 10**6
DIT = "dit.safetensors"
PROBE = "a red star moves left"
PICTURE = 19  # number of the `unseen` clip whose first frame is shipped: a yellow box that rises
# Content of defaults.json. Steps and guidance are the best measured (assets/demo/README.md).
DEFAULTS = {
    "size": "64x64",
    "frames": "17",
    "fps": 8,
    "conditioning_fps": 8,
    "steps": 8,
    "shift": 1,
    "guidance": 3.0,
    "negative_prompt": "",
    "aesthetic_score": None,
}


def export(
    dit: Path, vae: Path, text: Path, out: Path, defaults: Mapping[str, Any] = DEFAULTS
) -> dict[str, int]:
    """Writes the weights to the folder `out`; returns the size of each file in bytes, by name.

    dit, vae: training runs that kept averaged weights.
    text: folder of a T5 encoder.
    defaults: content of `defaults.json`.
    Other files in `out`, such as the model card, are kept.

    Raises:
        ValueError: runs that cannot be read or do not fit together, or files of more than
            `MAX_BYTES`; `out` is then left as it was.
    """
    with temporary_folder(out, ".partial-") as folder:
        convert(dit, folder / DIT, kind="mugv_dit", ema=True, dtype="bfloat16")
        convert(vae, folder / "vae.safetensors", kind="mugv_vae", ema=True, dtype="bfloat16")
        encoder = folder / "text_encoder" / WEIGHTS
        convert(text, encoder, kind="t5_encoder", dtype="bfloat16")
        for name in (CONFIG, PIECES):
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
    """Size in bytes of each file; the folder must hold a whole system of at most `MAX_BYTES`."""
    models = MugvModels.from_pretrained(folder)
    models.tokenize([PROBE])
    for name, run in (("dit", dit), ("vae", vae)):
        (kind,) = models.config.KINDS[name]
        trained, told = read_config(run, kind)[1], getattr(models.config, name)
        if isinstance(trained, VAEConfig):  # published weights include the scaling factor
            trained = dataclasses.replace(trained, scaling_factor=VAEConfig.scaling_factor)
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
