"""Seconds until `lettergpu --help` has answered and `import lettergpu` is done, beside a bare Python.

python bench/speed/startup.py [--rounds 10] [--json FILE|-]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

from rounds import report, seconds_in_turn

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import lettergpu": [sys.executable, "-c", "import lettergpu"],
    "lettergpu --help": [sys.executable, "-m", "lettergpu", "--help"],
    "lettergpu train --help": [sys.executable, "-m", "lettergpu", "train", "--help"],
}


def timed(command: list[str]) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    seconds = seconds_in_turn({name: timed(command) for name, command in COMMANDS.items()}, options.rounds)
    report("startup", {"python": sys.version.split()[0]}, seconds, options.json)


if __name__ == "__main__":
    main()
