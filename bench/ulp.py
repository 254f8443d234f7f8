"""How far each float32 value and slope of the kernels' activations is from the exact one, over every float32.

python bench/ulp.py [--step 1] [--json FILE|-]

Compiles kernels/activations.cuh by g++ (so with the host's expf, expm1f and tanhf, not yet CUDA's) and compares it
with double precision on all 2^32 inputs, or on one in STEP. Some 15 minutes on two cores.
Bars: a value within 3 ulp and a slope within 4 wherever the exact result is a normal float, and within 2^-22 near
the zero of a slope; a result that is a subnormal float within the smallest normal one; never NaN or infinite.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rounds import RESULTS, machine

HERE = Path(__file__).parent
VALUE_BAR, SLOPE_BAR, NEAR_ZERO_BAR = 3.0, 4.0, 2.0**-22

FUNCTIONS = {  # name: (the kernels' float function of z, the double one in ulp.cpp, the zero of a slope)
    "sigmoid value": ("sigmoid_value(z)", "sigmoid", "NAN"),
    "sigmoid slope": ("sigmoid_slope(z)", "sigmoid_slope", "NAN"),
    "tanh value": ("tanh_value(z)", "std::tanh", "NAN"),
    "tanh slope": ("tanh_slope(z)", "tanh_slope", "NAN"),
    "swish value": ("swish_value(z, 1.0f)", "swish", "NAN"),
    "swish slope": ("swish_slope(z, 1.0f)", "swish_slope", "-1.2784645"),
    "mish value": ("mish_value(z)", "mish", "NAN"),
    "mish slope": ("mish_slope(z)", "mish_slope", "-1.1924312"),
    "tanhexp value": ("tanhexp_value(z)", "tanhexp", "NAN"),
    "tanhexp slope": ("tanhexp_slope(z)", "tanhexp_slope", "-1.1183102"),
}


def measure(name: str, step: int, folder: Path) -> dict[str, Any]:
    """The counts of one function, and whether it is within its bars."""
    function, exact, zero = FUNCTIONS[name]
    program = folder / name.replace(" ", "-")
    flags = ["-O3", "-march=native", "-fopenmp", "-ffp-contract=off", "-I", str(HERE.parent / "kernels")]
    defined = [f"-DFUNCTION={function}", f"-DEXACT={exact}", f"-DZERO={zero}", f"-DSTEP={step}"]
    subprocess.run(["g++", *flags, *defined, str(HERE / "ulp.cpp"), "-o", str(program)], check=True)
    row = json.loads(subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout)
    bar = VALUE_BAR if name.endswith("value") else SLOPE_BAR
    within = row["worst_ulp"] <= bar and row["worst_near_zero"] <= NEAR_ZERO_BAR
    return row | {"bar_ulp": bar, "holds": within and row["not_finite"] == row["subnormal_off"] == 0}


def main() -> None:
    """Measure every function and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    rows = {}
    progress = sys.stderr if options.json == "-" else sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        for name in FUNCTIONS:
            row = rows[name] = measure(name, options.step, Path(folder))
            near = f"   near its zero {row['worst_near_zero']:.2g}" if row["worst_near_zero"] else ""
            verdict = "holds" if row["holds"] else "MISSED"
            print(
                f"{name:14} {row['checked']:13,} inputs   worst {row['worst_ulp']:.2f} ulp at {row['at']:.9g}"
                f"   bar {row['bar_ulp']:g}: {verdict}{near}",
                file=progress,
                flush=True,
            )
    content = json.dumps({"machine": machine(), "step": options.step, "rows": rows}, indent=2) + "\n"
    if options.json == "-":
        print(content, end="")
    else:
        path = Path(options.json) if options.json else RESULTS / f"ulp-{machine()}.json"
        path.write_text(content)


if __name__ == "__main__":
    main()
