# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference pairs and binary labels from labelled samples.

    scores of one prompt  -> pairs (win, lose) with score(win) - score(lose) >= margin
    comparisons           -> pairs as they were judged
    binary                -> samples with desirable = 1 where score >= threshold

A prompt gives at most `per_prompt` pairs, so that no prompt dominates; within a prompt, samples
take turns. The files of a pair's samples become part of the folder of the pairs, by hard links
where the file system has them.
"""

import collections
import dataclasses
import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.data.published import ID, SOURCE
from mugv_jax.data.samples import CSV, EMPTY_TEXT
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.files import existing_file
from mugv_jax.post.folder import Row, columns_of, filled
from mugv_jax.post.labels import Comparison, Label, Labels

LOSE, MARGIN, DESIRABLE, SCORE = "lose_path", "margin", "desirable", "score"
LEFT_OUT = {"video_path", "seed"}  # of one sample, not of a pair; videos stay where they are


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairRule:
    """Which pairs are taken.

    margin: smallest difference of scores; a smaller one, and none at all, is a tie.
    keep_ties: take ties too, in random order, marked by tie=1.
    per_prompt: largest number of pairs of one prompt; None takes all.
    seed: chooses among a prompt's pairs.

    Raises:
        ValueError: values out of range.
    """

    margin: float = 0.0
    keep_ties: bool = False
    per_prompt: int | None = 4
    seed: int = 0

    def __post_init__(self):
        require_at_least(0, self, "margin")
        require_at_least(1, self, "per_prompt")
        require_seed("seed", self.seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two samples of one prompt.

    margin: difference of their scores; None where they were compared.
    """

    win: str
    lose: str
    prompt: str
    margin: float | None
    tie: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the labels.

    prompts: prompts with labels.  without: those of them without a pair.
    ties: pairs of samples without a difference, or with less than the margin.
    """

    pairs: int
    prompts: int
    without: int
    ties: int


def choose_pairs(rows: Sequence[Row], labels: Labels, rule: PairRule) -> tuple[list[Pair], Counts]:
    """Pairs of the labelled samples, in the order of the samples' prompts.

    Raises:
        ValueError: labels of two prompts compared, or no pair at all.
    """
    prompt_of = {row[ID]: row["prompt"] for row in rows}
    candidates: dict[str, list[Pair]] = collections.defaultdict(list)
    scores = {label.id: label.score for label in labels if isinstance(label, Label)}
    by_prompt = collections.defaultdict(list)
    for row in rows:
        if row[ID] in scores:
            by_prompt[row["prompt"]].append(row[ID])
    for prompt, ids in by_prompt.items():
        candidates[prompt] = [
            _ordered(prompt, a, b, scores, rule.margin) for a, b in itertools.combinations(ids, 2)
        ]
    for each in (label for label in labels if isinstance(label, Comparison)):
        prompt, other = prompt_of[each.win], prompt_of[each.lose]
        if prompt != other:
            raise ValueError(
                f"{each.win} and {each.lose} are of two prompts, {prompt!r} and {other!r}: compare "
                "samples of one prompt."
            )
        candidates[prompt].append(
            Pair(win=each.win, lose=each.lose, prompt=prompt, margin=None, tie=each.tie)
        )
    rng = np.random.default_rng(rule.seed)
    chosen = {prompt: _choose(own, rule, rng) for prompt, own in candidates.items()}
    pairs = [pair for own in chosen.values() for pair in own]
    ties = sum(pair.tie for own in candidates.values() for pair in own)
    if not pairs:
        most = max(map(len, candidates.values()), default=0)
        raise ValueError(
            f"no pair among {len(candidates)} prompts: "
            + (
                f"all {ties} differences are zero or below margin={rule.margin:g}; sample more "
                f"videos of each prompt{', or give a smaller --margin' * (rule.margin > 0)}."
                if most
                else "no prompt has two labelled samples; sample with --count 2 or more."
            )
        )
    without = sum(not own for own in chosen.values())
    return pairs, Counts(pairs=len(pairs), prompts=len(candidates), without=without, ties=ties)


def real_pairs(
    rows: Sequence[Row], labels: Sequence[Label], real: Sequence[Row], rule: PairRule
) -> tuple[list[Pair], Counts]:
    """Pairs whose win is the real clip of a prompt, and whose losers have the lowest scores.

    real: rows of real clips, each with the id of its prompt.

    Raises:
        ValueError: no prompt has a real clip and a labelled sample.
    """
    known = {row[ID] for row in real}
    scores = {label.id: label.score for label in labels}
    by_prompt = collections.defaultdict(list)
    for row in rows:
        if row[ID] in scores:
            by_prompt[row["prompt"]].append(row[ID])
    pairs = []
    for prompt in (each for each in by_prompt if each in known):
        lowest = sorted(by_prompt[prompt], key=scores.__getitem__)[: rule.per_prompt]
        pairs += [Pair(win=prompt, lose=name, prompt=prompt, margin=None) for name in lowest]
    if not pairs:
        raise ValueError(
            f"none of {len(by_prompt)} prompts is the {ID} of a real clip: encode the clips of the "
            "same list that the prompts are from."
        )
    without = sum(prompt not in known for prompt in by_prompt)
    return pairs, Counts(pairs=len(pairs), prompts=len(by_prompt), without=without, ties=0)


def write_pairs(pairs: Sequence[Pair], folders: Mapping[Path, Sequence[Row]], out: Path) -> None:
    """Writes pairs as `out/train.csv`, with the files that they name.

    folders: folder of samples (or real clips) -> its rows.

    Raises:
        ValueError: a pair of a normalised latent and one that is not.
    """
    by_id = {row[ID]: (folder, row) for folder, rows in folders.items() for row in rows}
    files, written = {}, []
    for pair in pairs:
        (win_folder, win), (lose_folder, lose) = by_id[pair.win], by_id[pair.lose]
        if win[SOURCE] != lose[SOURCE]:
            raise ValueError(
                f"{pair.win} has source={win[SOURCE]} and {pair.lose} {lose[SOURCE]}: both latents "
                "of a pair must be normalised (generated), or none."
            )
        own = {"latent_path": win["latent_path"], LOSE: lose["latent_path"]}
        files[own["latent_path"]] = win_folder / own["latent_path"]
        files[own[LOSE]] = lose_folder / own[LOSE]
        files[lose["text_feat_path"]] = lose_folder / lose["text_feat_path"]
        margin = "" if pair.margin is None else f"{pair.margin:.9g}"
        written.append(
            {**lose, **own, ID: f"{pair.win}_{pair.lose}"}
            | {"win": pair.win, "lose": pair.lose, MARGIN: margin, "tie": str(int(pair.tie))}
        )
    write_linked(out, written, files, list(folders)[-1])


def binary(
    rows: Sequence[Row], labels: Sequence[Label], threshold: float
) -> tuple[list[Row], float]:
    """Rows of labelled samples with the columns desirable and score; and the share of desirable.

    Raises:
        ValueError: all are desirable, or none: there is nothing to tell apart.
    """
    scores = {label.id: label.score for label in labels}
    made = [
        row | {DESIRABLE: str(int(scores[row[ID]] >= threshold)), SCORE: f"{scores[row[ID]]:.9g}"}
        for row in rows
        if row[ID] in scores
    ]
    share = sum(row[DESIRABLE] == "1" for row in made) / max(1, len(made))
    if share in (0, 1):
        low, high = min(scores.values()), max(scores.values())
        raise ValueError(
            f"{'all' if share else 'none'} of {len(made)} samples are desirable with "
            f"threshold={threshold:g}; scores lie in {low:g} to {high:g}: give another --threshold."
        )
    return made, share


def write_binary(rows: Sequence[Row], samples: Path, out: Path) -> None:
    """Writes rows of `binary` as `out/train.csv`, with the files that they name."""
    names = [row[name] for row in rows for name in ("latent_path", "text_feat_path")]
    write_linked(out, rows, {name: samples / name for name in names}, samples)


def write_linked(out: Path, rows: Sequence[Row], files: Mapping[str, Path], samples: Path) -> None:
    """Writes `out/train.csv` last, after links to (or copies of) the files that its rows name.

    files: path relative to `out` -> file.  samples: folder that may have an empty text.
    """
    if (samples / EMPTY_TEXT).is_file():
        files = {**files, EMPTY_TEXT: samples / EMPTY_TEXT}
    for relative, file in files.items():
        link(existing_file(file, "sample"), out / relative)
    rows = [{k: v for k, v in row.items() if k not in LEFT_OUT} for row in rows]
    write_whole(out / CSV, csv_bytes(filled(rows), columns_of(rows)))


def link(file: Path, to: Path) -> None:
    """Makes `to` a hard link to `file`, or a copy of it where there are none."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)
    try:
        os.link(file, to)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, to)


def _ordered(
    prompt: str, first: str, second: str, scores: Mapping[str, float], margin: float
) -> Pair:
    difference = scores[first] - scores[second]
    win, lose = (first, second) if difference >= 0 else (second, first)
    tie = difference == 0 or abs(difference) < margin
    return Pair(win=win, lose=lose, prompt=prompt, margin=abs(difference), tie=tie)


def _choose(candidates: Sequence[Pair], rule: PairRule, rng: np.random.Generator) -> list[Pair]:
    """At most `per_prompt` pairs in random order, each time one of the least used samples."""
    left = [pair for pair in candidates if rule.keep_ties or not pair.tie]
    left = [left[number] for number in rng.permutation(len(left))]
    used: collections.Counter[str] = collections.Counter()
    chosen: list[Pair] = []
    limit = len(left) if rule.per_prompt is None else min(rule.per_prompt, len(left))
    while len(chosen) < limit:
        pair = min(left, key=lambda pair: used[pair.win] + used[pair.lose])  # the first of several
        left.remove(pair)
        used.update((pair.win, pair.lose))
        if pair.tie and pair.margin in (0, None) and rng.random() < 0.5:
            pair = dataclasses.replace(pair, win=pair.lose, lose=pair.win)
        chosen.append(pair)
    return chosen
