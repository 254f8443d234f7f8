"""The CUDA kernels of a batch, one by one, on the host and where there is one on a GPU, against the formulas."""

import cuda_places
import cupy
import numpy as np
import pytest
from cuda_places import DTYPES, close, dtype_of, eps, layouts

from lettergpu.backends import cuda_batches, dispatch
from lettergpu.nn import draws, pixels
from lettergpu.nn.warps import rotations, waves
from lettergpu.training import batches, metrics

pytestmark, host, place = cuda_places.needs_compiler, cuda_places.host, cuda_places.place
OPERATIONS = [pixels.assemble, draws.uniforms, draws.permuted, batches.windows, metrics.count_in]


@pytest.mark.parametrize("generic", OPERATIONS, ids=lambda generic: generic.__name__)
def test_each_takes_the_place_of_its_operation(generic):
    ours = getattr(cuda_batches, generic.__name__)
    assert dispatch.native(generic.__name__, cupy.ndarray) is ours


def test_draws_have_the_bits_of_the_formulas(place):
    rows, of = np.asarray([0, 5, 2**32 - 1, 7]), draws.stream(2**40 + 3, "elastic", 600)
    for count in (1, 3, 57):
        got = place.fetch(cuda_batches.uniforms(place.put(np.repeat(rows, 2))[::2], count, of))
        np.testing.assert_array_equal(got, draws.uniforms.__wrapped__(rows, count, of))
    a, b = draws.sides(907)
    tables = np.random.default_rng(38).integers(0, min(a, b), (max(a, b), 12))
    got = place.fetch(cuda_batches.permuted(place.put(np.arange(907)), place.put(tables), a, b))
    np.testing.assert_array_equal(got, draws.permuted.__wrapped__(np.arange(907), tables, a, b))
    assert len(np.unique(got)) == 907


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (2, 5)), ("int64", ()), ("float64", (3,)), ("uint8", (4,))])
def test_windows(dtype, shape, place):
    rng, number = np.random.default_rng(41), np.asarray([2])
    arrays = [rng.normal(size=(23, *shape)).astype(dtype), rng.normal(size=5).astype(np.float32), np.empty((0, 2, 3))]
    for size, before, rows in ((6, 0, 6), (6, 3, 2), (10, 0, 3), (10, 2, 1)):
        places = [batches.Window(size, before, rows), batches.Window(1, 0, 1), batches.Window(0, 0, 0)]
        for count in (3, 1):
            taken = cuda_batches.windows(
                place.put(number), [place.put(array) for array in arrays[:count]], places[:count]
            )
            alike = batches.windows.__wrapped__(number, arrays[:count], places[:count])
            for got, of, array in zip(taken, alike, arrays[:count], strict=True):
                assert got.dtype == array.dtype
                np.testing.assert_array_equal(place.fetch(got), of)
        np.testing.assert_array_equal(place.fetch(taken[0]), arrays[0][2 * size + before :][:rows])


def test_windows_that_are_left_to_the_formula(place):
    number, odd = place.put(np.asarray([0])), place.put(np.zeros((4, 1), np.float16))
    one, four = batches.Window(1, 0, 1), place.put(np.zeros((4, 4), np.float32))
    for arrays in ([odd], [four[:, ::2]], [four] * 5):
        assert cuda_batches.windows(number, arrays, [one] * len(arrays)) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
def test_assemble(dtype, place):
    dtype = dtype_of(dtype)
    rng = np.random.default_rng(36)
    images, rows = rng.integers(0, 256, (40, 784)).astype(np.uint8), rng.permutation(40)[:17]
    for moved in (0, 9, 17) if dtype == np.float32 else [9]:
        maps = rotations(rng.uniform(-1, 1, moved), 28, 28)
        maps[:2] *= 1.7  # far outside
        bends = rng.normal(size=(moved, 2, 25 if moved == 9 else 0))
        maps = np.concatenate([maps, bends], axis=-1).astype(dtype)
        got = place.fetch(
            cuda_batches.assemble(place.put(images), place.put(rows), place.put(maps), dtype, waves=waves)
        )
        assert got.dtype == dtype
        expected = pixels.assemble(images, rows, maps.astype(np.float64), np.float64)
        # an error of a coordinate, in pixels, is one of the pixel, whose neighbours differ by up to 1
        computed = eps(np.float64 if dtype == np.float64 else np.float32)
        close(got, expected, rtol=eps(dtype), atol=60 * computed)
        close(got[moved:], expected[moved:], rtol=eps(dtype), atol=0)


def test_assemble_from_any_layout(place):
    rng = np.random.default_rng(37)
    images = rng.integers(0, 256, (10, 784)).astype(np.uint8)
    rows, maps = np.asarray([3, 9, 0, 3]), rotations(np.asarray([0.2, -0.3]), 28, 28).astype(np.float32)
    plain = place.fetch(
        cuda_batches.assemble(place.put(images), place.put(rows), place.put(maps), np.float32, waves=waves)
    )
    every_second, turned = place.put(np.repeat(rows, 2))[::2], place.put(maps.T.copy()).T
    for array in layouts(place, images):
        np.testing.assert_array_equal(
            place.fetch(cuda_batches.assemble(array, every_second, turned, np.float32, waves=waves)), plain
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_count_in(dtype, place):
    losses, right = (place.put(a) for a in (np.arange(5, dtype=dtype), np.arange(5)))
    some = place.put(np.full(4, 0.5, dtype)), place.put(np.asarray([True, False, True, True]))
    cuda_batches.count_in(losses[:4], right[:4], *some)
    assert place.fetch(losses).tolist() == [0.5, 1.5, 2.5, 3.5, 4]
    assert place.fetch(right).tolist() == [1, 1, 3, 4, 4]
