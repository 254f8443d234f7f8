"""A step on the CPU that is recorded and made again comes to the bits of the step."""

import dataclasses
import gc
import threading

import numpy as np
import pytest
from conftest import numpy_by

from lettergpu.backends import cpu, host
from lettergpu.backends.device import CPU, one_by_one
from lettergpu.config import Config
from lettergpu.data.letters import Examples
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.nn.layers import Dense
from lettergpu.training import loop
from lettergpu.training.loop import Trainer
from lettergpu.training.optimizers import Momentum

PLAIN = dataclasses.replace(CPU, repeated=one_by_one)
CLASSES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
DEFAULT = Config(hidden=(40, 24), batch_size=50, epochs=4, validation="last", device="cpu")
REPORT = dataclasses.replace(DEFAULT, augment="none", batch_norm=False, moment_norm=False, label_smoothing=0.0)
CONFIGS = {
    "default": DEFAULT,
    "report": REPORT,
    "sigmoid": dataclasses.replace(REPORT, loss="sigmoid", class_weight="balanced"),
    "affine": dataclasses.replace(DEFAULT, augment="affine", activation="mish"),
    "ensemble": dataclasses.replace(DEFAULT, ensemble=3),
    "perceptron": dataclasses.replace(REPORT, hidden=(), nesterov=False, l2=1e-3),
    "whole": dataclasses.replace(REPORT, batch_size=0),
}


pytestmark = pytest.mark.usefixtures("compiled")


def examples(count=230, weights=None):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    images[rng.random(images.shape) < 0.6] = 0
    return Examples(images, rng.integers(0, 26, count), weights)


def trained(config, letters=None, device=CPU, epochs=3):
    """A trainer after some epochs, and what these came to, with the parameters and the velocity."""
    letters, rows = letters or examples(), np.arange(230)
    trainer = Trainer(config, letters, CLASSES, rows[:200], rows[200:], device)
    outcomes = []
    for epoch in range(1, epochs + 1):
        outcomes.append(trainer.epoch(epoch))
        gc.collect()  # what is not kept may be somebody else's from now on
        np.full((64, 1 << 14), np.nan, np.float32)
    return trainer, (outcomes, *(array.tobytes() for array in trainer.snapshot()))


def recorded(trainer):
    """Of each kind of step whether it is."""
    return [part in trainer._steps._again for part in trainer._steps._recorded]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_bits_are_those_of_the_steps_one_by_one(name):
    trainer, came_to = trained(CONFIGS[name])
    assert came_to == trained(CONFIGS[name], device=PLAIN)[1]
    assert recorded(trainer) == [True] * len(set(trainer.batches.parts))


def test_a_last_smaller_batch_and_pieces_of_one_have_their_own(monkeypatch):
    monkeypatch.setattr("lettergpu.training.batches.PIECE", 30)
    config = dataclasses.replace(REPORT, batch_size=80)
    trainer, came_to = trained(config)
    assert came_to == trained(config, device=PLAIN)[1]
    assert len(recorded(trainer)) == 5
    assert all(recorded(trainer))


def test_a_training_goes_on_from_a_state():
    trainer, _ = trained(DEFAULT, epochs=2)
    state = loop.State(2, *trainer.snapshot(), 0, 0.0, trainer.snapshot()[0])
    other, _ = trained(dataclasses.replace(DEFAULT, seed=5), epochs=1)
    for each in (trainer, other):
        each.begin(state)
    assert recorded(trainer) == recorded(other) == [True]
    plain = Trainer(DEFAULT, examples(), CLASSES, np.arange(200), np.arange(200, 230), PLAIN)
    plain.begin(state)
    assert trainer.epoch(3) == plain.epoch(3)
    assert trainer.snapshot()[0].tobytes() == plain.snapshot()[0].tobytes()


def test_weighed_and_large_steps_are_done_as_they_are(monkeypatch):
    letters = examples(weights=np.linspace(0.5, 2.0, 230))
    assert trained(DEFAULT, letters)[1] == trained(DEFAULT, letters, PLAIN)[1]
    monkeypatch.setattr(loop, "FEW", 49)
    trainer, _ = trained(DEFAULT)
    assert not hasattr(trainer._steps, "_again")


def test_so_is_what_an_operation_leaves_to_its_formula(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "relu", ACTIVATIONS["relu"]._replace(name="rectified"))
    config = dataclasses.replace(REPORT, activation="relu", learning_rate=1e-4)
    trainer, came_to = trained(config)
    assert recorded(trainer) == [False]
    assert came_to == trained(config, device=PLAIN)[1]


def test_so_is_all_where_the_formulas_alone_are_wanted():
    with numpy_by(None):
        trainer, came_to = trained(REPORT)
        assert recorded(trainer) == [False]
        assert came_to == trained(REPORT, device=PLAIN)[1]


def test_no_other_thread_is_recorded_with_it():
    found = {}

    def train(name):
        found[name] = trained(CONFIGS[name], epochs=4)[1]

    together = [threading.Thread(target=train, args=(name,)) for name in CONFIGS]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert found == {name: trained(config, device=PLAIN, epochs=4)[1] for name, config in CONFIGS.items()}


def test_so_is_with_a_warning_what_numpy_does_within_a_step(monkeypatch):
    """As somebody may write who tries something: noise on a layer's input, and another optimizer."""
    forward, step = Dense.forward, Momentum.step
    seen = []

    def noisy(layer, x, *, keep=False):
        seen.append(1)
        return forward(layer, x * np.float32(1 + 0.1 * np.sin(len(seen))), keep=keep)

    def slow(optimizer, parameters, gradients):
        step(optimizer, parameters, gradients)
        parameters *= np.float32(0.999)

    for what, name, otherwise in ((Dense, "forward", noisy), (Momentum, "step", slow)):
        with monkeypatch.context() as patch:
            patch.setattr(what, name, otherwise)
            seen.clear()
            with pytest.warns(UserWarning, match="operation by operation"):
                trainer, came_to = trained(REPORT)
            assert recorded(trainer) == [False]
            seen.clear()
            assert came_to == trained(REPORT, device=PLAIN)[1]


def test_so_is_what_calls_a_function_that_is_never_recorded():
    logits, seen = np.zeros((2, 3), np.float32), []

    def work(part):
        seen.append(cpu.softmax(logits)[0, 0])

    for part in host.Replay(work)("aaa"):
        logits[:, 1:] -= np.inf if part else 0
    assert seen == [pytest.approx(1 / 3), 1.0, 1.0]


def test_work_that_fails_is_recorded_no_more():
    def fail(part):
        cpu.count_batch(np.zeros(1, np.int64))
        raise KeyError(part)

    with pytest.raises(KeyError):
        list(host.Replay(fail)(["a"]))
    assert not host.recorded()


def test_replay_is_left_out_where_it_is_not_wanted(monkeypatch):
    monkeypatch.setenv("LETTERGPU_REPLAY", "0")
    trainer, came_to = trained(REPORT)
    assert not hasattr(trainer._steps, "_again")
    assert came_to == trained(REPORT, device=PLAIN)[1]


def test_a_copy_that_numpy_makes_is_not_taken_for_the_library_s_doing():
    letters = examples()
    letters = Examples(letters.images, letters.labels.astype(np.int32), None)
    trainer, came_to = trained(REPORT, letters)
    assert recorded(trainer) == [False]
    assert came_to == trained(REPORT, device=PLAIN)[1]


@pytest.mark.parametrize("label", [-1, 26])
def test_a_label_that_is_no_class_is_refused_before_a_step_reads_beyond_them(label):
    letters = examples()
    letters.labels[7] = label
    with pytest.raises(ValueError, match="from 0 to 25"):
        trained(REPORT, letters)
