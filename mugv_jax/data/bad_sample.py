# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The error of a sample that cannot be used, and how several such errors are listed."""

from collections.abc import Sequence

SHOWN = 5  # lines of a list


class BadSample(ValueError):
    """One sample cannot be used; the message names its file and the reason."""


def listed(lines: Sequence[str], one: str, many: str) -> str:
    """The number of `lines` and the first few of them, each on a line of its own.

    one, many: words after the number, such as "file was skipped" and "files were skipped".
    """
    shown = [f"  {line}" for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"  and {len(lines) - SHOWN} more")
    return "\n".join([f"{len(lines)} {one if len(lines) == 1 else many}:", *shown])
