"""What may happen to a letter, and how often it does."""

import dataclasses

import numpy as np
import pytest

from lettergpu.config import Config
from lettergpu.training.distortions import draw_angles, draw_maps

ROWS = np.arange(20_000)


@pytest.mark.parametrize("augment", ["rotate", "affine", "elastic"])
def test_a_map_follows_from_seed_epoch_and_row_wherever_it_is_drawn(augment, device):
    config = Config(augment=augment)
    numbers = [7, 0, 74_229, 3]
    there = device.fetch(draw_maps(device.put(np.asarray(numbers)), config, 5, 2))
    assert there.dtype == np.float32
    for row, one in zip(numbers, there, strict=True):
        np.testing.assert_allclose(draw_maps(np.asarray([row]), config, 5, 2)[0], one, rtol=1e-5, atol=1e-5)
    for other in ((6, 2), (5, 3)):
        assert (np.abs(draw_maps(np.asarray(numbers), config, *other) - there) > 1e-3).any()


def test_about_half_are_turned_by_10_to_15_degrees_either_way():
    degrees = np.degrees(draw_angles(ROWS, Config(), 0, 1))
    turned = degrees[degrees != 0]
    assert len(turned) / len(degrees) == pytest.approx(0.5, abs=0.015)
    assert np.abs(turned).min() >= 10 - 1e-4
    assert np.abs(turned).max() <= 15 + 1e-4
    assert (turned > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert not draw_angles(ROWS, Config(rotation_chance=0.0), 0, 1).any()
    assert draw_angles(ROWS, Config(rotation_chance=1.0), 0, 1).all()


def test_what_is_not_turned_has_the_map_that_moves_nothing():
    maps = draw_maps(ROWS, Config(augment="rotate"), 0, 1)
    stay = draw_angles(ROWS, Config(), 0, 1) == 0
    assert (maps[stay] == np.eye(2, 3)).all()
    assert (maps[~stay] != np.eye(2, 3)).any(axis=(1, 2)).all()


def test_elastic_bends_every_image_on_top_of_the_affine_map():
    config = Config(augment="elastic", elastic=(1.5, 4.0))
    maps = draw_maps(ROWS[:4000], config, 0, 1)
    assert maps.shape == (4000, 2, 28)
    affine = draw_maps(ROWS[:4000], dataclasses.replace(config, augment="affine"), 0, 1)
    np.testing.assert_array_equal(maps[:, :, :3], affine)
    basis = np.cos(np.pi / 28 * np.arange(5) * (np.arange(28)[:, None] + 0.5))
    fields = basis @ maps[:, :, 3:].reshape(4000, 2, 5, 5) @ basis.T
    assert np.sqrt((fields**2).mean()) == pytest.approx(1.5, rel=0.03)


def test_affine_maps_move_every_image_within_what_is_allowed():
    config = Config(augment="affine", affine=(10.0, 2.0, 0.1, 0.2))
    maps = draw_maps(ROWS, config, 0, 1).astype(np.float64)
    shifts = maps @ np.asarray([13.5, 13.5, 1.0]) - 13.5
    assert np.abs(shifts).max() == pytest.approx(2.0, abs=0.01)
    assert np.abs(shifts.mean(axis=0)).max() < 0.05
    areas = np.log(np.linalg.det(maps[:, :, :2]))  # of two scales
    assert np.abs(areas).max() == pytest.approx(0.2, abs=0.01)
    plain = draw_maps(ROWS[:5], dataclasses.replace(config, affine=(0.0, 0.0, 0.0, 0.0)), 0, 1)
    np.testing.assert_array_equal(plain, np.tile([[1, 0, 0], [0, 1, 0]], (5, 1, 1)))
    sheared = draw_maps(ROWS, dataclasses.replace(config, affine=(0.0, 0.0, 0.0, 0.2)), 0, 1)
    assert np.abs(sheared[:, 1, 0]).max() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(sheared[:, 0, :2], np.tile([1.0, 0.0], (20_000, 1)))
    turned = draw_maps(ROWS, dataclasses.replace(config, affine=(10.0, 0.0, 0.0, 0.0)), 0, 1)
    assert np.degrees(np.abs(np.arcsin(turned[:, 0, 1]))).max() == pytest.approx(10, abs=0.02)
    np.testing.assert_allclose(turned[:, 0, 1], -turned[:, 1, 0], atol=1e-7)
