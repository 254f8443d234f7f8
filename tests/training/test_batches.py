import dataclasses

import numpy as np
import pytest

from lettergpu.backends.device import CPU
from lettergpu.config import Config
from lettergpu.data.letters import Examples
from lettergpu.nn.warps import moved, rotations
from lettergpu.randomness import generator
from lettergpu.training import batches as module
from lettergpu.training.batches import Batches, draw_angles, draw_maps

PLAIN = dataclasses.replace(Config.recipe("report"), augment="none", batch_size=32)


def epoch_of(letters, config, epoch=1, device=CPU, rows=None):
    """The parts of an epoch and its pieces."""
    rows = np.arange(len(letters.train)) if rows is None else rows
    batches = Batches(letters.train, rows, config, device, device.namespace.float32)
    batches.draw(epoch)
    return batches.parts, [batches.piece(number) for number in range(len(batches.parts))]


def test_an_epoch_holds_every_row_once_with_its_label(few_letters, device):
    rows = np.arange(0, 400, 3)
    parts, pieces = epoch_of(few_letters, PLAIN, device=device, rows=rows)
    assert [piece.x.shape[0] for piece in pieces] == [32, 32, 32, 32, 6]
    assert [part.number for part in parts] == [0, 1, 2, 3, 4]
    assert all(part.first and part.last and part.batch == part.stop - part.start for part in parts)
    x = np.concatenate([device.fetch(piece.x) for piece in pieces])
    labels = np.concatenate([device.fetch(piece.labels) for piece in pieces])
    expected = few_letters.train.images[rows].reshape(-1, 784).astype(np.float32) / 255
    order = np.lexsort(x.T), np.lexsort(expected.T)
    np.testing.assert_array_equal(x[order[0]], expected[order[1]])
    np.testing.assert_array_equal(labels[order[0]], few_letters.train.labels[rows][order[1]])


def test_the_order_follows_from_seed_and_epoch_alone(few_letters):
    def labels(epoch, **changes):
        config = dataclasses.replace(PLAIN, **changes)
        return np.concatenate([piece.labels for piece in epoch_of(few_letters, config, epoch)[1]]).tolist()

    assert labels(3) == labels(3)
    assert labels(3) != labels(4)
    assert labels(3) != labels(3, seed=1)
    assert labels(3, shuffle=False) == labels(4, shuffle=False) == few_letters.train.labels.tolist()


def test_pieces_of_a_full_batch(few_letters, monkeypatch):
    monkeypatch.setattr(module, "PIECE", 150)
    parts, pieces = epoch_of(few_letters, dataclasses.replace(PLAIN, batch_size=0))
    assert [(len(piece.x), part.batch, part.first, part.last) for part, piece in zip(parts, pieces, strict=True)] == [
        (150, 400, True, False),
        (150, 400, False, False),
        (100, 400, False, True),
    ]


def test_about_half_are_turned_by_10_to_15_degrees_either_way():
    degrees = np.degrees(draw_angles(20_000, Config(), epoch=1))
    turned = degrees[degrees != 0]
    assert len(turned) / len(degrees) == pytest.approx(0.5, abs=0.015)
    assert np.abs(turned).min() >= 10 - 1e-4
    assert np.abs(turned).max() <= 15 + 1e-4
    assert (turned > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (draw_angles(100, Config(), epoch=2) != draw_angles(100, Config(), epoch=1)).any()
    assert not draw_angles(100, Config(rotation_chance=0.0), epoch=1).any()


def test_elastic_bends_every_image_on_top_of_the_affine_map():
    config = Config(augment="elastic", elastic=(1.5, 4.0))
    moves, maps = draw_maps(4000, config, epoch=1)
    assert moves.all()
    assert maps.shape == (4000, 2, 28)
    affine = draw_maps(4000, dataclasses.replace(config, augment="affine"), epoch=1)[1]
    np.testing.assert_array_equal(maps[:, :, :3], affine.astype(np.float32))
    basis = np.cos(np.pi / 28 * np.arange(5) * (np.arange(28)[:, None] + 0.5))
    fields = basis @ maps[:, :, 3:].reshape(4000, 2, 5, 5) @ basis.T
    assert np.sqrt((fields**2).mean()) == pytest.approx(1.5, rel=0.03)
    assert (draw_maps(5, config, epoch=2)[1] != draw_maps(5, config, epoch=1)[1]).any()


def test_affine_maps_move_every_image_within_what_is_allowed():
    config = Config(augment="affine", affine=(10.0, 2.0, 0.1, 0.2))
    moved, maps = draw_maps(20_000, config, epoch=1)
    assert moved.all()
    centre = np.asarray([13.5, 13.5, 1.0])
    shifts = maps @ centre - 13.5
    assert np.abs(shifts).max() == pytest.approx(2.0, abs=0.01)
    assert np.abs(shifts.mean(axis=0)).max() < 0.05
    areas = np.log(np.linalg.det(maps[:, :, :2]))  # of two scales
    assert np.abs(areas).max() == pytest.approx(0.2, abs=0.01)
    plain = draw_maps(5, dataclasses.replace(config, affine=(0.0, 0.0, 0.0, 0.0)), epoch=1)[1]
    np.testing.assert_allclose(plain, np.tile([[1, 0, 0], [0, 1, 0]], (5, 1, 1)), atol=1e-12)
    sheared = draw_maps(20_000, dataclasses.replace(config, affine=(0.0, 0.0, 0.0, 0.2)), epoch=1)[1]
    assert np.abs(sheared[:, 1, 0]).max() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_allclose(sheared[:, 0, :2], np.tile([1.0, 0.0], (20_000, 1)))


def test_turned_rows_are_the_rotated_images_with_their_own_labels(few_letters, device):
    config = dataclasses.replace(PLAIN, batch_size=64, augment="rotate")
    names = np.random.default_rng(16).permutation(400)  # a label that names its row
    letters = dataclasses.replace(few_letters, train=Examples(few_letters.train.images, names))
    _, pieces = epoch_of(letters, config, device=device)
    x = np.concatenate([device.fetch(piece.x) for piece in pieces]).reshape(-1, 28, 28)
    rows = np.argsort(names)[np.concatenate([device.fetch(piece.labels) for piece in pieces])]
    assert sorted(rows) == list(range(400))
    angles = np.empty(400, np.float32)
    angles[generator(config.seed, "order", 1).permutation(400)] = draw_angles(400, config, 1)
    plain = letters.train.images[rows].astype(np.float32) / 255
    np.testing.assert_allclose(x, moved(plain, rotations(angles[rows], 28, 28)), atol=1e-5)
