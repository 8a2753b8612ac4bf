# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Search for the best mesh of a slice: `predict` ranks all meshes, and the best are compiled."""

import dataclasses
import logging
from typing import Any

import jax

from mugv_jax.compile.predict import Prediction, candidates, predict
from mugv_jax.compile.report import Request, report
from mugv_jax.cost.chips import chip_of

log = logging.getLogger(__name__)


def ranked(request: Request, chips: int) -> list[Prediction]:
    """Predictions for all meshes that may fit in memory, the highest MFU first.

    Raises:
        ValueError: no mesh may fit.
    """
    chip = chip_of(request.topology)
    found = [
        predict(request.trained, parallel, request.size.latent_shape, chip, request.assumptions)
        for parallel in candidates(request.trained, chips)
    ]
    fitting = [each for each in found if each.nbytes <= chip.hbm_bytes]
    if not fitting:
        least = min(found, key=lambda each: each.nbytes)
        raise ValueError(
            f"no mesh of {chips} chips of {request.topology} is expected to hold a step: the "
            f"smallest needs {least.nbytes / 2**30:.0f} GiB of {chip.hbm_bytes / 2**30:.0f} GiB. "
            "Take more chips, or recompute more (run.remat)."
        )
    # Among equally fast meshes, those with more free memory come first.
    return sorted(fitting, key=lambda each: (-round(each.mfu, 3), each.nbytes))


def search(request: Request, devices: list[jax.Device], compiled: int) -> list[dict[str, Any]]:
    """Reports on the `compiled` most promising meshes, the highest MFU first.

    Raises:
        ValueError: none of them can be compiled.
    """
    reports, errors = [], []
    for prediction in ranked(request, len(devices))[:compiled]:
        parallel = prediction.parallel
        sizes = parallel.sizes(len(devices))
        text = ", ".join(f"{axis}={size}" for axis, size in sizes.items() if size > 1)
        log.info("compiling %s (predicted MFU %.1f%%).", text, 100 * prediction.mfu)
        config = dataclasses.replace(request.config, mesh=parallel)
        try:
            found = report(dataclasses.replace(request, config=config), devices)
        except ValueError as error:
            log.info("not possible: %s", error)
            errors.append(error)
            continue
        found["predicted"] = {"mfu": prediction.mfu, "bytes": prediction.nbytes}
        reports.append(found)
    if not reports:
        raise ValueError(f"none of the {len(errors)} best meshes can be compiled: {errors[0]}")
    return sorted(reports, key=lambda each: (not each["memory"]["fits"], -each["estimate"]["mfu"]))
