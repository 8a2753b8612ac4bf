# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoding server: training samples are encoded on other devices while a trainer reads them.

protocol  the calls over gRPC               encoder  encodes what is asked for, into a folder
shapes    shapes of samples, not encoded    server   answers calls with files of that folder
client    samples of a server, buffered in files
"""
