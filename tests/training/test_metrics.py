import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lettergpu.errors import LettergpuError
from lettergpu.nn.network import Network
from lettergpu.training.metrics import (
    Evaluation,
    confusion_matrix,
    evaluate,
    most_confident_errors,
    most_confused,
    ranks,
)


@given(
    logits=hnp.arrays(np.float32, (6, 5), elements=st.integers(-3, 3)),
    labels=hnp.arrays(np.int64, 6, elements=st.integers(0, 4)),
)
def test_rank_is_the_labels_place_in_a_stable_sort(logits, labels):
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [list(order[i]).index(labels[i]) for i in range(6)]
    assert ranks(logits, labels).tolist() == expected


def test_ranks_on_every_namespace(device):
    logits = device.put(np.asarray([[3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, np.nan, 2.0], [np.nan] * 3]))
    got = ranks(logits, device.put(np.asarray([2, 1, 2, 0])))
    assert device.fetch(got).tolist() == [1, 1, 1, 3]


def test_evaluation_counts(device):
    network = Network((784, 3), device=device)
    network.layers[0].bias[...] = device.put(np.asarray([2.0, 1.0, 0.0], np.float32))  # whatever the picture: 0, 1, 2
    images = np.zeros((6, 28, 28), np.uint8)
    result = evaluate(network, images, np.asarray([0, 0, 0, 1, 1, 2]))
    assert [round(result.top(k), 6) for k in (1, 2, 5)] == [0.5, round(5 / 6, 6), 1.0]
    p = np.exp([2.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 0.0]).sum()
    np.testing.assert_allclose(result.loss, -np.log(p[[0, 0, 0, 1, 1, 2]]).mean(), rtol=1e-6)
    np.testing.assert_allclose(result.confidence, p[0], rtol=1e-6)
    assert result.predicted.tolist() == [0] * 6


@pytest.mark.parametrize("value", [3e38, np.nan])
def test_answers_that_are_no_numbers_are_not_given(value, device):
    network = Network((784, 40, 3), activation="relu", device=device)
    network.parameters[...] = value
    images = np.full((2, 28, 28), 255, np.uint8)
    with pytest.raises(LettergpuError, match="the network's answers are no numbers: its parameters are too large"):
        evaluate(network, images, np.asarray([0, 1]))
    with pytest.raises(LettergpuError, match="the network's answers are no numbers: its parameters are too large"):
        network.predict_proba(images)


def test_calibration_error_is_the_mean_distance_of_confidence_from_accuracy():
    # two bins: 0.62 and 0.66 of which one is right, and 1.0, of which two are
    confidence = np.asarray([0.62, 0.66, 1.0, 1.0], np.float32)
    result = Evaluation(0.0, np.asarray([0, 3, 0, 0]), np.zeros(4), confidence)
    assert result.calibration_error() == pytest.approx((0.62 + 0.66 - 1) / 4)
    assert result.scores()["calibration_error"] == result.calibration_error()


def test_confusion_matrix_and_pairs():
    labels, predicted = np.asarray([0, 0, 1, 1, 2, 2, 2]), np.asarray([0, 1, 0, 0, 2, 2, 1])
    matrix = confusion_matrix(labels, predicted, 3)
    assert matrix.tolist() == [[1, 1, 0], [2, 0, 0], [0, 1, 2]]
    assert most_confused(matrix) == [(0, 1, 3), (1, 2, 1)]


def test_most_confident_errors_come_first():
    labels = np.asarray([0, 0, 0, 1, 1])
    result = Evaluation(0.0, np.zeros(5), np.asarray([1, 0, 1, 0, 0]), np.asarray([0.5, 0.99, 0.9, 0.7, 0.9]))
    assert most_confident_errors(labels, result, 3).tolist() == [2, 4, 3]
