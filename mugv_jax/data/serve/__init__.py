# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoding server: training samples are encoded on other devices while a trainer reads them.

protocol  the two calls over gRPC      server  encodes what is asked for, into an ordinary folder
shapes    shapes without encoding      client  samples of a server, buffered in files
"""
