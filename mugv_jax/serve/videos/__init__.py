# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A server of videos: requests wait on disk, one process of workers makes them.

    request -> api -> asked (fields) -> offer (checks) -> inputs (files) -> store (committed)
    store -> supervisor -> worker (another process): making -> files -> store, events

offer       what may be asked for, and its limits     store       the queue on disk
asked       fields of a request                       supervisor  the worker's life and work
inputs      checks of uploaded files                  worker      the process that has the models
generators  systems that make videos                  making      one batch of videos
videos      videos as clients see them                pod         several processes of a worker
events      streams of changes                        limits      rates of clients
metrics     figures for Prometheus                    retention   removal of old results
"""
