# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Prompt rewriting for `mugv-jax generate`."""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

from mugv_jax.commands.options import add_path, add_switch, add_value, positive_number
from mugv_jax.rewriting.answer import RewritingError
from mugv_jax.rewriting.rewriter import CACHE, TIMEOUT_S, Rewriter

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of rewriting."""
    group = parser.add_argument_group(
        "prompt rewriting",
        "A language model turns the prompt, and --image, into the long description that models "
        f"were trained on; it is shown, and kept in {CACHE}.",
    )
    text = (
        "folder of a chat model of transformers, or the name of a model on the OpenAI-compatible "
        "server of OPENAI_BASE_URL and OPENAI_API_KEY [prompts are used as they are]"
    )
    add_path(group, "--rewrite", text, "MODEL")
    fallback = "use the prompt as it is if it cannot be rewritten [end with an error]"
    add_switch(group, "--rewrite-fallback", fallback)
    limit = "seconds that the model may take for one prompt"
    add_value(group, "--rewrite-timeout", TIMEOUT_S, limit, type=positive_number, metavar="SECONDS")


def rewritten(args: argparse.Namespace, prompts: Sequence[str], images: Sequence[Any]) -> list[str]:
    """The prompts, rewritten by the model of the options.

    images: first frame of each prompt's video, or None.

    Raises:
        ValueError: a model that cannot be used, or, without --rewrite-fallback, no answer.
    """
    rewriter = Rewriter(args.rewrite, timeout_s=args.rewrite_timeout)
    made = []
    for prompt, image in zip(prompts, images, strict=True):
        try:
            made.append(rewriter(prompt, image))
        except RewritingError as error:
            if not args.rewrite_fallback:
                raise ValueError(
                    f"{error} --rewrite-fallback goes on with the prompt as it is."
                ) from error
            log.warning("%s The prompt is used as it is: %s", error, prompt)
            made.append(prompt)
    return made
