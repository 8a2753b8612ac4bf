# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Names that users of other programs type: understood, or answered with the right name.

An option is looked up in this order, and the first that fits counts:

    our own name with underscores (--negative_prompt), or the older --out    read as ours
    a name with the same value elsewhere (--num_frames, --cfg_scale)         read as ours, and noted
    a name whose value has another form here (--height, --offload_model)     answered
    anything else                                                            the nearest of ours
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

# Our option, or positional argument -> its names in diffusers, Wan, HunyuanVideo, CogVideoX and
# musubi-tuner. Hyphens stand for underscores too.
SYNONYMS = {
    "prompt": ("prompt", "text", "caption"),
    "prompts": ("prompt-file", "prompts-file", "from-file", "prompt-path", "txt-path"),
    "negative-prompt": ("neg-prompt", "n-prompt", "uncond-prompt"),
    "frames": ("num-frames", "frame-num", "video-length", "n-frames", "num-output-frames"),
    "fps": ("frame-rate", "output-fps", "export-fps"),
    "steps": (
        "num-inference-steps", "infer-steps", "inference-steps", "sample-steps", "sampling-steps",
        "num-steps", "num-sampling-steps",
    ),
    "guidance": (
        "guidance-scale", "cfg-scale", "cfg", "sample-guide-scale", "guide-scale",
        "embedded-cfg-scale",
    ),
    "shift": ("flow-shift", "sample-shift", "timestep-shift"),
    "seed": ("base-seed", "manual-seed", "random-seed"),
    "output": (
        "output-path", "output-file", "output-dir", "save-path", "save-file", "save-dir",
        "out-path", "out-dir", "outfile",
    ),
    "overwrite": ("force", "overwrite-output"),
    "weights": (
        "ckpt-dir", "ckpt-path", "ckpt", "model-path", "model-dir", "model-id", "checkpoint",
        "checkpoint-path", "pretrained-model-name-or-path", "pretrained-model-path",
    ),
    "lora": ("lora-path", "lora-weight", "lora-weights", "lora-dir", "adapter", "adapter-path"),
    "text-encoder": ("t5", "t5-path", "text-encoder-path"),
    "image": ("image-path", "image-start", "init-image", "first-image", "first-frame", "i2v-image"),
    "last-image": ("end-image", "image-end", "end-image-path", "last-frame", "last-image-path"),
    "video": ("video-path", "input-video", "input"),
    "strength": ("denoising-strength", "denoise-strength"),
    "config": ("config-file", "config-path"),
}  # fmt: skip
SILENT = {"out": "output"}  # older names of our own
SIZE = "--size WIDTHxHEIGHT, such as --size 1280x720"
MESH = "--mesh, such as --mesh sequence=2,tensor=4"
MEMORY = (
    "models are loaded one at a time anyway; --offload keeps the DiT's layers on the host, and "
    "--quantize int8 and --vae-tile 512 save memory"
)
DTYPE = "--dtype bfloat16 or float32"
ANSWERS = {
    **dict.fromkeys(
        ("height", "width", "resolution", "video-size", "sample-size", "image-size"), SIZE
    ),
    **dict.fromkeys(
        ("ulysses-size", "ring-size", "ulysses-degree", "ring-degree", "tp-size", "cfg-parallel"),
        MESH,
    ),
    **dict.fromkeys(
        ("offload-model", "cpu-offload", "enable-model-cpu-offload", "use-cpu-offload",
         "blocks-to-swap", "t5-cpu"),
        MEMORY,
    ),
    **dict.fromkeys(
        ("vae-tiling", "enable-vae-tiling", "use-vae-tiling"), "--vae-tile PIXELS, such as 512"
    ),
    **dict.fromkeys(("bf16", "fp32", "precision", "torch-dtype", "mixed-precision"), DTYPE),
    **dict.fromkeys(("fp8", "int8", "use-fp8", "quantization"), "--quantize int8 or fp8"),
    **dict.fromkeys(
        ("num-videos", "num-videos-per-prompt", "num-samples", "n-samples"),
        "one prompt for each video, or --prompts FILE with a seed in every row",
    ),
    "device": "--mesh for several devices; JAX_PLATFORMS=cpu chooses the processor",
    "resume": "nothing: the same command goes on where it stopped",
    "task": "nothing: --image, --last-image and the like say what is given",
}  # fmt: skip
COMMANDS = {
    **dict.fromkeys(("infer", "inference", "sample", "t2v", "i2v", "run", "predict"), "generate"),
    **dict.fromkeys(("upscale", "super-resolution", "superres", "sr"), "enhance"),
    **dict.fromkeys(("preprocess", "precompute", "dataset"), "data"),
    "merge": "convert", "export": "convert", "evaluate": "eval", "benchmark": "eval",
    "lora": "finetune", "fine-tune": "finetune",
}  # fmt: skip
CLOSE = 0.7  # similarity of names, 1 for equal ones


class Read(NamedTuple):
    """Arguments as a parser takes them.

    notes: what was understood, one sentence each.
    unknown: a part of an error message for each option that was not.
    """

    arguments: list[str]
    notes: list[str]
    unknown: list[str]


def read(arguments: Sequence[str], own: Collection[str], positional: Collection[str]) -> Read:
    """Arguments with the options of other programs replaced by our own.

    own: options of the parser, such as "--frames".
    positional: its positional arguments; a synonym of one loses its name and goes to the end.
    """
    kept, last, notes, unknown = [], [], [], []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            return Read([*kept, *last, argument, *left], notes, unknown)
        option, equals, value = argument.partition("=")
        if not _is_option(option) or option in own:
            kept.append(argument)
            continue
        ours, noted = _understood(option, own, positional)
        if ours is None:
            unknown.append(f"{option}{_remark(option, own, positional)}")
            continue
        if noted:
            notes.append(f"{option} is read as {ours}.")
        if ours.startswith("--"):
            kept.append(f"{ours}{equals}{value}")
        elif equals:
            last.append(value)
        elif left:
            last.append(left.pop(0))
    return Read([*kept, *last], notes, unknown)


def _is_option(text: str) -> bool:
    return text.startswith("--") and len(text) > 2 and not any(map(str.isspace, text))


def _understood(
    option: str, own: Collection[str], positional: Collection[str]
) -> tuple[str | None, bool]:
    """Our name of an option, or None, and whether a note on it is due."""
    name = option[2:].lower().replace("_", "-")
    plain = SILENT.get(name, name)
    if f"--{plain}" in own:
        return f"--{plain}", False
    for ours, others in SYNONYMS.items():
        if name in others:
            if f"--{ours}" in own:
                return f"--{ours}", True
            if ours in positional:
                return ours, True
    return None, False


def _remark(option: str, own: Collection[str], positional: Collection[str]) -> str:
    """What to say after the name of an option that was not understood."""
    name = option[2:].lower().replace("_", "-")
    answer = ANSWERS.get(name)
    if answer is not None and (not answer.startswith("--") or answer.split()[0] in own):
        return f" (here it is {answer})"
    if name in ("out", "output", *SYNONYMS["output"]) and "dst" in positional:
        return " (here the place to write, DST, is given without an option)"
    guess = nearest(option.lower().replace("_", "-"), own)
    return f" (did you mean {guess}?)" if guess else ""


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that is most like `name`, or one that begins with it; None without one."""
    import difflib  # slow to import, and only mistakes need it

    names = {each.lstrip("-"): each for each in sorted(known)}
    bare = name.lstrip("-")
    close = difflib.get_close_matches(bare, names, n=1, cutoff=CLOSE)
    begun = [each for each in names if len(bare) > 1 and each.startswith(bare)]
    return names[(close or begun)[0]] if close or begun else None


def nearest_command(name: str, known: Collection[str]) -> str | None:
    """The command that `name` may stand for, or None."""
    named = COMMANDS.get(name.lower().replace("_", "-"))
    return named if named in known else nearest(name, known)
