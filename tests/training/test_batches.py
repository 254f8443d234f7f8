import dataclasses

import numpy as np

from lettergpu.backends.device import CPU
from lettergpu.config import Config
from lettergpu.data.letters import Examples
from lettergpu.nn.warps import moved, rotations
from lettergpu.training import batches as module
from lettergpu.training.batches import Batches
from lettergpu.training.distortions import draw_angles

PLAIN = dataclasses.replace(Config.recipe("report"), augment="none", batch_size=32)


def epoch_of(letters, config, epoch=1, device=CPU, rows=None):
    """The parts of an epoch and its pieces."""
    rows = np.arange(len(letters.train)) if rows is None else rows
    batches = Batches(letters.train, rows, config, device, device.namespace.float32)
    batches.draw(epoch, device.put(np.arange(1, 1 + batches.steps, dtype=np.float32)))
    pieces = []
    for part in batches.parts:
        pieces.append(batches.piece(part))
        batches.number += int(part.last)
    return batches.parts, pieces


def test_an_epoch_holds_every_row_once_with_its_label(few_letters, device):
    rows = np.arange(0, 400, 3)
    parts, pieces = epoch_of(few_letters, PLAIN, device=device, rows=rows)
    assert [piece.x.shape[0] for piece in pieces] == [32, 32, 32, 32, 6]
    assert parts == [(0, 32, 32, 32, True, True)] * 4 + [(0, 6, 6, 6, True, True)]
    assert [float(piece.rate[0]) for piece in pieces] == [1, 2, 3, 4, 5]
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


def test_turned_rows_are_the_rotated_images_with_their_own_labels(few_letters, device):
    config = dataclasses.replace(PLAIN, batch_size=64, augment="rotate")
    names = np.random.default_rng(16).permutation(400)  # a label that names its row
    letters = dataclasses.replace(few_letters, train=Examples(few_letters.train.images, names))
    _, pieces = epoch_of(letters, config, device=device)
    x = np.concatenate([device.fetch(piece.x) for piece in pieces]).reshape(-1, 28, 28)
    rows = np.argsort(names)[np.concatenate([device.fetch(piece.labels) for piece in pieces])]
    assert sorted(rows) == list(range(400))
    angles = draw_angles(np.arange(400), config, config.seed, 1)[rows]
    assert 0 < (angles == 0).sum() < 400
    plain = letters.train.images[rows].astype(np.float32) / 255
    np.testing.assert_allclose(x, moved(plain, rotations(angles, 28, 28)), atol=1e-5)
    np.testing.assert_array_equal(x[angles == 0], plain[angles == 0])
