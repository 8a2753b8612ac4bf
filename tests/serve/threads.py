# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A server in a thread of the test."""

import contextlib
import threading
import time

from mugv_jax.serve.http.listen import Address
from mugv_jax.serve.http.running import make_server


@contextlib.contextmanager
def serving(app):
    """Address of a server of `app`, which ends with the context."""
    listener = Address("127.0.0.1", 0).bound()
    port = listener.getsockname()[1]
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Address("127.0.0.1", port)
    finally:
        server.should_exit = True
        thread.join()
