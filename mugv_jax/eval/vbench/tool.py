# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""VBench's own tool as a subprocess, one dimension at a time.

    VBench        vbench evaluate --dimension D ...         of the package vbench
                  vbench static_filter ...                  before temporal flickering
    VBench-I2V    python evaluate_i2v.py --dimension D ...  in a checkout of its repository

A dimension that the folder of results has is not measured again. The tool ends with status 0 also
when it fails, so that what counts is whether it wrote the result.
"""

import dataclasses
import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mugv_jax.eval.vbench.prompts import FLICKERING, SUFFIX
from mugv_jax.eval.vbench.suites import I2V, Suite
from mugv_jax.eval.vbench.totals import RESULTS, read_results
from mugv_jax.files import shortened
from mugv_jax.progress import Bar

log = logging.getLogger(__name__)

EXECUTABLE, SCRIPT = "vbench", "evaluate_i2v.py"
FILTERED = "filtered_videos"
UNSAFE = '"$`\\'  # the tool pastes paths into a command of a shell
REPOSITORY = "https://github.com/Vchitect/VBench"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tool:
    """How the tool is run.

    vbench: the executable, or for VBench-I2V the checkout of the repository.
    python: interpreter of the checkout's packages.
    suite: what is measured.
    info: list of prompts; None for the tool's own.
    ratio: aspect ratio of the pictures, of VBench-I2V.
    gpus: number of GPUs, of VBench.
    local: models are those in its cache, and none are downloaded.

    Raises:
        ValueError: the tool is not there.
    """

    vbench: str
    suite: Suite
    python: str = "python"
    info: Path | None = None
    ratio: str = "16-9"
    gpus: int = 1
    local: bool = False

    def __post_init__(self):
        if self.suite is I2V:
            if not (Path(self.vbench) / SCRIPT).is_file():
                raise ValueError(
                    f"{shortened(self.vbench)!r} is no checkout of VBench ({SCRIPT}): git clone "
                    f"{REPOSITORY}, install its requirements, and give --vbench FOLDER."
                )
            found = shutil.which(self.python)
        else:
            found = shutil.which(self.vbench)
        if found is None:
            missing = self.python if self.suite is I2V else self.vbench
            raise ValueError(
                f"{shortened(missing)!r} is not installed: pip install vbench, in an environment "
                "of its own, since it needs NumPy below 2; then give --vbench PATH."
            )

    def measure(
        self, videos: Path, results: Path, dimensions: Sequence[str], *, anew: bool = False
    ) -> None:
        """Measures what `results` lacks of the dimensions of the videos.

        anew: measure all of them, and remove earlier results first.

        Raises:
            ValueError: other files beside the videos, or a dimension without a result.
        """
        videos, results = videos.absolute(), results.absolute()  # the tool may run elsewhere
        _check(videos, results)
        results.mkdir(parents=True, exist_ok=True)
        if anew:
            for path in results.rglob(RESULTS):
                path.unlink()
        known = _known(results)
        todo = [name for name in dimensions if name not in known]
        done = len(dimensions) - len(todo)
        with Bar(self.suite.title, total=len(dimensions), done=done, unit="dimension") as bar:
            for name in todo:
                with bar.doing(name):
                    self._measure(videos, results, name)
                bar.update()

    def _measure(self, videos: Path, results: Path, name: str) -> None:
        log_file = results / f"{name}.log"
        if name == FLICKERING and self.suite is not I2V:
            static = results / "static"
            self._run(["static_filter", "--videos_path", videos, "--result_path", static], log_file)
            videos = static / FILTERED
        self._run(self._evaluation(videos, results, name), log_file)
        if name not in _known(results):
            lines = log_file.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ValueError(
                f"{self.suite.title}'s tool has no result for {name} ({shortened(lines[-1])}): "
                f"see {log_file}."
            )

    def _evaluation(self, videos: Path, results: Path, name: str) -> list[str | Path]:
        words: list[str | Path] = [] if self.suite is I2V else ["evaluate"]
        words += ["--videos_path", videos, "--output_path", results, "--dimension", name]
        if self.info is not None:
            words += ["--full_json_dir", self.info.absolute()]
        if self.local:
            words += ["--load_ckpt_from_local", "True"]
        if self.suite is I2V:
            return [*words, "--ratio", self.ratio]
        return [*words, "--ngpus", str(self.gpus)]

    def _run(self, words: Sequence[str | Path], log_file: Path) -> None:
        program = [self.python, SCRIPT] if self.suite is I2V else [self.vbench]
        folder = self.vbench if self.suite is I2V else None
        with open(log_file, "ab") as file:
            done = subprocess.run(
                [*program, *map(str, words)], cwd=folder, stdout=file,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        if done.returncode:
            log.warning("%s ended with status %d.", program[-1], done.returncode)


def _known(results: Path) -> dict[str, float]:
    return read_results([results]) if list(results.rglob(RESULTS)) else {}


def _check(videos: Path, results: Path) -> None:
    """Refuses what the tool would stumble over."""
    for path in (videos, results):
        if set(UNSAFE) & set(str(path)):
            raise ValueError(f"{str(path)!r}: VBench's tool takes no path with one of {UNSAFE}.")
    if not videos.is_dir():
        raise ValueError(f"{str(videos)!r} is no folder of videos: run `eval vbench sample` first.")
    others = [name for name in sorted(os.listdir(videos)) if not name.endswith(SUFFIX)]
    if others or not os.listdir(videos):
        what = f"holds {others[0]!r}" if others else "is empty"
        raise ValueError(
            f"{str(videos)!r} {what}: VBench's tool wants a folder of {SUFFIX} files and nothing "
            "else, since it takes the suffix of whichever file comes first."
        )
