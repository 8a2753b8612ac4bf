# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Opening of samples, in whichever format they are stored.

open_samples("folder", flow_fields())                a published train.csv, or a packed data set
open_samples("server://host:5151", flow_fields())    an encoding server (`serve`)
open_samples("folder", flow_fields())[3]["latent"]   (f, h, w, c) float32, normalised
"""

import os
from collections.abc import Sequence

import numpy as np

from mugv_jax.data.fields import Fields, check_fields
from mugv_jax.data.packed import PackedSamples
from mugv_jax.data.published import PublishedSamples
from mugv_jax.data.samples import CSV, PACKED_MARKER, Joined, Sample, SampleSource
from mugv_jax.data.serve.client import ServedSamples
from mugv_jax.data.serve.protocol import is_served
from mugv_jax.files import user_path


def open_samples(path: str | os.PathLike, fields: Fields) -> SampleSource:
    """The samples at `path`: a `train.csv`, the folder of one, a packed data set, or a server.

    fields: what to read of every sample.

    Raises:
        ValueError: no samples there, none that can be used, or samples without these fields.
    """
    check_fields(fields)
    if is_served(os.fspath(path)):
        return ServedSamples(os.fspath(path), fields)
    path = user_path(path)
    if path.is_dir() and (path / PACKED_MARKER).is_file():
        return PackedSamples(path, fields)
    csv = path / CSV if path.is_dir() else path
    if not csv.is_file():
        reason = f"holds neither {CSV} nor {PACKED_MARKER}" if path.is_dir() else "does not exist"
        raise ValueError(
            f"samples {str(path)!r}: {reason}; give a {CSV}, its folder, or a folder made by "
            "`mugv-jax data pack`."
        )
    return PublishedSamples(csv, fields)


def open_all(paths: Sequence[str], fields: Fields) -> SampleSource:
    """The samples at all `paths` as one source.

    Raises:
        ValueError: no path, a path without usable samples, or samples of different encoders.
    """
    if not paths:
        raise ValueError("data.paths is empty: name at least one folder of samples.")
    return JoinedSamples([open_samples(path, fields) for path in paths])


class JoinedSamples(Joined[Sample]):
    """A `SampleSource` of several sources of the same fields, one after the other."""

    def __init__(self, sources: Sequence[SampleSource]):
        super().__init__(sources)
        self.fields = sources[0].fields
        for source in sources:
            if source.fields != self.fields:
                one, other = ("; ".join(map(str, each.fields)) for each in (sources[0], source))
                raise ValueError(
                    f"the samples of data.paths hold different fields, {one} and {other}: all must "
                    "come from one VAE and one text encoder."
                )
        self.names = [name for source in sources for name in source.names]
        self.bad = [line for source in sources for line in source.bad]
        self.shapes = np.concatenate([source.shapes for source in sources])
