# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Build wheel and sdist, install them into fresh environments, and use them in an empty folder.

    python tools/check_wheel.py                        # by the Python that runs this
    python tools/check_wheel.py --python 3.12 3.13     # by others, where they are installed

Nothing of the checkout is reachable from there: the demo's weights and the configs must come out of
the package. The compiler optimizes little, since the programs run only once.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Commands in the empty folder -> files that they leave.
COMMANDS = {
    "mugv-jax --help": (),
    "mugv-jax info mugv_10b": (),
    'mugv-jax generate --steps 2 -o video.mp4 "a red star moves left"': ("video.mp4",),
    "mugv-jax demo world --split train --world small --count 3 --out clips": (
        "clips/captions.csv",
    ),
    "mugv-jax finetune clips -o runs/style --steps 2 --prior none": (
        "runs/style/adapter/adapter_model.safetensors",
    ),
    "mugv-jax --version": (),
}
AFTER_SDIST = ("mugv-jax info mugv_debug --size 64x64 --frames 9",)


def call(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a program; its output is shown if it fails, else its time."""
    begun = time.monotonic()
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(f"{time.monotonic() - begun:6.1f} s  {shlex.join(words)}", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nstatus {done.returncode}")


def check(python: str, wheel: Path, sdist: Path, folder: Path) -> None:
    """Install and use the wheel, then the sdist, with one version of Python."""
    home, empty = folder / "environment", folder / "empty"
    empty.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),  # caches of users
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_PLATFORMS": "cpu",
        "HF_HUB_OFFLINE": "1",
    }
    uv = [sys.executable, "-m", "uv"]
    call(
        [*uv, "venv", "--quiet", "--no-python-downloads", "-p", python, str(home)],
        folder,
        dict(os.environ),
    )
    install = [*uv, "pip", "install", "--quiet", "-p", str(home / "bin" / "python")]
    call([*install, str(wheel)], folder, dict(os.environ))
    for command, files in COMMANDS.items():
        call(shlex.split(command), empty, environment)
        missing = [name for name in files if not (empty / name).exists()]
        if missing:
            sys.exit(f"{command}: wrote no {', '.join(missing)}")
    call([*install, "--no-deps", "--reinstall", str(sdist)], folder, dict(os.environ))
    for command in AFTER_SDIST:
        call(shlex.split(command), empty, environment)


def main() -> None:
    """Build, then check with every Python asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    own = "{}.{}".format(*sys.version_info)
    parser.add_argument(
        "--python", nargs="+", default=[own], help="versions or paths [%(default)s]"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        dist = Path(name) / "dist"
        # The wheel is built from the sdist, so that the sdist is known to be complete.
        build = [
            sys.executable,
            "-m",
            "build",
            "--installer",
            "uv",
            "--outdir",
            str(dist),
            str(ROOT),
        ]
        call(build, ROOT, dict(os.environ))
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        for number, python in enumerate(args.python):
            folder = Path(name) / str(number)
            folder.mkdir()
            check(python, wheel, sdist, folder)
            print(f"Python {python}: wheel and sdist work.", flush=True)


if __name__ == "__main__":
    main()
