# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Bad options, paths, prompts and output folders: generators of cases.

A generator takes a random source and an empty folder, writes the files that it needs there, and
returns the case, which is run in that folder.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz.verdict import Case

CONFIGS = Path(__file__).parents[2] / "configs"
DEBUG, TRAIN = str(CONFIGS / "mugv_debug.py"), str(CONFIGS / "mugv_debug.py")
ENHANCER, VAE = str(CONFIGS / "enhancer_debug.py"), str(CONFIGS / "vae_demo.py")
NO_NUMBERS = ("nan", "inf", "-inf", "1e308", "9" * 30, "9" * 5000, "1e999", "", "x", "0x1F", "1,5")
RANDOM = ("--random-weights", "--config", DEBUG)
NUMBERS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("generate", "a boat"): (
        "upscale", "fps", "steps", "shift", "seed", "guidance", "guidance-rescale", "strength",
        "continue-frames", "reuse-threshold", "conditioning-fps", "aesthetic-score", "vae-tile",
    ),
    ("enhance", "--video", "v.mp4", "--out", "o.mp4"): (
        "steps", "sigma", "window", "overlap", "seed", "guidance", "lora-scale", "lora-alpha",
    ),
    ("data", "encode", "list.csv", "--out", "o", *RANDOM): (
        "fps", "pixels", "text-batch", "threads", "max-bad", "shard-index", "shard-count",
    ),
    ("data", "pack", "s", "o"): ("shards", "max-bad"),
    ("expand", "a.pt", "b.pt"): ("factor", "depth", "noise", "seed", "tensor-parallel"),
    ("average", "a.pt", "b.pt", "c.pt"): ("decay", "last"),
    ("convert", "a.pt", "b.pt"): ("lora-alpha", "tensor-parallel"),
    ("info", DEBUG): ("devices", "steps", "vae-tile"),
    ("compile", "--config", DEBUG, "--topology", "v5e:1x1"): ("batch", "search"),
    ("verify", "d"): ("tolerance",),
    ("curriculum", "--stages", DEBUG, "--output", "o"): ("noise", "processes", "process"),
    ("train", "--config", DEBUG, "--output", "o"): ("processes", "process"),
    ("demo", "world", "--split=train", "--count=1", "--out=o"): ("count", "seed", "frames", "fps"),
    ("eval", "demo", "--out", "o"): ("clips", "seed", "frames", "fps", "steps", "batch"),
}  # fmt: skip
TEXTS: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {
    ("generate", "a boat"): (
        ("size", "0x0"), ("size", "99999999999x8"), ("size", "x"), ("size", "64"), ("size", "½x8"),
        ("frames", "0"), ("frames", "9" * 400), ("frames", "3h"), ("frames", "-9"),
        ("guidance-interval", "1"), ("guidance-interval", "nan,nan"), ("mesh", "data=0"),
        ("guidance-interval", "0.9,0.1"), ("mesh", "data=99999999999"), ("mesh", "paint=2"),
        ("mesh", "data=2,data=2"), ("mesh", "=,="), ("keyframe", "x=y.png"), ("keyframe", "=1"),
        ("keyframe", "99999999999=p.png"), ("keyframe", "3"), ("keyframe", "-1=PNG"),
        ("dtype", "int4"), ("attention", "cudnn"), ("attention", "hopper"), ("attention", "magic"),
        ("quantize", "int1"), ("model", "sora"), ("upscale", "0"), ("upscale", "999999"),
        ("vae-tile", "7"), ("steps", "0"), ("seed", "-1"), ("shift", "0"), ("fps", "0"),
        ("strength", "0.5"), ("negative-prompt", "\udcff"), ("aesthetic-score", "-1"),
    ),
    ("compile", "--config", DEBUG): tuple(
        ("topology", text)
        for text in ("v5p:0x0x0", "v5p:", "v5p:1", "v5p:99999x9x9", "h200:0", "h200:99999999999",
                     "", "tpu", "v5p:-1x2x2", "v5p:1x1x1x1x1", "v5p:²x2x2", ":", "v9z:2x2")
    ),
    ("info", DEBUG): (
        ("size", "0x0"), ("size", "1x1"), ("frames", "-1"), ("mesh", "tensor=999999999"),
        ("mesh", "tensor=-1"), ("mesh", "tensor=¹"), ("devices", "0"), ("devices", "-7"),
    ),
    ("train", "--config", TRAIN, "--output", "o"): (
        ("config.run.seed", "-1"), ("config.run.seed", "9" * 25), ("config.run.seed", "1e400"),
        ("config.run.remat", "bogus"), ("config.run.steps", "0"), ("config.run.steps", "True"),
        ("config.run.steps", "9" * 5000), ("config.data.paths", "nowhere"), ("config.run", "1"),
        ("config.data.paths", "('nowhere',)"), ("config.optimizer.learning_rate", "nan"),
        ("config.optimizer.learning_rate", "1e999"), ("config.run.weights", "nowhere.pt"),
        ("config.run.steps", "(" * 5000), ("config.run.steps", "[" * 90 + "]" * 90),
        ("config..", "1"), ("config.run.none", "1"), ("config.mesh.tensor", "99999999999"),
        ("config.kernels.attention", "cudnn"), ("config.dit.width", "-288"),
        ("config.dit.depth", str(10**17)), ("config.lora.rank", "-3"), ("config.ema.decay", "inf"),
        ("coordinator", "x"), ("processes", "2"), ("compile-cache", "/proc/cache"),
    ),
    ("train", "--config", TRAIN, "--output", "o", "--distributed"): (
        ("coordinator", "x"), ("coordinator", ":"), ("coordinator", "h:99999999"),
    ),
}  # fmt: skip
PATHS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("generate", "a boat"): (
        "weights", "dit", "lora", "text-encoder", "tokenizer", "image", "last-image",
        "continue-video", "init-video", "output", "contact-sheet", "config",
    ),
    ("enhance", "--random-weights", "--config", ENHANCER, "--out", "o.mp4"): ("video",),
    ("convert",): ("", "lora"),
    ("info",): ("",),
    ("expand", "--factor", "2"): ("",),
    ("average", "--decay", "0.5"): ("",),
    ("verify",): ("",),
    ("data", "encode", "--out", "o", *RANDOM): ("",),
    ("data", "pack"): ("",),
    ("train", "--output", "o"): ("config",),
    ("train", "--config", TRAIN): ("output",),
    ("curriculum", "--output", "o"): ("stages",),
    ("data", "describe"): ("config",),
}  # fmt: skip
SUFFIXES = (".pt", ".safetensors", ".mp4", ".png", ".csv", ".py", "", ".json", ".jsonl")


def numbers(rng: Random, here: Path) -> Case:
    """A numeric option with a value that is none, or out of all proportion."""
    base = rng.choice(list(NUMBERS))
    option, value = rng.choice(NUMBERS[base]), rng.choice(NO_NUMBERS)
    (here / "list.csv").write_text("path,caption\na.mp4,a boat\n")
    named = (option.replace("-", "_"), f"--{option}", option.replace("-", " "))
    return Case(f"number {option}={value[:12]}", (*base, f"--{option}={value}"), named)


def texts(rng: Random, _: Path) -> Case:
    """An option with its own syntax, broken."""
    base = rng.choice(list(TEXTS))
    option, value = rng.choice(TEXTS[base])
    named = (
        option.split(".")[-1].replace("-", "_"), option.replace("-", " "), f"--{option}", option,
        value[:20] or "empty", "width", "null_text", "libtpu", "cuda13",
    )  # fmt: skip
    return Case(f"text {option}={value[:12]}", (*base, f"--{option}={value}"), named)


def paths(rng: Random, here: Path) -> Case:
    """A path to what is no file: a folder, pipe, device, circle of links, or an endless name."""
    base = rng.choice(list(PATHS))
    option = rng.choice(PATHS[base])
    what, path = _odd_path(rng, here, rng.choice(SUFFIXES))
    given = (f"--{option}={path}",) if option else (path,)
    if base[0] in ("convert", "expand", "average", "data") and "encode" not in base:
        given = (*given, "made") if base[-1] != "describe" else given
    if base[0] == "average":
        given = (given[0], "b.pt", "made")
    if option == "lora":
        given = ("src.pt", *given)
    argv = (*base, *given)
    named = (path[:40], option or "path", Path(path).name[:30] or "empty", "empty", "required",
             "src.pt", "continue_frames", "\\udcff")  # fmt: skip
    return Case(f"path {what} --{option}", argv, named)


def _odd_path(rng: Random, here: Path, suffix: str) -> tuple[str, str]:
    what = rng.choice(
        ("missing", "folder", "pipe", "device", "loop", "deep", "long", "empty", "blank", "home",
         "bytes", "in_file", "loop_folder")
    )  # fmt: skip
    name = f"odd{suffix}"
    if what == "folder":
        (here / name).mkdir()
    elif what == "pipe":
        os.mkfifo(here / name)
    elif what == "device":
        (here / name).symlink_to("/dev/zero")
    elif what == "loop":
        (here / name).symlink_to(name)
    elif what == "loop_folder":
        (here / "loop").symlink_to("loop")
        name = f"loop/{name}"
    elif what == "deep":
        name = "/".join(["f"] * rng.choice((150, 700, 2500)) + [name])
    elif what == "long":
        name = "n" * rng.choice((300, 5000)) + suffix
    elif what == "in_file":
        (here / "file").write_text("")
        name = f"file/{name}"
    else:
        name = {
            "empty": "",
            "blank": "  ",
            "home": f"~nobody-here/{name}",
            "bytes": "\udcff\udc80",
        }.get(what, name)
    return what, name


def prompts(rng: Random, _: Path) -> Case:
    """A prompt that is empty or no valid text."""
    bad = rng.choice(("", " ", "\t\n", "\udcff", "a boat \ud800", "nul\0", "\udc80" * 3000))
    where = rng.choice(("prompt", "negative", "second"))
    if where == "negative" and bad.strip():
        argv = ("generate", "a boat", f"--negative-prompt={bad}")
    else:
        argv = ("generate", *(["a boat"] if where == "second" else []), bad)
    return Case(f"prompt {bad[:6]!a}", argv, ("prompt",))


def outputs(rng: Random, here: Path) -> Case:
    """An output folder or file that holds something else, or cannot be made."""
    what = rng.choice(
        ("train.csv", "_METADATA", "dataset_info.json", "model.safetensors", "dit.pt")
    )
    taken = here / "taken"
    taken.mkdir()
    (taken / what).write_text("kept")
    (here / "file").write_text("kept")
    (here / "list.csv").write_text("path,caption\na.mp4,a boat\n")
    place = rng.choice(("taken", "taken", "file", "file/below", "/proc/made"))
    commands = (
        ("train", "--config", TRAIN, "--output", place),
        ("train-vae", "--config", VAE, "--output", place),
        ("curriculum", "--stages", TRAIN, "--output", place),
        ("data", "encode", "list.csv", "--out", place, *RANDOM),
        ("data", "pack", "nowhere", place),
        ("demo", "world", "--split", "train", "--count", "1", "--out", place),
        ("eval", "demo", "--out", place, "--clips", "1"),
        ("generate", "a boat", "-o", f"{place}" if place == "taken" else f"{place}/v.mp4"),
        ("generate", "a boat", "-o", "v.gif"),
        ("enhance", "--video", ".", "--out", place, "--random-weights", "--config", ENHANCER),
        ("convert", "a.pt", place),
    )
    return Case(
        f"output {place} {what}",
        rng.choice(commands),
        (place, "nowhere", "a.pt", "v.gif", ".", "paths", "config"),
    )


def commands(rng: Random, _: Path) -> Case:
    """A command line that argparse refuses."""
    argv = rng.choice(
        (
            (), ("paint",), ("generate",), ("--what",), ("info",), ("convert", "a"),
            ("generate", "x", "--" + "o" * 9000), ("data",), ("data", "paint"), ("expand", "a"),
            ("info", DEBUG, "--devices", "2", "--mesh", "data=2"), ("generate", "-o"),
            ("average", "a", "b"), ("train",), ("compile", "--config", DEBUG), ("demo",),
            ("info", DEBUG, "x" * 100_000), ("convert", "a", "b", "--format", "gguf"),
            ("generate", "x", "--random-weights"), ("info", DEBUG, "--config.run.seed=1"),
        )
    )  # fmt: skip
    return Case("command", argv, ())


GENERATORS: tuple[Callable[[Random, Path], Case], ...] = (
    numbers, texts, paths, prompts, outputs, commands,
)  # fmt: skip
