import numpy as np
import pytest

from lettergpu.augment import affine, rotations, warp


def pictures(count=5, height=28, width=28, seed=13):
    return np.random.default_rng(seed).random((count, height, width))


def rotate(images, angles):
    return affine(images, rotations(angles, *images.shape[1:]))


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


def test_turning_there_and_back_keeps_a_smooth_picture(device):
    y, x = np.mgrid[:28, :28] - 13.5
    blob = np.exp(-((x - 2) ** 2 + (y + 3) ** 2) / 60)[None]
    angle = np.radians([12.0])
    there = rotate(device.put(blob), device.put(angle))
    back = device.fetch(rotate(there, device.put(-angle)))
    inside = np.s_[0, 7:21, 7:21]
    assert np.abs(back - blob)[inside].max() < 0.02
    assert np.abs(device.fetch(there) - blob)[inside].max() > 0.05


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
