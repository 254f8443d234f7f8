"""A dense layer by products of our own, kernels/products.cu: which tiles, in how many shares, launched how.

Only where LETTERGPU_PRODUCTS=own, until they are measured beside cuBLAS's; float32 alone.
"""

import os
from functools import cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

import cupy
from cupy._core import _routines_linalg as settings

from ..kernels import formula, known, source
from .cpu import Slope
from .launch import NOWHERE, launch

IN_USE = os.environ.get("LETTERGPU_PRODUCTS") == "own"
TILES = (128, 64), (64, 64), (32, 64), (64, 32), (32, 32)
SHARES = 1, 2, 3, 4, 6, 8, 12, 16
DEPTH = 16  # of the inner dimension, that a tile takes at a time


class Plan(NamedTuple):
    """Of a launch: the rows and columns of a tile, and in how many shares those of each product are computed."""

    tile: tuple[int, int]
    shares: tuple[int, ...]


def each(tile: tuple[int, int]) -> int:
    """How many numbers of a tile a thread has."""
    return 32 if tile[0] >= 128 else 16


def tiles(rows: int, columns: int, tile: tuple[int, int]) -> int:
    """How many cover a product."""
    return -(-rows // tile[0]) * -(-columns // tile[1])


Products = tuple[tuple[int, int, int], ...]  # rows, columns, depth of each in one launch


def plans(products: Products) -> list[Plan]:
    """All that there are."""
    return [Plan(tile, shares) for tile in TILES for shares in product(SHARES, repeat=len(products))]


def clocks(way: Plan, products: Products, members: int, multiprocessors: int) -> float:
    """What a launch takes, by a rough count that has not been held against measurements yet.

    A multiprocessor multiplies 128 numbers a clock where it has eight warps to choose from, and gets 24 bytes from the
    L2 cache; to start and end, and to wait for other shares, takes what it takes.
    """
    area, blocks, longest = prod(way.tile), 0, 0
    for (rows, columns, depth), shares in zip(products, way.shares, strict=True):
        blocks += tiles(rows, columns, way.tile) * members * shares
        longest = max(longest, -(-depth // (DEPTH * shares)) * DEPTH)
    at_most = -(-blocks // multiprocessors)  # on one multiprocessor
    busy = min(1.0, at_most * area / 512 / 8)  # of the warps, each with 512 numbers
    most = max(way.shares)
    each_step = max(area / 128 / busy, sum(way.tile) * 4 / 24)
    return 1500 + at_most * longest * each_step + (200 + most * area / 16 if most > 1 else 0)


@cache
def plan(products: Products, members: int, multiprocessors: int) -> Plan:
    """The one with the least clocks."""
    return min(plans(products), key=lambda way: clocks(way, products, members, multiprocessors))


@cache
def kernel(name: str, activation: Any, tile: tuple[int, int], at_once: tuple[int, int], tf32: bool) -> Any:
    """One of products.cu's."""
    numbers = {"ROWS": tile[0], "COLUMNS": tile[1], "DEPTH": DEPTH, "IN": at_once[0], "OUT": at_once[1]}
    lines = [f"#define {word} {number}" for word, number in (numbers | {"TF32": int(tf32)}).items()]
    lines += [f"#define {part.upper()}(z_) {formula(activation, part)}" for part in ("value", "slope")]
    return cupy.RawKernel("\n".join(["typedef float C;", *lines, source("products.cu")]), name)


def dense(x: Any, weight: Any, bias: Any, activation: Any, keep: bool) -> Any:
    """As layers.dense; NotImplemented where the arrays are not for it."""
    if not known(activation) or not _suit(x, weight, bias):
        return NotImplemented
    *outer, rows, fan_in = x.shape
    members, fan_out = weight.shape[:-2], weight.shape[-1]
    if weight.shape[-2] != fan_in or tuple(outer) not in ((), members) or 0 in (rows, fan_in, fan_out, *members):
        return NotImplemented
    value = cupy.empty((*members, rows, fan_out), x.dtype)
    slope = cupy.empty_like(value) if keep and activation.name != "identity" else None
    way = plan(((rows, fan_out, fan_in),), prod(members), _multiprocessors())
    count = tiles(rows, fan_out, way.tile)
    at_once = _at_once(fan_in, x), _at_once(fan_out, weight, value)
    run = kernel("dense_forward", activation, way.tile, at_once, _tf32())
    sizes = [cupy.int64(rows * fan_in if outer else 0), *map(cupy.int32, (rows, fan_in, fan_out, *way.shares))]
    room = _room(way, prod(members) * count * way.shares[0], prod(members) * count)
    passed = [NOWHERE if array is None else array for array in (x, weight, bias, value, slope)]
    grid, block = (count * way.shares[0], prod(members)), (prod(way.tile) // each(way.tile),)
    launch(run, grid, block, (*passed, *room, *sizes))
    return value, Slope(slope)


def gradients(
    delta: Any, x: Any, weight: Any, weight_gradient: Any, bias_gradient: Any, add: bool, slope: Any, first: bool
) -> Any:
    """As layers.gradients, given the slope of the layer before, or None for 1; likewise."""
    if not _suit(delta, x, weight, weight_gradient, bias_gradient, slope):
        return NotImplemented
    members, (rows, fan_out), fan_in = delta.shape[:-2], delta.shape[-2:], x.shape[-1]
    if 0 in delta.shape or fan_in == 0:
        return NotImplemented
    made = None if first else cupy.empty((*members, rows, fan_in), delta.dtype)
    products = ((fan_in, fan_out, rows),) if first else ((fan_in, fan_out, rows), (rows, fan_in, fan_out))
    way = plan(products, prod(members), _multiprocessors())
    counts = [tiles(height, width, way.tile) for height, width, _ in products]
    blocks = sum(count * shares for count, shares in zip(counts, way.shares, strict=True))
    at_once = (
        _at_once(fan_in, *(array for array in (x, made) if array is not None)),
        _at_once(fan_out, delta, weight, weight_gradient),
    )
    run = kernel("dense_backward", IDENTITY, way.tile, at_once, _tf32())
    shares = (*way.shares, 0)[:2]
    sizes = [cupy.int64(rows * fan_in if x.ndim == 3 else 0), *map(cupy.int32, (rows, fan_in, fan_out, *shares))]
    room = _room(way, prod(members) * blocks, prod(members) * sum(counts))
    arrays = delta, x, weight, slope, weight_gradient, bias_gradient, made
    passed = [NOWHERE if array is None else array for array in arrays]
    grid, block = (blocks, prod(members)), (prod(way.tile) // each(way.tile),)
    launch(run, grid, block, (*passed, *room, *sizes, cupy.bool_(add)))
    return made


class _Identity(NamedTuple):
    """What stands for the activation where the kernel needs none."""

    name: str = "identity"


IDENTITY = _Identity()


def _suit(*arrays: Any) -> bool:
    there = [array for array in arrays if array is not None]
    return all(a.dtype == cupy.float32 and a.flags.c_contiguous and a.size < 2**31 for a in there)


def _at_once(length: int, *arrays: Any) -> int:
    """How many numbers can be moved at once of arrays whose rows have this length."""
    addresses = [array.data.ptr if hasattr(array.data, "ptr") else array.ctypes.data for array in arrays]
    return next(n for n in (4, 2, 1) if length % n == 0 and all(address % (4 * n) == 0 for address in addresses))


def _room(way: Plan, blocks: int, counters: int) -> tuple[Any, Any]:
    """Where shares are put down, and what counts those that are done."""
    if max(way.shares) == 1:
        return NOWHERE, NOWHERE
    threads = prod(way.tile) // each(way.tile)
    put_down = cupy.empty(blocks * (each(way.tile) + 1) * threads, cupy.float32)
    size = 1 << (counters - 1).bit_length()
    return put_down, _counters(size, *_where())


@cache
def _counters(size: int, gpu: int, stream: int) -> Any:
    """Zeros (size,), which kernels of one stream leave as they find them."""
    return cupy.zeros(size, cupy.uint32)


def _where() -> tuple[int, int]:
    """The GPU and the stream that are worked on."""
    return cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr


@cache
def _gpu(number: int) -> tuple[int, int]:
    """How many multiprocessors it has, and its compute capability, such as 90."""
    gpu = cupy.cuda.Device(number)
    return int(gpu.attributes["MultiProcessorCount"]), int(gpu.compute_capability)


def _multiprocessors() -> int:
    return _gpu(_where()[0])[0]


def _tf32() -> bool:
    """Whether tensor cores are to multiply, as they can from sm_80 on."""
    asked = settings.get_compute_type(cupy.dtype("float32")) == settings.COMPUTE_TYPE_TF32
    return bool(asked and _gpu(_where()[0])[1] >= 80)
