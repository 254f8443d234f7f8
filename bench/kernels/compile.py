"""Compile every kernel, exactly as CuPy would, for each GPU architecture: registers a thread, and bytes spilled.

python bench/kernels/compile.py [--architecture 90 ...] [--dtype float32 ...] [--json FILE|-]

Needs no GPU: pip install '.[kernels-check]'. Prints the most registers over all architectures and layouts.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cupy
import numpy as np
from cupy.cuda import nvrtc
from cupy_source import HEADERS, elementwise_source, registers_and_spills
from lettergpu.kernels import FORMULAS

from lettergpu.backends import cuda_batches, cuda_network, own, packs
from lettergpu.nn.activations import ACTIVATIONS

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import RESULTS  # of speed/

PACKED = "activate", "gradient_before", "momentum"  # these go by packs where they can
ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")


def kernels(dtype: str) -> Iterator[tuple[str, str]]:
    """(name, text) of each kernel for arrays of this dtype, in each way that they may lie in memory."""
    name = dtype
    if name == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    row, matrix, square = np.empty(8, dtype), np.empty((6, 8), dtype), np.empty((8, 8), dtype)
    images, rows, maps = np.empty((9, 784), np.uint8), np.empty(6, np.int64), np.empty((3, 2, 28), dtype)
    waves = np.empty((28, 5), "float64" if dtype == "float64" else "float32")
    calls = {
        "momentum_step": (cuda_network.momentum_kernel(), [(row, row[:1], 0.9, 0.0, 6, False, row, row)]),
        "count_in": (cuda_batches.count_in_kernel(), [(row, np.empty(8, bool), row, np.empty(8, np.int64))]),
        "assemble": (cuda_batches.assemble_kernel(), [(images, rows, maps, 3, waves, 5, np.empty((6, 784), dtype))]),
    }
    numbers, tables = np.empty(6, np.int64), np.empty((3, 12), np.int64)
    calls["uniforms"] = cuda_batches.uniforms_kernel(), [(rows, 5, 0, 0, 1, 2, np.empty((6, 5), np.float32))]
    calls["permuted"] = cuda_batches.permuted_kernel(), [(numbers, tables, 12, 2, 3, 6, numbers)]
    for formula in FORMULAS:
        bias_added = [(row, matrix, matrix), (row, square.T, square.T)]
        calls[f"activate_{formula}"] = cuda_network.activate_kernel(ACTIVATIONS[formula]), bias_added
        slopes = [(matrix, matrix, matrix), (square, square.T, square)]
        calls[f"gradient_before_{formula}"] = cuda_network.gradient_kernel(ACTIVATIONS[formula]), slopes
    for kernel, (function, argument_lists) in calls.items():
        for arguments in argument_lists:
            yield kernel, HEADERS + elementwise_source(function, arguments)[0]
            if kernel.startswith(PACKED) and (ready := packs.prepared(function, *arguments)):
                yield kernel, ready[0].code
    for pass_ in ("dense_forward", "dense_backward") if name == "float32" else ():
        for tile, at_once in (((128, 64), (4, 4)), ((32, 32), (4, 4)), ((64, 32), (1, 1))):  # the ends, and the worst
            for tf32 in (False, True):
                yield pass_, own.kernel(pass_, ACTIVATIONS["tanhexp"], tile, at_once, tf32).code
    for pass_ in ("normalised", "gradient_before_normalised", "column_sums"):
        for activation in ("mish", "tanhexp"):  # those that need the most
            yield pass_, cuda_network.normalise_kernel(pass_, ACTIVATIONS[activation], name).code
    yield "windows", cuda_batches.windows_kernel().code
    for loss in ("softmax_cross_entropy", "sigmoid_binary_cross_entropy"):
        yield loss, cuda_network.loss_kernel(loss, name).code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    parser.add_argument("--dtype", nargs="+", choices=list(cuda_network.TYPES), default=list(cuda_network.TYPES))
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    rows: dict[str, dict[str, dict[str, int]]] = {}
    known = [a for a in options.architecture if int(a) in nvrtc.getSupportedArchs()]
    for dtype, architecture in product(options.dtype, known):
        for kernel, text in kernels(dtype):
            registers, spilled = registers_and_spills(text, kernel, f"sm_{architecture}")
            row = rows.setdefault(kernel, {}).setdefault(dtype, {"registers": 0, "spilled_bytes": 0, "compiled": 0})
            row["registers"] = max(row["registers"], registers)
            row["spilled_bytes"] += spilled
            row["compiled"] += 1
    version = ".".join(map(str, nvrtc.getVersion()))
    content = {"cupy": cupy.__version__, "nvrtc": version, "architectures": known, "rows": rows}
    text = json.dumps(content, indent=2) + "\n"
    if options.json == "-":
        print(text, end="")
        return
    print(f"CuPy {cupy.__version__}, NVRTC {version}, sm_{', sm_'.join(known)}: registers (bytes spilled)")
    print(f"{'':30}" + "".join(f"{dtype:>12}" for dtype in options.dtype))
    for kernel, row in rows.items():
        cells = (f"{row[d]['registers']} ({row[d]['spilled_bytes']})" if d in row else "" for d in options.dtype)
        print(f"{kernel:30}" + "".join(f"{cell:>12}" for cell in cells))
    (Path(options.json) if options.json else RESULTS / "compile.json").write_text(text)


if __name__ == "__main__":
    main()
