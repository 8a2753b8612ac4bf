# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What all HTTP servers share.

app      the application: JSON errors, the page and its files, the guard around everything
guard    checks of every request: host, origin, key, size and speed of its body; safe headers
keys     API keys in a file
listen   addresses, and who may reach them
running  a server that listens until a signal ends it
errors   refusals, in the form of OpenAI's API
body     JSON objects of requests
"""
