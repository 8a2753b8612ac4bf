# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The table of columns in docs/curation.md is what the stages state."""

import re
from pathlib import Path

from mugv_jax.curate import balance, best, duplicates, listing, review, similar_videos, thresholds
from mugv_jax.curate.engine import PROBLEM
from mugv_jax.curate.run import LARGE
from mugv_jax.curate.settings import ASKING
from mugv_jax.curate.stages import MEASURES
from mugv_jax.curate.stages.probe import Probe
from mugv_jax.curate.stages.shots import Shots

DOCUMENT = Path(__file__).parents[2] / "docs" / "curation.md"
STATED = {
    "list": listing.COLUMNS,
    **{name: stage.WRITES for name, stage in {**MEASURES, **ASKING}.items()},
    "probe": Probe.WRITES,
    "shots": Shots.WRITES,
    "any": {PROBLEM: "string"},
    "thresholds": thresholds.WRITES,
    "similar videos": similar_videos.WRITES,
    "duplicates": duplicates.WRITES,
    "balance": balance.WRITES,
    "best": best.WRITES,
    "review": review.WRITES,
}


def test_the_document_lists_every_column_with_its_stage():
    section = DOCUMENT.read_text().partition("## Columns of clips.parquet")[2].partition("\n## ")[0]
    listed = {
        (column, stage.strip())
        for names, stage in re.findall(r"^\| (`[^|]*) \|[^|]*\|([^|]*)\|", section, re.MULTILINE)
        for column in re.findall(r"`(\w+)`", names)
    }
    stated = {(column, stage) for stage, columns in STATED.items() for column in columns}
    assert listed == {(column, stage) for column, stage in stated if column not in LARGE}
