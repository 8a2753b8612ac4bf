# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Compares a curation with the truth of its corpus.

    mugv-jax data curate /tmp/held/videos --output /tmp/set
    python -m tools.curation.score /tmp/held/truth.json /tmp/set

A found transition counts within 2 frames of a cut, or where it meets a fade or dissolve, up to 3
frames from it. A fault counts as found if its threshold refuses the clip, whatever else does.
"""

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mugv_jax.curate.table import read_table
from mugv_jax.curate.thresholds import Threshold
from mugv_jax.eval.human.rates import rate

CUT_FRAMES, GRADUAL_FRAMES = 2, 3
# Fault -> threshold of the config that should refuse it.
REFUSED_BY = {
    "blur": "blur", "freeze": "freeze", "flicker": "flicker", "shake": "shake", "text": "text",
    "subtitle": "text", "watermark": "watermark", "borders": "borders",
}  # fmt: skip
MOVES_PX, MOVES_SHARE = 1.0, 0.015  # camera, and share of a foreground, that count as motion
OTHER_REASONS = {"length", "duplicate", "motion"}  # by which a good clip may go


class Tally:
    """Right and wrong answers by name."""

    def __init__(self):
        self.right: dict[str, int] = defaultdict(int)
        self.count: dict[str, int] = defaultdict(int)
        self.wrong: dict[str, list[str]] = defaultdict(list)

    def add(self, name: str, right: bool, case: str) -> None:
        """Counts one answer; `case` names it if it is wrong."""
        self.right[name] += right
        self.count[name] += 1
        if not right:
            self.wrong[name].append(case)

    def lines(self) -> Iterable[str]:
        """A line for each name."""
        for name, count in self.count.items():
            found = rate(self.right[name], count)
            yield (f"{name:32} {self.right[name]:4d} of {count:4d}  {self.right[name] / count:6.1%}"
                   f"  ({found.low:.1%} to {found.high:.1%})")  # fmt: skip


def transitions(video: Mapping[str, Any], clips: list[dict], tally: Tally) -> None:
    """Cuts and gradual transitions of one video."""
    fps = video["fps"]
    found = []
    for before, after in itertools.pairwise(clips):
        if after["before"] != "piece":
            found.append(
                (round(before["end_s"] * fps), round(after["start_s"] * fps), after["before"])
            )
    for each in video["transitions"]:
        cut = each["kind"] == "cut"
        slack = CUT_FRAMES if cut else GRADUAL_FRAMES
        near = [f for f in found if f[0] <= each["end"] + slack and f[1] >= each["first"] - slack]
        if cut:
            near = [f for f in near if f[1] - f[0] <= 2 * CUT_FRAMES]
        name = "cut" if cut else "fade or dissolve"
        tally.add(f"{name}: recall", bool(near), f"{video['name']} {each}")
        found = [f for f in found if f not in near]
        for place, one in enumerate(near):
            tally.add(f"{name}: precision", not place, f"{video['name']} {each} {one}")
    for extra in found:
        name = "cut" if extra[2] == "cut" else "fade or dissolve"
        tally.add(f"{name}: precision", False, f"{video['name']} {extra}")


def part_of(video: Mapping[str, Any], clip: Mapping[str, Any]) -> dict[str, Any]:
    """The true shot in which the middle of a clip lies."""
    middle = (clip["start_s"] + clip["end_s"]) / 2 * video["fps"]
    return min(video["shots"], key=lambda shot: abs((shot["first"] + shot["end"]) / 2 - middle))


def score(truth: Mapping[str, Any], folder: Path) -> Tally:
    """All answers of the curation in `folder`."""
    config = json.loads((folder / "curate.json").read_text())["config"]
    thresholds = {name: Threshold(**each) for name, each in config["thresholds"].items()}
    by_video: dict[str, list[dict]] = defaultdict(list)
    for row in read_table(folder / "clips.parquet"):
        by_video[Path(row["path"]).name].append(row)
    tally = Tally()
    for video in truth["videos"]:
        clips = sorted(by_video[video["name"]], key=lambda row: row["start_s"])
        if not video["copy"]:
            transitions(video, clips, tally)
        for clip in clips:
            judge(video, part_of(video, clip), clip, thresholds, tally)
    copies(truth, by_video, tally)
    return tally


def judge(
    video: Mapping, shot: Mapping, clip: Mapping, thresholds: Mapping[str, Threshold], tally: Tally
) -> None:
    """Faults, motion and fate of one clip."""
    case = f"{clip['clip']} {shot['source']} {shot['kind']} {shot['faults']}"
    wrong = set(shot["faults"])
    if video["copy"] and video["copy"]["change"] in ("subtitled", "bordered"):
        return
    for name in dict.fromkeys(REFUSED_BY.values()):
        faults = {fault for fault, by in REFUSED_BY.items() if by == name}
        refused = not thresholds[name].keeps(clip)
        value = clip[thresholds[name].column]
        if wrong & faults:
            tally.add(f"{name}: recall", refused, f"{case} {value}")
        elif not wrong:
            tally.add(f"{name}: not of good clips", not refused, f"{case} {value}")
    if not wrong and shot["camera"] is not None:
        want = shot["camera"] > 0, bool(shot["object"])
        got = clip["camera_motion"] > MOVES_PX, clip["foreground_share"] > MOVES_SHARE
        tally.add("camera and object motion", want == got, f"{case} {want} {got}")
    if not wrong and not video["copy"]:
        kept = clip["dropped_by"] is None or clip["dropped_by"] in OTHER_REASONS
        tally.add("good clips kept", kept, f"{case} {clip['dropped_by']}")


def copies(truth: Mapping[str, Any], by_video: Mapping[str, list[dict]], tally: Tally) -> None:
    """Copies that are in a group with their original, and groups that hold anything else."""
    # Shots of one view of a photograph, or of one part of a real clip, show the same.
    origin = {
        clip["clip"]: part_of(video, clip)["source"]
        for video in truth["videos"]
        for clip in by_video[video["name"]]
    }
    groups: dict[str, list[str]] = defaultdict(list)
    for clips in by_video.values():
        for clip in clips:
            if clip["group"]:
                groups[clip["group"]].append(clip["clip"])
    for video in truth["videos"]:
        if not video["copy"]:
            continue
        for clip in by_video[video["name"]]:
            others = [each for each in groups.get(clip["group"] or "", []) if each != clip["clip"]]
            found = any(origin[each] == origin[clip["clip"]] for each in others)
            tally.add(
                f"{video['copy']['kind']} copy: recall", found, f"{clip['clip']} {video['copy']}"
            )
    for members in groups.values():
        for each in members[1:]:
            tally.add("duplicates: precision", origin[each] == origin[members[0]], f"{members}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wrong", action="store_true", help="name the wrong answers too")
    args = parser.parse_args()
    tally = score(json.loads(args.truth.read_text()), args.folder)
    print("\n".join(tally.lines()))
    if args.wrong:
        for name, cases in tally.wrong.items():
            print(f"\n{name}", *cases, sep="\n  ")


if __name__ == "__main__":
    main()
