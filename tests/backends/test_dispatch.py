"""Which module's function is asked for an operation."""

import math
import os
import subprocess
import sys

import numpy as np
from conftest import numpy_by

from lettergpu.backends import cpu, dispatch


def test_the_modules_of_a_library_are_asked_in_turn():
    with numpy_by(("math", "lettergpu.backends.cpu", "cmath")):
        assert dispatch.native("sqrt", np.ndarray) is math.sqrt
        assert dispatch.native("dense", np.ndarray) is cpu.dense
        assert dispatch.native("nothing", np.ndarray) is None


def test_an_environment_variable_turns_all_backends_off():
    program = "from lettergpu.backends import dispatch; print(dispatch.NATIVE)"
    for value, expected in {"0": "{}", "1": str(dispatch.NATIVE)}.items():
        environment = {**os.environ, "LETTERGPU_FUSED": value}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == expected
