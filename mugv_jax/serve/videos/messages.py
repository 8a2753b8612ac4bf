# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Messages between the server and the process of its worker, through a pipe.

server -> worker    Make, Cancel
worker -> server    Ready, Refused, Step, Preview, Done, Failed, Idle

The pipe ends with either side: a worker without its server ends at once.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Job:
    """A video to make; `settings` are those of `offer.Offer.settings`."""

    id: str
    settings: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Make:
    """Make these videos of one shape together."""

    jobs: tuple[Job, ...]


@dataclasses.dataclass(frozen=True)
class Cancel:
    """A video is not wanted any more."""

    id: str


@dataclasses.dataclass(frozen=True)
class Ready:
    """The models were found, and videos can be made.

    leads: whether this process of the pod gets the requests.
    """

    leads: bool


@dataclasses.dataclass(frozen=True)
class Refused:
    """The worker cannot start, because of a mistake in the server's options."""

    message: str


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of some videos is done."""

    ids: tuple[str, ...]
    step: int
    steps: int


@dataclasses.dataclass(frozen=True)
class Preview:
    """A picture of the video as it will be, a JPEG file."""

    id: str
    step: int
    steps: int
    jpeg: bytes


@dataclasses.dataclass(frozen=True)
class Done:
    """The video's files are in their places."""

    id: str


@dataclasses.dataclass(frozen=True)
class Failed:
    """The video cannot be made; `message` is for the client."""

    id: str
    code: str
    message: str


@dataclasses.dataclass(frozen=True)
class Idle:
    """All videos of a Make are answered.

    compilations: programs that were compiled, or read from the cache, since the worker started.
    seconds: time that they took.
    """

    compilations: int
    seconds: float
