"""The CUDA kernels of a batch: its rows drawn, gathered and made pixels, and what came of it counted in.

What `dispatch` finds for CuPy's arrays, with those of a network (cuda_network.py); named and called as those are.
"""

from functools import cache
from math import prod
from typing import Any

import cupy

from ..data import SIDE
from ..kernels import source
from .launch import NOWHERE, elementwise, launch

WINDOWS, WORD = 4, 4  # at once by windows.cu, of words of so many bytes


@cache
def uniforms_kernel() -> Any:
    """Number i of (rows, count), each by itself: a word in four of what it computes, but nothing is fetched twice."""
    body = """
        const long long row = i / count, number = i - row * count;
        const lettergpu::Words words = lettergpu::philox(rows[row], number / 4, epoch, purpose, low, high);
        u = lettergpu::uniform(words.w[number % 4]);
    """
    inputs = "raw int64 rows, int64 count, uint32 low, uint32 high, uint32 epoch, uint32 purpose"
    return cupy.ElementwiseKernel(inputs, "float32 u", body, "lettergpu_uniforms", preamble=source("philox.cuh"))


@cache
def permuted_kernel() -> Any:
    """places; tables are indexed as flat."""
    body = "places = lettergpu::permuted(number, tables, rounds, a, b, count);"
    inputs = "int64 number, raw int64 tables, int32 rounds, int64 a, int64 b, int64 count"
    return cupy.ElementwiseKernel(inputs, "int64 places", body, "lettergpu_permuted", preamble=source("philox.cuh"))


@cache
def windows_kernel() -> Any:
    return cupy.RawKernel(source("windows.cu"), "windows")


@cache
def assemble_kernel() -> Any:
    """Pixel i of a batch; images, rows and maps are indexed as flat."""
    body = f"x = T(lettergpu::assembled<{SIDE}, {SIDE}, C>(images, rows, maps, moved, waves, n, i));"
    inputs = "raw uint8 images, raw int64 rows, raw T maps, int64 moved, raw W waves, int32 n"
    return elementwise("assemble", inputs, "T x", body, "assemble.cuh")


@cache
def count_in_kernel() -> Any:
    body = "losses = T(C(losses) + C(loss)); right += is_right;"
    return elementwise("count_in", "T loss, bool is_right", "T losses, int64 right", body, "activations.cuh")


def uniforms(rows: Any, count: int, of: Any) -> Any:
    drawn = cupy.empty((rows.shape[0], count), cupy.float32)
    launch(uniforms_kernel(), rows, count, *of, drawn)
    return drawn


def permuted(numbers: Any, tables: Any, a: int, b: int) -> Any:
    places = cupy.empty_like(numbers)
    launch(permuted_kernel(), numbers, tables, tables.shape[1], a, b, numbers.shape[0], places)
    return places


def windows(number: Any, arrays: Any, places: Any) -> Any:
    widths = [prod(array.shape[1:]) * array.itemsize for array in arrays]
    whole = all(array.flags.c_contiguous and width % WORD == 0 for array, width in zip(arrays, widths, strict=True))
    if not whole or len(arrays) > WINDOWS:
        return NotImplemented
    taken, passed, words = [], [], 0
    for array, place, width in zip(arrays, places, widths, strict=True):
        made = cupy.empty((place.rows, *array.shape[1:]), array.dtype)
        sizes = (rows * width // WORD for rows in (place.rows, place.size, place.before))
        taken.append(made)
        passed += [array, made, *map(cupy.int64, sizes)]
        words += place.rows * width // WORD
    passed += [NOWHERE, NOWHERE, *map(cupy.int64, (0, 0, 0))] * (WINDOWS - len(arrays))
    if words:
        launch(windows_kernel(), (-(-words // 256),), (256,), (number, *passed))
    return taken


def assemble(images: Any, rows: Any, maps: Any, dtype: Any, *, waves: Any) -> Any:
    if images.dtype != cupy.uint8 or images.shape[1] != SIDE * SIDE:
        return NotImplemented
    x = cupy.empty((rows.shape[0], SIDE * SIDE), dtype)
    basis = _basis(waves, maps.shape[2], "float64" if x.dtype == cupy.float64 else "float32", str(maps.device))
    launch(assemble_kernel(), images, rows, maps, maps.shape[0], basis, basis.shape[1], x)
    return x


@cache
def _basis(waves: Any, length: int, dtype: str, device: str) -> Any:
    """The waves of the maps whose rows have this length, (28, n), on the current GPU, which is `device`."""
    return waves(cupy.zeros((1, 2, length), dtype), SIDE)


def count_in(losses: Any, right: Any, of_losses: Any, of_right: Any) -> None:
    launch(count_in_kernel(), of_losses, of_right, losses, right)
