"""cuBLAS by a handle of our own, on a GPU, against NumPy."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lettergpu.backends.libraries import LIBRARIES, resolve

cupy = pytest.importorskip("cupy")
pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def gpu():
    if trouble := LIBRARIES["cuda"].devices()[1]:
        pytest.skip(trouble)
    return resolve("cuda")[0]


def laid_out(draw, values):
    """The values on the GPU, by rows or by columns, perhaps a part of a larger array."""
    rows, columns = values.shape[-2:]
    extra, by_columns = draw(st.integers(0, 3)), draw(st.booleans())
    outer = values.shape[:-2]
    if by_columns:
        there = cupy.full((*outer, columns, rows + extra), np.nan, values.dtype).swapaxes(-1, -2)[..., :rows, :]
    else:
        there = cupy.full((*outer, rows, columns + extra), np.nan, values.dtype)[..., :columns]
    there[...] = cupy.asarray(values)
    return there


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_products_are_numpys(data):
    from lettergpu.backends.cublas import product

    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    rows, inner, columns = (data.draw(st.integers(1, 40)) for _ in range(3))
    members = data.draw(st.sampled_from([(), (1,), (3,)]))
    shared = data.draw(st.sampled_from(["a", "b", ""]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    a = rng.normal(size=(*(members if shared != "a" else ()), rows, inner)).astype(dtype)
    b = rng.normal(size=(*(members if shared != "b" or shared == "a" else ()), inner, columns)).astype(dtype)
    there = laid_out(data.draw, a), laid_out(data.draw, b)
    expected = a.astype(np.float64) @ b
    close = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(product(*there).get(), expected, **close)
    out = cupy.full(expected.shape, np.nan, dtype)
    assert product(*there, out) is out
    np.testing.assert_allclose(out.get(), expected, **close)
    assert product(*there, out, add=True) is out
    np.testing.assert_allclose(out.get(), 2 * expected, **close)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (cupy.zeros((3, 4), "float16"), cupy.zeros((4, 2), "float16")),
        (cupy.zeros((3, 4), "float32"), cupy.zeros((4, 2), "float64")),
        (cupy.zeros((3, 8), "float32")[:, ::2], cupy.zeros((4, 2), "float32")),
        (cupy.zeros((0, 4), "float32"), cupy.zeros((4, 2), "float32")),
        (cupy.zeros((3, 4), "float32"), cupy.zeros((5, 2), "float32")),
        (cupy.zeros((2, 3, 4), "float32"), cupy.zeros((3, 4, 2), "float32")),
        (cupy.zeros((1, 2, 3, 4), "float32"), cupy.zeros((4, 2), "float32")),
        (np.zeros((3, 4), "float32"), np.zeros((4, 2), "float32")),
    ]
    if not LIBRARIES["cuda"].devices()[1]
    else [],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_what_it_is_not_for_is_left_to_others(a, b):
    from lettergpu.backends.cublas import product

    assert product(a, b) is NotImplemented


def test_results_that_do_not_fit_are_left_to_others():
    from lettergpu.backends.cublas import product

    a, b = cupy.zeros((3, 4), "float32"), cupy.zeros((4, 2), "float32")
    for out in (cupy.zeros((2, 3), "float32").T, cupy.zeros((3, 3), "float32"), cupy.zeros((3, 2), "float64")):
        assert product(a, b, out) is NotImplemented


def test_each_thread_has_a_handle_that_goes_with_it():
    from lettergpu.backends import cublas

    found = []

    def work():
        found.append(cublas.product(cupy.ones((2, 3)), cupy.ones((3, 2))).tolist())
        found.append(next(iter(cublas._handles.of_gpu.values())))

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] == found[2] == [[3, 3], [3, 3]]
    assert found[1] is not found[3]


def test_tf32_rounds_factors_to_ten_bits():
    from lettergpu.backends.cublas import product

    a = cupy.full((16, 16), 1 + 2**-12, "float32")
    try:
        resolve("cuda", "tf32")
        rounded = product(a, a)
    finally:
        resolve("cuda", "float32")
    assert (rounded == 16).all()
    assert (product(a, a) != 16).all()
