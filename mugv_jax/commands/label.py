# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax label`: labels of videos by people, in a browser and without knowing the models."""

import argparse
import dataclasses
import logging
import shlex
import sys
from collections.abc import Sequence

from mugv_jax.commands.listening import add_listen, address_of, hosts_of
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_value,
    finite_number,
    local_path,
)
from mugv_jax.data.folder_lock import only_process
from mugv_jax.serve.label.labelset import DATABASE, LabelSet, read_set
from mugv_jax.serve.label.questions import KINDS
from mugv_jax.serve.label.store import Store, add_annotators
from mugv_jax.weights.staging import refuse_existing

log = logging.getLogger(__name__)

LISTEN = "127.0.0.1:8001"
PER_PROMPT = 4
LEASE_MINUTES = 30.0
LOCK = ".serve.lock"

CREATE = "Make a labelling set of videos: pairs, single videos, stages for e-commerce, or a review."
CREATE_EXAMPLES = """examples:
  mugv-jax label create pairs videos/ours videos/theirs -o labels --token anna --token ben
  mugv-jax label create pairs samples -o labels      pairs of each prompt, of `post sample`
  mugv-jax label create single samples --golden known.csv -o labels
  mugv-jax label create ecommerce videos/a videos/b --prompts products.csv -o labels
  mugv-jax label create review review.csv -o labels  a list of `data review`
"""
TOKENS = "Make tokens for annotators, by which the page knows them. They are shown once."
SERVE = "Serve the page on which annotators label a set, until Ctrl-C or SIGTERM."
SERVE_EXAMPLES = """examples:
  mugv-jax label serve labels
  mugv-jax label serve labels --listen 0.0.0.0:8001 --allow-host labels.example.org

An annotator's link is the address of the page followed by # and the token. Put a proxy with TLS
before an address of the network.
"""
RESULTS = "Write consensus, agreement, rates and preferences of a set, and lists for training."
RESULTS_EXAMPLES = """examples:
  mugv-jax label results labels -o results
  mugv-jax label results labels --min-accuracy 0.8 -o results
  mugv-jax post pairs samples --labels results/comparisons.csv -o pairs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of all subcommands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    for name, text, examples, add in (
        ("create", CREATE, CREATE_EXAMPLES, _add_create),
        ("tokens", TOKENS, None, _add_tokens),
        ("serve", SERVE, SERVE_EXAMPLES, _add_serve),
        ("results", RESULTS, RESULTS_EXAMPLES, _add_results),
    ):
        add(actions.add_parser(name, help=text, description=text, epilog=examples))


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_create)
    parser.add_argument("kind", choices=tuple(KINDS), help="what is shown and asked")
    sources = (
        "folders of videos or of `mugv-jax post sample`, one for each model; for review, a list of "
        "`mugv-jax data review`"
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", type=local_path, help=sources)
    add_output(parser, "folder of the labelling set", "SET", type=local_path)
    add_overwrite(parser, "replace the set, with all labels in it")
    add_value(parser, "--annotators", LabelSet.annotators, "annotators an item", metavar="N")
    models = "names of the models in results, separated by commas [names of the folders]"
    parser.add_argument("--models", metavar="NAME,NAME", help=models)
    prompts = "list with the columns id, caption and picture: what is shown beside each video"
    add_path(parser, "--prompts", prompts, "CSV", type=local_path)
    question = "question in place of the usual ones; may be given several times (pairs, single)"
    parser.add_argument("--question", action="append", default=[], metavar="ID=TEXT", help=question)
    add_value(
        parser, "--per-prompt", PER_PROMPT, "pairs of each prompt of a single folder", metavar="N"
    )
    golden = "list with the columns id, question and answer: items whose answers are known"
    add_path(parser, "--golden", golden, "CSV", type=local_path)
    every = "one of N items of an annotator is golden, as long as there are some"
    add_value(parser, "--golden-every", LabelSet.golden_every, every, metavar="N")
    add_value(parser, "--seed", LabelSet.seed, "seed of orders and sides")
    token = "make a token for this annotator; may be given several times"
    parser.add_argument("--token", action="append", default=[], metavar="NAME", help=token)


def _add_tokens(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_tokens)
    add_path(parser, "set", "folder of `mugv-jax label create`", "SET", type=local_path)
    parser.add_argument("names", nargs="+", metavar="NAME", help="names of annotators")
    add_overwrite(parser, "give annotators that have a token another one, which ends the old one")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    add_path(parser, "set", "folder of `mugv-jax label create`", "SET", type=local_path)
    lease = "minutes for which an item is reserved for the annotator who has it"
    add_value(parser, "--lease-minutes", LEASE_MINUTES, lease, metavar="M", type=finite_number)
    add_listen(parser, LISTEN)


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_results)
    add_path(parser, "set", "folder of `mugv-jax label create`", "SET", type=local_path)
    add_output(parser, "folder of the results", "FOLDER", type=local_path)
    add_overwrite(parser, "replace the results")
    accuracy = "leave out annotators with a smaller share of right answers about golden items"
    parser.add_argument("--min-accuracy", type=finite_number, metavar="SHARE", help=accuracy)


def _create(args: argparse.Namespace) -> None:
    from mugv_jax.commands.label_create import create  # imports all that reads videos

    count, golden, tokens = create(args)
    log.info("%s: %d items, %d of them golden.", args.output, count, golden)
    _say_tokens(tokens)
    log.info("To serve it: mugv-jax label serve %s", shlex.quote(str(args.output)))


def _tokens(args: argparse.Namespace) -> None:
    read_set(args.set)
    _say_tokens(add_annotators(args.set, args.names, replace=args.overwrite))


def _say_tokens(tokens: Sequence[tuple[str, str]]) -> None:
    for name, token in tokens:
        sys.stdout.write(f"{name}\t{token}\n")
    if tokens:
        log.info(
            "Tokens are shown only now. A link is the address of the page, # and the token: "
            "http://%s/#TOKEN", LISTEN,
        )  # fmt: skip


def _serve(args: argparse.Namespace) -> None:
    address = address_of(args)  # also checks that the packages are installed
    if args.lease_minutes <= 0:
        raise ValueError(f"lease_minutes={args.lease_minutes:g} must be positive.")
    from mugv_jax.serve.http.running import run_server
    from mugv_jax.serve.label.app import label_app
    from mugv_jax.serve.label.tasks import Tasks

    labelset = read_set(args.set)
    with only_process(args.set, LOCK):
        store = Store(args.set)
        try:
            tasks = Tasks(labelset, store, 60 * args.lease_minutes)
            app = label_app(args.set, labelset, store, tasks, hosts=hosts_of(args, address))
            names = store.annotators()
            with address.bound() as listener:
                port = listener.getsockname()[1]  # port 0 takes a free one
                url = dataclasses.replace(address, port=port).url
                log.info("serving %d items at %s", len(labelset.items), url)
                log.info("annotators: %s", ", ".join(names) or "none; mugv-jax label tokens makes")
                run_server(app, listener)
        finally:
            store.close()


def _results(args: argparse.Namespace) -> None:
    from mugv_jax.serve.label.exports import COMPARISONS, REPORT, SCORES, write_results
    from mugv_jax.serve.label.report import report_text
    from mugv_jax.serve.label.results import results_of

    labelset = read_set(args.set)
    refuse_existing(args.output, overwrite=args.overwrite, markers=(REPORT,))
    if not (args.set / DATABASE).is_file():
        raise ValueError(f"{str(args.set)!r} has no answers yet: serve it first.")
    store = Store(args.set)
    try:
        answers = store.answers()
    finally:
        store.close()
    results = results_of(labelset, answers, args.min_accuracy)
    files = write_results(args.output, results, answers)
    sys.stdout.write(report_text(results))
    log.info("wrote %s: %s", args.output, ", ".join(files))
    for name, option in ((COMPARISONS, ""), (SCORES, " --binary")):
        if labelset.samples is not None and name in files:
            samples, labels = (shlex.quote(str(p)) for p in (labelset.samples, args.output / name))
            log.info("To train on them: mugv-jax post pairs %s%s --labels %s -o PAIRS",
                     samples, option, labels)  # fmt: skip
