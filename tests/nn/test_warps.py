import numpy as np
import pytest

from lettergpu.nn.warps import (
    SIZE,
    about_centre,
    composed,
    moment_frames,
    moved,
    rotations,
    view_maps,
    warp,
    wave_heights,
    waves,
)


def pictures(count=5, height=28, width=28, seed=13):
    return np.random.default_rng(seed).random((count, height, width))


def rotate(images, angles):
    return moved(images, rotations(angles, *images.shape[1:]))


def test_no_turn_changes_nothing(device):
    images = pictures()
    got = rotate(device.put(images), device.put(np.zeros(5)))
    np.testing.assert_allclose(device.fetch(got), images, atol=1e-13)


@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_quarter_turns_are_counter_clockwise_and_exact(quarters, device):
    images = pictures()
    got = rotate(device.put(images), device.put(np.full(5, quarters * np.pi / 2)))
    np.testing.assert_allclose(device.fetch(got), np.rot90(images, quarters, axes=(1, 2)), atol=1e-12)


def test_each_image_has_its_own_angle(device):
    images, angles = pictures(3), np.asarray([0.1, -0.2, 0.3])
    together = device.fetch(rotate(device.put(images), device.put(angles)))
    for i in range(3):
        alone = rotate(device.put(images[i : i + 1]), device.put(angles[i : i + 1]))
        np.testing.assert_array_equal(together[i], device.fetch(alone)[0])


def test_bends_add_waves_to_where_a_pixel_comes_from(device):
    rng = np.random.default_rng(15)
    images, maps = pictures(3, 28, 20), rotations(np.asarray([0.1, 0.0, -0.2]), 28, 20)
    bends = rng.normal(size=(3, 2, 4, 4))
    got = moved(device.put(images), device.put(np.concat([maps, bends.reshape(3, 2, 16)], axis=-1)))
    row, column = np.mgrid[:28, :20]
    for k in range(3):
        y, x = (maps[k, axis] @ np.stack([row, column, np.ones_like(row)]).reshape(3, -1) for axis in range(2))
        for i, j in np.ndindex(4, 4):
            wave = np.cos(np.pi * i * (row + 0.5) / 28) * np.cos(np.pi * j * (column + 0.5) / 20)
            y, x = y + bends[k, 0, i, j] * wave.ravel(), x + bends[k, 1, i, j] * wave.ravel()
        expected = warp(images[k : k + 1], y.reshape(1, 28, 20), x.reshape(1, 28, 20))
        np.testing.assert_allclose(device.fetch(got)[k], expected[0], atol=1e-12)


@pytest.mark.parametrize("sigma", [4.0, 7.0])
def test_bends_are_smoothed_noise_of_mean_square_1(sigma):
    """Against SciPy's way: noise, filtered by a Gaussian that is mirrored at the borders, its mean taken away."""
    n, rng = 8, np.random.default_rng(16)
    noise = rng.normal(size=(4000, n, n)) * wave_heights(sigma, n, 28)
    basis = np.asarray(waves(np.zeros((1, 2, 3 + n * n)), 28))
    ours = basis @ noise @ basis.T
    assert (ours**2).mean() == pytest.approx(1, rel=0.05)
    place = np.arange(-56, 84)
    kernel = np.exp(-((place[:, None] - np.arange(28)) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    mirrored = np.where((place // 28) % 2 == 0, place % 28, 27 - place % 28)
    smooth = np.zeros((28, 28))
    np.add.at(smooth, mirrored, kernel)
    theirs = smooth.T @ rng.normal(size=(4000, 28, 28)) @ smooth
    theirs -= theirs.mean(axis=(1, 2), keepdims=True)
    theirs /= np.sqrt((theirs**2).mean())
    for apart in (1, 5, 10):
        together = [(field[:, :, apart:] * field[:, :, :-apart]).mean() for field in (ours, theirs)]
        assert together[0] == pytest.approx(together[1], abs=0.06)


def test_turning_there_and_back_keeps_a_smooth_picture(device):
    y, x = np.mgrid[:28, :28] - 13.5
    blob = np.exp(-((x - 2) ** 2 + (y + 3) ** 2) / 60)[None]
    angle = np.radians([12.0])
    there = rotate(device.put(blob), device.put(angle))
    back = device.fetch(rotate(there, device.put(-angle)))
    inside = np.s_[0, 7:21, 7:21]
    assert np.abs(back - blob)[inside].max() < 0.02
    assert np.abs(device.fetch(there) - blob)[inside].max() > 0.05


def test_composed_maps_move_as_one_after_the_other(device):
    """Of an image that rises evenly, from which bilinear sampling takes nothing."""
    rng = np.random.default_rng(17)
    row, column = np.mgrid[:40, :40]
    ramp = np.stack([0.3 * row - 0.1 * column, 0.2 * column + 7.0])
    first = about_centre(np.eye(2) + rng.uniform(-0.1, 0.1, (2, 2, 2)), rng.uniform(-2, 2, (2, 2)), 40, 40)
    then = np.concat([rotations(np.asarray([0.2, -0.1]), 40, 40), rng.uniform(-0.5, 0.5, (2, 2, 9))], axis=-1)
    both = moved(device.put(ramp), composed(device.put(first), device.put(then)))
    after = moved(moved(device.put(ramp), device.put(first)), device.put(then))
    inside = np.s_[:, 12:28, 12:28]
    np.testing.assert_allclose(device.fetch(both)[inside], device.fetch(after)[inside], atol=1e-10)
    assert np.abs(device.fetch(both) - ramp)[inside].mean() > 0.1


@pytest.mark.parametrize("count", [1, 3, 9, 27])
def test_views_are_all_about_the_image_as_it_is(count):
    maps = np.asarray(view_maps(count, 28, 20))
    assert maps.shape == (count, 2, 3)
    np.testing.assert_allclose(maps[count // 2], np.eye(2, 3), atol=1e-12)
    middle = np.asarray([13.5, 9.5, 1.0])
    np.testing.assert_allclose(maps @ middle, np.broadcast_to(middle[:2], (count, 2)), atol=1e-12)
    sizes = np.linalg.det(maps[:, :, :2])
    assert len(np.unique(sizes.round(9))) == (3 if count == 27 else 1)
    assert len(np.unique(maps.round(9), axis=0)) == count
    if count > 1:  # turned by 6 degrees, whatever else; as `rotations` has it
        turned = np.asarray(rotations(np.radians([-6.0]), 28, 20))[0]
        np.testing.assert_allclose(maps[(0, 1, 4)[(3, 9, 27).index(count)]], turned, atol=1e-12)


def letter(slant=0.0, y=0.0, x=0.0, size=1.0):
    """A thick cross, (28, 28) uint8."""
    row, column = np.mgrid[:28, :28] - 13.5
    row, column = (row - y) / size, (column - x) / size
    column = column - slant * row
    ink = np.exp(-((column / 2) ** 4)) * (np.abs(row) < 10) + np.exp(-((row / 2) ** 4)) * (np.abs(column) < 8)
    return np.round(255 * np.minimum(ink, 1)).astype(np.uint8)


def framed(device, *images):
    there = device.put(np.stack(images))
    xp = device.namespace
    return device.fetch(moved(xp.astype(there, xp.float64), moment_frames(there, xp.float64))) / 255


def moments(image):
    """Centre of mass and covariance, from the middle."""
    places = np.stack(np.mgrid[:28, :28] - 13.5).reshape(2, -1)
    return places @ image.ravel() / image.sum(), np.cov(places, aweights=image.ravel(), ddof=0)


def test_letters_are_brought_to_one_place_slant_and_size(device):
    plain, *others = framed(device, letter(), letter(0.3), letter(-0.2, 2.0, -1.5), letter(0.1, size=0.9))
    assert np.abs(letter(0.3) / 255.0 - letter() / 255.0).mean() > 0.03
    for image in others:
        assert np.abs(image - plain).mean() < 0.02
    for image in (plain, *others):
        centre, covariance = moments(image)
        assert np.abs(centre).max() < 0.1
        assert abs(covariance[0, 1]) < 0.7


@pytest.mark.parametrize(("height", "width"), [(16, 8), (10, 20), (18, 18)])
def test_size_is_the_same_and_aspect_becomes_its_root(height, width, device):
    block = np.zeros((28, 28), np.uint8)
    block[28 - height >> 1 : 28 + height >> 1, 28 - width >> 1 : 28 + width >> 1] = 255
    tall, wide = np.sqrt(np.diag(moments(framed(device, block)[0])[1]))
    assert tall / wide == pytest.approx(np.sqrt(height / width), rel=0.03)
    # a block's standard deviation is its side over the root of 12; stretching keeps the product of both
    expected = height * width * SIZE**2 / (height**2 + width**2)
    assert tall * wide == pytest.approx(expected, rel=0.04)


def test_what_has_no_ink_or_no_height_stays_finite(device):
    dash = np.zeros((28, 28), np.uint8)
    dash[13, 4:24] = 255
    empty, line = framed(device, np.zeros((28, 28), np.uint8), dash)
    assert not empty.any()
    assert np.isfinite(line).all()
    assert line.any()


def bilinear(image, y, x):
    """One sample, corner by corner."""
    total = 0.0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_warp_is_bilinear_and_zero_outside(device):
    rng = np.random.default_rng(14)
    images = pictures(2, 6, 9)
    y, x = rng.uniform(-3, 9, (2, 6, 9)), rng.uniform(-3, 12, (2, 6, 9))
    y[0, 0, :4], x[0, 0, :4] = (0, 5, -1, 6), (0, 8, -1, 9)  # corners exactly, and just outside
    got = device.fetch(warp(device.put(images), device.put(y), device.put(x)))
    for i in np.ndindex(y.shape):
        assert got[i] == pytest.approx(bilinear(images[i[0]], y[i], x[i]), abs=1e-12)
