# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax label create`: makes a labelling set of folders of videos or a review list."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mugv_jax.eval.human.preferences import VERDICTS
from mugv_jax.files import resolved
from mugv_jax.serve.label.create import (
    CreateConfig,
    Group,
    group_pairs,
    paired_groups,
    single_groups,
    write_set,
)
from mugv_jax.serve.label.labelset import SET
from mugv_jax.serve.label.questions import KINDS, PAIRS, REVIEW, Question, parse_question
from mugv_jax.serve.label.sources import (
    is_samples,
    read_folder,
    read_golden,
    read_review_list,
    read_shown,
)
from mugv_jax.serve.label.store import add_annotators
from mugv_jax.weights.staging import refuse_existing, staged


def create(args: argparse.Namespace) -> tuple[int, int, list[tuple[str, str]]]:
    """Make the set; returns the number of items, of golden ones, and names with their tokens.

    Raises:
        ValueError: sources, options or an output that cannot be used.
    """
    config = CreateConfig(
        annotators=args.annotators, golden_every=args.golden_every, seed=args.seed
    )
    stages = _stages(args.kind, args.question)
    refuse_existing(args.output, overwrite=args.overwrite, markers=(SET,))
    groups = _groups(args)
    known = {}
    if args.golden is not None:
        answers = VERDICTS if args.kind == PAIRS else KINDS[args.kind].answers
        questions = {question.id: answers for stage in stages for question in stage}
        known = read_golden(args.golden, {name for name, _ in groups}, questions)
        if len(known) == len(groups):
            raise ValueError(
                f"--golden {args.golden}: all items are golden, none is left to label."
            )
    samples = args.sources[0] if len(args.sources) == 1 and is_samples(args.sources[0]) else None
    with staged(args.output, overwrite=args.overwrite, markers=(SET,)) as folder:
        made = write_set(
            folder, args.kind, groups, stages, config,
            known=known, samples=None if samples is None else str(resolved(samples)),
        )  # fmt: skip
        tokens = add_annotators(folder, args.token)
    return len(made.items), len(known), tokens


def _stages(kind: str, given: Sequence[str]) -> tuple[tuple[Question, ...], ...]:
    """Stages of the kind, or one of the questions that are given."""
    if not given:
        return KINDS[kind].stages
    if KINDS[kind].fixed:
        raise ValueError(f"--question: those of {kind} cannot be replaced.")
    questions = tuple(map(parse_question, given))
    ids = [question.id for question in questions]
    if len(set(ids)) < len(ids):
        raise ValueError(f"--question: {', '.join(ids)} must be different ids.")
    return (questions,)


def _groups(args: argparse.Namespace) -> list[Group]:
    """Items of the sources."""
    if args.kind == REVIEW:
        if len(args.sources) > 1 or args.models or args.prompts:
            raise ValueError("review takes one list, and neither --models nor --prompts.")
        return single_groups(read_review_list(args.sources[0]), ("clips",))
    if args.kind == PAIRS and len(args.sources) > 2:
        raise ValueError(
            f"pairs of {len(args.sources)} folders: name two, or one with several videos of each "
            "prompt."
        )
    models = _models(args.models, args.sources)
    shown = None if args.prompts is None else read_shown(args.prompts)
    folders = [read_folder(path, model, shown) for path, model in zip(args.sources, models)]
    if args.kind != PAIRS:
        return single_groups([each for own in folders for each in own], models)
    if len(folders) == 2:
        return paired_groups(*folders)
    return group_pairs(folders[0], args.per_prompt, args.seed)


def _models(given: str | None, sources: Sequence[Path]) -> list[str]:
    names = [path.resolve().name for path in sources] if given is None else given.split(",")
    names = [name.strip() for name in names]
    if len(names) != len(sources) or not all(names) or len(set(names)) < len(names):
        raise ValueError(
            f"--models: {', '.join(names)} must be {len(sources)} different names, one for each "
            "folder."
        )
    return names
