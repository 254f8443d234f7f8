"""How far each value and slope of the kernels' activations is from the exact one, over every float32.

python bench/kernels/ulp.py [--step 1] [--library host|cuda|all] [--only NAME ...] [--json FILE|-]

Runs kernels/activations.cuh on all 2^32 inputs, or on one in STEP, against double precision: as g++ compiles it, and
as CuPy's compiler does, whose PTX is translated to C++ (ptx.py; without CuPy these rows are left out). With them, for
comparison, the report's formulas, Thinc's and PyTorch's. Then every float16 and bfloat16, computed in float32 and
rounded once. Some 40 minutes on two cores, with --step 997 ten seconds. With --only or --library the file's other rows
stay.

Bars in float32: a value within 3 ulp and a slope within 4 wherever the exact result is a normal float, and within 2^-22
near the zero of a slope; a result that is a subnormal float within the smallest normal one; never NaN or infinite for
a finite z, the limit for an infinite one, and NaN for NaN. ReLU is exact, leaky ReLU rounded once. In float16 and
bfloat16: within 0.51 ulp.
"""

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ptx import OPTIONS, Nvrtc, translate
from ulp_cpp import TYPES, Errors, Evaluate, Library, Type

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import RESULTS, machine  # of speed/

HERE = Path(__file__).parent
ARCHITECTURE = 90  # whose PTX is measured; what the others' gives is compared with it
CHUNK = 1 << 18  # inputs at a time, for what is computed of them to stay in the cache
NEAR_ZERO_BAR, HALF_BAR = 2.0**-22, 0.51


class Function(NamedTuple):
    """A value or slope: the kernels' call for a float z, the exact one for a double z, and the bar in ulp."""

    kernel: str
    exact: str
    bar: float
    zero: float = math.nan  # of a slope
    reach: float = 1.0  # less than this away from there an ulp means nothing
    jumps: bool = False  # at 0, so that -ftz, which takes a subnormal z for 0, makes another function of it


FUNCTIONS = {
    "relu value": Function("relu_value(z)", "exact::relu(z, 0)", 0),
    "relu slope": Function("relu_slope(z)", "exact::relu_slope(z, 0)", 0, jumps=True),
    "leaky relu value": Function("leaky_relu_value(z, 0.01f)", "exact::relu(z, 0.01f)", 0.5),
    "leaky relu slope": Function("leaky_relu_slope(z, 0.01f)", "exact::relu_slope(z, 0.01f)", 0, jumps=True),
    "sigmoid value": Function("sigmoid_value(z)", "exact::sigmoid(z)", 3),
    "sigmoid slope": Function("sigmoid_slope(z)", "exact::sigmoid_slope(z)", 4),
    "tanh value": Function("tanh_value(z)", "std::tanh(z)", 3),
    "tanh slope": Function("tanh_slope(z)", "exact::tanh_slope(z)", 4),
    "swish value": Function("swish_value(z, 1.0f)", "exact::swish(z, 1)", 3),
    "swish slope": Function("swish_slope(z, 1.0f)", "exact::swish_slope(z, 1)", 4, -1.2784645),
    "swish 0.5 value": Function("swish_value(z, 0.5f)", "exact::swish(z, 0.5)", 3),
    "swish 0.5 slope": Function("swish_slope(z, 0.5f)", "exact::swish_slope(z, 0.5)", 4, -1.2784645 / 0.5, 1 / 0.5),
    "swish 1.5 value": Function("swish_value(z, 1.5f)", "exact::swish(z, 1.5)", 3),
    "swish 1.5 slope": Function("swish_slope(z, 1.5f)", "exact::swish_slope(z, 1.5)", 4, -1.2784645 / 1.5, 1 / 1.5),
    "mish value": Function("mish_value(z)", "exact::mish(z)", 3),
    "mish slope": Function("mish_slope(z)", "exact::mish_slope(z)", 4, -1.1924312),
    "tanhexp value": Function("tanhexp_value(z)", "exact::tanhexp(z)", 3),
    "tanhexp slope": Function("tanhexp_slope(z)", "exact::tanhexp_slope(z)", 4, -1.1183102),
}
OTHERS = {"report": ("swish", "mish", "tanhexp"), "thinc": ("swish", "mish")}  # namespaces of ulp.cpp


class Contestant(NamedTuple):
    functions: str  # whose
    evaluate: Evaluate
    barred: bool = True  # rather than there for comparison
    flushes: bool = False  # subnormal numbers to 0
    others: Mapping[str, Evaluate] = {}  # that should agree, but for subnormal numbers


def identifier(*words: str) -> str:
    return "_".join(words).replace(" ", "_").replace(".", "_")


def host_library(folder: Path) -> Library:
    lines = []
    for name, function in FUNCTIONS.items():
        lines.append(f"FUNCTION({identifier('exact', name)}, double, {function.exact})")
        lines.append(f"FUNCTION({identifier('host', name)}, float, lettergpu::{function.kernel})")
    for whose, names in OTHERS.items():
        for name in names:
            lines.append(f"FUNCTION({whose}_{name}_value, float, {whose}::{name}(z))")
            lines.append(f"FUNCTION({whose}_{name}_slope, float, {whose}::{name}_slope(z))")
    (folder / "functions.inc").write_text("\n".join(lines) + "\n")
    return Library(HERE / "ulp.cpp", folder)


def cuda_libraries(nvrtc: Nvrtc, folder: Path) -> dict[tuple[str, ...], Library]:
    """A library for each different PTX, under the architectures that get it: first the one with ARCHITECTURE."""
    names = [name for name, function in FUNCTIONS.items() if not function.jumps]
    source = (HERE.parents[1] / "kernels" / "activations.cuh").read_text()
    for name in names:
        call = f"*out = lettergpu::{FUNCTIONS[name].kernel};"
        source += f'extern "C" __global__ void {identifier(name)}(const float* in, float* out)'
        source += f" {{ const float z = *in; {call} }}\n"
    architectures: dict[str, list[str]] = {}
    for architecture in sorted(nvrtc.architectures(), key=lambda each: each != ARCHITECTURE):
        ptx = nvrtc.ptx(source, architecture)
        text = '#include "ulp_ptx.h"\n'
        for name in names:
            text += f'extern "C" void {identifier(name)}(const float* in, float* out, long n) {{\n'
            text += "for (long i = 0; i < n; i++) {\nfloat z = in[i], got = 0;\n"
            text += f"{translate(ptx, identifier(name))}\nout[i] = got;\n}}\n}}\n"
        architectures.setdefault(text, []).append(f"compute_{architecture}")
    found = {}
    for text, those in architectures.items():
        path = folder / f"{those[0]}.cpp"
        path.write_text(text)
        found[tuple(those)] = Library(path, folder)
    return found


def pytorch() -> tuple[str, dict[str, Evaluate]]:
    """Its version and its functions. Raises ImportError without it."""
    import torch

    torch.set_num_threads(1)

    def value(function: Callable) -> Evaluate:
        return lambda z: function(torch.from_numpy(z)).numpy()

    def slope(function: Callable) -> Evaluate:
        def evaluate(z: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(z).requires_grad_()
            function(x).backward(torch.ones_like(x))
            return x.grad.numpy()

        return evaluate

    found = {}
    for name, function in (("swish", torch.nn.functional.silu), ("mish", torch.nn.functional.mish)):
        found |= {f"{name} value": value(function), f"{name} slope": slope(function)}
    return f"torch {torch.__version__}", found


def gather(library: str, host: Library, folder: Path, content: dict[str, Any]) -> dict[str, dict[str, Contestant]]:
    """Who takes part in each function, by what is added to its name. What has to be left out is noted in `content`."""
    field: dict[str, dict[str, Contestant]] = {name: {} for name in FUNCTIONS}
    content["left_out"] = {}
    if library != "cuda":
        for name in FUNCTIONS:
            field[name][""] = Contestant("host", host.over_all(identifier("host", name)))
        for whose, names in OTHERS.items():
            for name in (f"{name} {part}" for name in names for part in ("value", "slope")):
                field[name][f", {whose}"] = Contestant("host", host.over_all(identifier(whose, name)), barred=False)
        try:
            version, evaluates = pytorch()
        except ImportError as error:
            content["left_out"]["torch"] = str(error)
        else:
            for name, evaluate in evaluates.items():
                field[name][", torch"] = Contestant(version, evaluate, barred=False)
    if library != "host":
        try:
            nvrtc = Nvrtc()
        except ImportError as error:
            content["left_out"]["cuda"] = str(error)
        else:
            libraries = cuda_libraries(nvrtc, folder)
            content["cuda"] = {"nvrtc": nvrtc.version, "options": OPTIONS, "same_ptx": list(libraries)}
            for name, function in FUNCTIONS.items():
                if not function.jumps:
                    evaluates = {those[0]: each.over_all(identifier(name)) for those, each in libraries.items()}
                    measured = evaluates.pop(f"compute_{ARCHITECTURE}")
                    others = evaluates | ({"host": field[name][""].evaluate} if field[name] else {})
                    whose = f"cuda {nvrtc.version} ptx"
                    field[name][", cuda"] = Contestant(whose, measured, flushes=True, others=others)
    return field


def inputs(type_name: str, step: int) -> list[Callable[[], np.ndarray]]:
    """All numbers of a type, or one float32 in `step`, as what makes arrays of float32."""

    def from_pattern(first: int) -> np.ndarray:
        count = min(CHUNK, -(-((1 << 32) - first) // step))
        return (np.arange(count, dtype=np.uint32) * np.uint32(step) + np.uint32(first)).view(np.float32)

    patterns = np.arange(1 << 16, dtype=np.uint16)
    if type_name == "float16":
        return [lambda: patterns.view(np.float16).astype(np.float32)]
    if type_name == "bfloat16":
        return [lambda: (patterns.astype(np.uint32) << np.uint32(16)).view(np.float32)]
    made = [partial(from_pattern, first) for first in range(0, 1 << 32, CHUNK * step)]
    left_out = [lambda: np.asarray([-np.inf, np.inf, np.nan], np.float32)] if step > 1 else []
    return made + left_out


def measure(name: str, contestants: list[Contestant], host: Library, type_name: str, step: int) -> list[dict[str, Any]]:
    """A row of each contestant's errors in a function."""
    function, half = FUNCTIONS[name], type_name != "float32"
    exact_of = host.over_all(identifier("exact", name), np.float64)
    zero = math.nan if half else function.zero  # rounded to a half there is no need to make an exception
    types = [Type(*TYPES[type_name], 0 if half and not each.flushes else 2.0**-126) for each in contestants]

    def errors_of(make: Callable[[], np.ndarray]) -> list[tuple[Errors, dict[str, int]]]:
        z = make()
        exact, found = exact_of(z), []
        for contestant, type_ in zip(contestants, types, strict=True):
            got, errors = contestant.evaluate(z), Errors()
            others = contestant.others.items()
            unlike = {other: host.call("count_unlike", z, got, evaluate(z), z.size) for other, evaluate in others}
            if half:
                host.call("round_all", got, got.size, type_)
            host.call("add_errors", z, got, exact, z.size, zero, function.reach, type_, errors)
            found.append((errors, unlike))
        return found

    totals = [(Errors(), dict.fromkeys(each.others, 0)) for each in contestants]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # of C++, which leaves Python alone
        for found in pool.map(errors_of, inputs(type_name, step)):
            for (errors, unlike), (total, total_unlike) in zip(found, totals, strict=True):
                host.call("merge", errors, total)
                for other, count in unlike.items():
                    total_unlike[other] += count
    return [row(function, each, *total, half) for each, total in zip(contestants, totals, strict=True)]


def row(
    function: Function, contestant: Contestant, errors: Errors, unlike: dict[str, int], half: bool
) -> dict[str, Any]:
    found = {"functions": contestant.functions, **errors.named(), "unlike": unlike}
    if contestant.barred:
        found["bar_ulp"] = HALF_BAR if half else function.bar
        within = found["worst_ulp"] <= found["bar_ulp"] and found["worst_near_zero"] <= NEAR_ZERO_BAR
        wrong = [found[count] for count in Errors.COUNTS[1:]]
        wrong += [count for other, count in unlike.items() if other != "host"]  # where -ftz may decide a tie otherwise
        found["holds"] = within and not any(wrong)
    return found


def line(name: str, row: dict[str, Any]) -> str:
    near = f"   near its zero {row['worst_near_zero']:.2g}" if row["worst_near_zero"] else ""
    text = f"{name:34} worst {row['worst_ulp']:.4g} ulp at {row['at']:.9g}"
    counts = "".join(f"   {key.replace('_', ' ')} {row[key]:,}" for key in Errors.COUNTS[1:] if row[key])
    counts += "".join(f"   unlike {other} {count:,}" for other, count in row["unlike"].items() if count)
    verdict = f"   bar {row['bar_ulp']:g}: {'holds' if row['holds'] else 'MISSED'}" if "holds" in row else ""
    return text + verdict + near + counts


def main() -> None:
    """Measure what is asked for, print a line for each row, and write them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--library", choices=("host", "cuda", "all"), default="all")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[""], help="such as mish, or mish value")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    shown = sys.stderr if options.json == "-" else sys.stdout
    path = None if options.json == "-" else Path(options.json or RESULTS / f"ulp-{machine()}.json")
    content: dict[str, Any] = {"machine": machine(), "step": options.step, "cuda": {}, "left_out": {}}
    content |= {"rows": {}, "half": {}, "comparison": {}}
    if path and path.exists() and (options.library != "all" or options.only != [""]):
        earlier = json.loads(path.read_text())
        content |= earlier if earlier["step"] == options.step else {}
    with tempfile.TemporaryDirectory() as folder:
        host = host_library(Path(folder))
        field = gather(options.library, host, Path(folder), content)
        for left_out, reason in content["left_out"].items():
            print(f"the rows of {left_out} are left out: {reason}", file=shown)
        for type_name, name in ((type_name, name) for type_name in TYPES for name in FUNCTIONS):
            half = type_name != "float32"
            those = {added: each for added, each in field[name].items() if each.barred or not half}
            if not those or not name.startswith(tuple(options.only)):
                continue
            for added, row in zip(
                those, measure(name, list(those.values()), host, type_name, options.step), strict=True
            ):
                full_name = name + f", {type_name}" * half + added
                content["half" if half else "rows" if those[added].barred else "comparison"][full_name] = row
                print(line(full_name, row), file=shown, flush=True)
    text = json.dumps(content, indent=2) + "\n"
    if path:
        path.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
