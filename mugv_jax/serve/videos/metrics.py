# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of a server for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

WAITS_S = (0.1, 1, 5, 15, 60, 300, 900, 3600, 14400)
ANSWERS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class Metrics:
    """Figures of one server, in a registry of their own."""

    def __init__(self):
        disable_created_metrics()  # the time at which each figure was first counted
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "mugv_jax_http_requests", "Requests by route and status", ["method", "route", "status"],
            registry=registry,
        )  # fmt: skip
        self.answers = Histogram(
            "mugv_jax_http_seconds", "Time until an answer begins", ["route"],
            buckets=ANSWERS_S, registry=registry,
        )  # fmt: skip
        self.videos = Counter(
            "mugv_jax_videos", "Videos that are ended, by state", ["state"], registry=registry
        )
        self.queued = Gauge("mugv_jax_queued", "Videos that wait", registry=registry)
        self.in_progress = Gauge("mugv_jax_in_progress", "Videos in progress", registry=registry)
        self.waited = Histogram(
            "mugv_jax_queue_seconds", "Time in the queue", buckets=WAITS_S, registry=registry
        )
        self.made = Histogram(
            "mugv_jax_video_seconds", "Time from the queue to the file", buckets=WAITS_S,
            registry=registry,
        )  # fmt: skip
        self.batch = Histogram(
            "mugv_jax_batch_videos", "Videos made together", buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )  # fmt: skip
        self.compilations = Counter(
            "mugv_jax_compilations", "Programs compiled or read from the cache", registry=registry
        )
        self.compiling = Counter(
            "mugv_jax_compilation_seconds", "Time of compilations", registry=registry
        )
        self.worker_up = Gauge(
            "mugv_jax_worker_up", "Whether the worker is ready", registry=registry
        )
        self.worker_ends = Counter(
            "mugv_jax_worker_ends", "Workers that ended unexpectedly", registry=registry
        )
        self.streams = Gauge("mugv_jax_event_streams", "Open streams of events", registry=registry)

    def text(self) -> bytes:
        """All figures in Prometheus' format."""
        return generate_latest(self.registry)
