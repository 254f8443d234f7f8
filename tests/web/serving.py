"""What starts a server for a test, and ends it."""

import threading
from contextlib import contextmanager

from lettergpu.web.connections import listen, server


@contextmanager
def listening(app):
    """The port on which a server answers with `app`."""
    listener = listen("127.0.0.1", 0)
    running = server(app)
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
