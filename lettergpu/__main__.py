"""The command lettergpu, also as python -m lettergpu."""

import os
import signal
import sys
from types import FrameType

STOPPED = 130  # exit code, as shells have it of a program that Ctrl-C ended


def main() -> None:
    """Run the command line. A first Ctrl-C stops it, another one at once: the exit code is 130, wherever they fall."""
    stopping = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:  # what is being tidied up might take a second KeyboardInterrupt for any error
            os._exit(STOPPED)
        stopping = True
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, stop)
    try:
        from .backends.ranks import share_cores

        share_cores()

        from .cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    finally:
        stopping = True


if __name__ == "__main__":
    main()
