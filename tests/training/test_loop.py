import dataclasses
import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from conftest import numpy_by

from lettergpu.backends import dispatch
from lettergpu.backends.device import CPU, Device
from lettergpu.backends.libraries import LIBRARIES, resolve
from lettergpu.config import Config
from lettergpu.data.letters import Examples, load_letters
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.nn.network import Network
from lettergpu.randomness import generator
from lettergpu.training import batches as batches_module
from lettergpu.training import loop
from lettergpu.training.batches import Batches
from lettergpu.training.loop import Diverged, Trainer, class_weights, fit
from lettergpu.training.metrics import Tally
from lettergpu.training.schedules import learning_rates

SMALL = dataclasses.replace(
    Config.recipe("report"),
    hidden=(24, 16),
    batch_size=32,
    learning_rate=0.01,
    init="he",
    epochs=4,
    patience=0,
    device="cpu",
)


def parameters_after(config, letters, **kwargs):
    *_, report = fit(config, letters, **kwargs)
    return report.state.parameters


def test_it_learns(few_letters, device):
    reports = list(fit(SMALL, few_letters, device=device))
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert reports[-1].val_loss < 0.5 * reports[0].val_loss
    assert reports[-1].val_accuracy > 0.9
    assert reports[-1].train_loss < reports[0].train_loss


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sigmoid", "nesterov": True, "l2": 1e-3},
        {"hidden": (), "batch_size": 0, "class_weight": "balanced"},
        {"batch_norm": True},
        {"moment_norm": True},
    ],
    ids=["default", "sigmoid", "perceptron", "batch_norm", "moment_norm"],
)
def test_every_namespace_has_the_same_losses(changes, few_letters, device):
    config = dataclasses.replace(SMALL, epochs=3, **changes)
    ours = [(report.train_loss, report.val_loss) for report in fit(config, few_letters, device=device)]
    with numpy_by(None):
        numpys = [(report.train_loss, report.val_loss) for report in fit(config, few_letters)]
    # kernels round otherwise than the formulas do, and a training multiplies the difference
    by_kernels = type(device.put(np.zeros(1))).__module__ in dispatch.NATIVE
    np.testing.assert_allclose(ours, numpys, rtol=1e-3 if by_kernels else 2e-4)


def test_two_runs_are_bitwise_equal(few_letters, device):
    np.testing.assert_array_equal(
        parameters_after(SMALL, few_letters, device=device), parameters_after(SMALL, few_letters, device=device)
    )
    assert (
        parameters_after(SMALL, few_letters) != parameters_after(dataclasses.replace(SMALL, seed=1), few_letters)
    ).any()


@dataclasses.dataclass(frozen=True)
class Counting(Device):
    """A device that counts what crosses between it and the host."""

    crossings: dict = dataclasses.field(default_factory=lambda: {"put": 0, "fetch": 0})

    def put(self, array):
        self.crossings["put"] += 1
        return super().put(array)


def counting(device):
    def fetch(array):
        there.crossings["fetch"] += 1
        return device.fetch(array)

    there = Counting(device.name, device.namespace, device.handle, fetch, repeated=device.repeated)
    return there


@contextmanager
def unasked(device):
    """CuPy raises where the host waits for the GPU; array_api_strict's second device does where the host reads it."""
    if device.namespace.__name__ != "array_api_compat.cupy":
        yield
        return
    import cupyx

    with cupyx.allow_synchronize(False):
        yield


def test_nothing_crosses_to_the_host_during_an_epoch(few_letters, device, monkeypatch):
    there = counting(device)
    seen = []

    def epoch_alone(*arguments):
        before = dict(there.crossings)
        monkeypatch.setattr(Tally, "means", lambda self, *count: (0.0, 0.0))
        with unasked(there):
            real_epoch(*arguments)
        monkeypatch.undo()
        seen.append({name: count - before[name] for name, count in there.crossings.items()})
        return 1.0, 1.0

    real_epoch = Trainer.train
    fitting = fit(dataclasses.replace(SMALL, epochs=2), few_letters, device=there)
    for _ in range(2):
        monkeypatch.setattr(Trainer, "train", epoch_alone)
        next(fitting)
    assert seen == [{"put": 0, "fetch": 0}] * 2  # what an epoch needs is drawn there


@pytest.mark.cuda
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": "none", "activation": "relu", "l2": 1e-3, "batch_size": 0},
        {"augment": "elastic", "moment_norm": True, "batch_norm": True, "patience": 3, "schedule": "cosine"},
        {"ensemble": 3, "batch_norm": True, "augment": "affine", "loss": "sigmoid", "class_weight": "balanced"},
    ],
    ids=["rotated", "pieces", "distorted", "ensemble"],
)
def test_replayed_steps_are_the_steps(changes, few_letters, monkeypatch):
    if trouble := LIBRARIES["cuda"].devices()[1]:
        pytest.skip(trouble)
    from lettergpu.backends.replay import Replay

    monkeypatch.setattr(batches_module, "PIECE", 150)
    config = dataclasses.replace(SMALL, **{"batch_size": 48, "epochs": 5} | changes)
    found = []
    for replay in "01":
        monkeypatch.setenv("LETTERGPU_REPLAY", replay)
        device, recorded = resolve("cuda")[0], []
        if replay == "1":
            patched = partial(record_into, recorded, Replay._recorded)
            monkeypatch.setattr(Replay, "_recorded", lambda *arguments, patched=patched: patched(*arguments))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reports = list(fit(config, few_letters, device=device))
        found.append([(report.train_loss, report.val_loss, report.state.parameters.tobytes()) for report in reports])
    assert found[0] == found[1]
    pieces = len(set(Batches(few_letters.train, np.arange(320), config, CPU, np.float32).parts))
    assert len(recorded) == pieces + 1  # and the validation


def record_into(recorded, real, replay, part):
    recorded.append(part)
    return real(replay, part)


def test_images_without_room_on_the_device_are_streamed(few_letters, device):
    if device.namespace is CPU.namespace:
        pytest.skip("the CPU streams nothing")
    there = counting(device)
    full = dataclasses.replace(counting(device), free=lambda: 1000)
    config = dataclasses.replace(SMALL, epochs=2)
    np.testing.assert_array_equal(
        parameters_after(config, few_letters, device=full), parameters_after(config, few_letters, device=there)
    )
    both_sets, batches_of_both_epochs = 2, 20
    assert full.crossings["put"] == there.crossings["put"] - both_sets + batches_of_both_epochs


@pytest.mark.parametrize(
    "changes",
    [{}, {"augment": "none", "l2": 1e-3}, {"batch_norm": True, "moment_norm": True, "augment": "elastic"}],
    ids=["rotated", "plain", "distorted"],
)
def test_an_ensemble_is_what_its_seeds_train_alone(changes, few_letters, device):
    config = dataclasses.replace(SMALL, epochs=2, validation="last", seed=3, **changes)  # else the seed parts them, too
    *_, report = fit(dataclasses.replace(config, ensemble=3), few_letters, device=device)
    together = report.network
    assert together.members == 3
    losses = []
    for number in range(3):
        *_, alone = fit(dataclasses.replace(config, seed=3 + number), few_letters, device=device)
        losses.append(alone.train_loss)
        got, expected = (device.fetch(network.parameters) for network in (together.member(number), alone.network))
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
    assert report.train_loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert min(abs(np.diff(losses))) > 1e-3 * losses[0]


def test_side_by_side_is_bit_for_bit_what_each_comes_to_alone(few_letters):
    config = dataclasses.replace(SMALL, epochs=2, validation="last", augment="affine", batch_norm=True)
    *_, report = fit(dataclasses.replace(config, ensemble=2), few_letters)
    for number in range(2):
        expected = parameters_after(dataclasses.replace(config, seed=number), few_letters)
        np.testing.assert_array_equal(report.network.member(number).parameters, expected)


@pytest.mark.parametrize(
    "changes", [{}, {"batch_norm": True}, {"ensemble": 2}], ids=["plain", "normalised", "ensemble"]
)
def test_going_on_from_a_state_is_the_same_training(changes, few_letters):
    config = dataclasses.replace(SMALL, **changes)
    reports = list(fit(config, few_letters))
    state = next(iter(fit(config, few_letters))).state
    resumed = list(fit(config, few_letters, state=state))
    assert [report.epoch for report in resumed] == [2, 3, 4]
    for name in ("parameters", "velocity", "best_parameters"):
        np.testing.assert_array_equal(getattr(resumed[-1].state, name), getattr(reports[-1].state, name))


@pytest.fixture
def unlearnable(few_letters):
    """Letters with labels drawn at random: what is learnt of them makes the validation loss worse."""
    labels = np.random.default_rng(20).permutation(few_letters.train.labels)
    return dataclasses.replace(few_letters, train=Examples(few_letters.train.images, labels))


@pytest.mark.parametrize("augment", ["none", "rotate", "elastic"])
def test_what_is_trained_on_is_what_is_answered(augment, few_letters, monkeypatch):
    """Letters that are moved by their moments and not augmented are what the network sees when it answers."""
    config = dataclasses.replace(SMALL, moment_norm=True, augment=augment, rotation_chance=0.5, epochs=1)
    seen, rows = [], []
    forward = Network.forward

    def spy(network, x, *, keep=False):
        (seen if keep else rows).append(x)
        return forward(network, x, keep=keep)

    monkeypatch.setattr(Network, "forward", spy)
    monkeypatch.setenv("LETTERGPU_REPLAY", "0")  # else the first step alone is seen
    *_, report = fit(config, few_letters)
    trained_on = np.concatenate(seen)
    rows.clear()
    list(report.network.answers(few_letters.train.images[few_letters.hold_out(0.2, 0)[0]]))
    answered = np.concatenate(rows)
    assert answered.shape == trained_on.shape
    same = (np.abs(answered[:, None] - trained_on[None]).max(axis=2) < 1e-5).any(axis=1).mean()
    assert same == 1 if augment == "none" else same < 0.1 if augment == "elastic" else 0.3 < same < 0.7


def test_the_best_parameters_are_kept(unlearnable):
    config = dataclasses.replace(SMALL, epochs=40, patience=40, augment="none")
    reports = list(fit(config, unlearnable))
    best = min(reports, key=lambda report: report.val_loss)
    assert best.epoch < 40, "this training must get worse again, to test anything"
    np.testing.assert_array_equal(reports[-1].network.parameters, best.state.parameters)
    assert (reports[-1].state.parameters != best.state.parameters).any()


def test_without_patience_the_last_parameters_are_kept(unlearnable):
    *_, report = fit(dataclasses.replace(SMALL, epochs=40, augment="none"), unlearnable)
    assert report.state.best_epoch == 40
    np.testing.assert_array_equal(report.network.parameters, report.state.parameters)


def test_patience_ends_it(unlearnable):
    config = dataclasses.replace(SMALL, epochs=200, patience=3, augment="none")
    reports = list(fit(config, unlearnable))
    losses = [report.val_loss for report in reports]
    assert len(reports) == np.argmin(losses) + 1 + 3 < 200


def test_a_full_batch_in_pieces_is_the_same_step(few_letters, monkeypatch):
    config = dataclasses.replace(SMALL, batch_size=0, augment="none", learning_rate=0.5)
    whole = parameters_after(config, few_letters)
    monkeypatch.setattr(batches_module, "PIECE", 70)
    np.testing.assert_allclose(parameters_after(config, few_letters), whole, rtol=1e-3, atol=1e-5)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sigmoid"},
        {"l2": 0.3},
        {"class_weight": "balanced"},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True, "l2": 0.1, "class_weight": "balanced"},
        {"init": "he"},
    ],
    ids=str,
)
def test_full_batch_gradient_descent_is_the_reports(changes, few_letters):
    """Three steps from the formulas in float64: theta - rate / m sum((y_hat - y) x), and what else is asked for."""
    rare = Examples(few_letters.train.images, np.minimum(few_letters.train.labels, 2))  # one class twice as frequent
    letters = dataclasses.replace(few_letters, train=rare)
    plain = {"momentum": 0.0, "init": "report", "batch_size": 0, "augment": "none", "hidden": ()}
    config = dataclasses.replace(
        Config.recipe("report"), **plain | {"learning_rate": 0.05, "epochs": 3, "device": "cpu"} | changes
    )
    reports = list(fit(config, letters))

    start = Network((784, 26))
    start.initialize(generator(config.seed, "parameters"), config.init)
    weight, bias = (view.astype(np.float64) for view in (start.layers[0].weight, start.layers[0].bias))
    rows, held = letters.hold_out(0.2, 0)
    x = rare.images.reshape(-1, 784) / 255
    y = np.eye(26)[rare.labels]
    each = class_weights(rare.labels[rows], 26, config.class_weight)[rare.labels]
    predict = {"softmax": softmax, "sigmoid": sigmoid}[config.loss]
    velocity_w, velocity_b = np.zeros_like(weight), np.zeros_like(bias)

    def mean_loss(which):
        p = predict(x[which] @ weight + bias)
        terms = y[which] * np.log(p) + (config.loss == "sigmoid") * (1 - y[which]) * np.log(1 - p)
        return -(terms.sum(axis=1) * each[which]).mean()

    for report in reports:
        assert report.train_loss == pytest.approx(mean_loss(rows), rel=1e-4)
        prediction = predict(x[rows] @ weight + bias)
        right = prediction.argmax(axis=1) == rare.labels[rows]
        assert report.train_accuracy == pytest.approx(right.mean())
        delta = (prediction - y[rows]) * each[rows, None] / len(rows)
        gradient_w, gradient_b = x[rows].T @ delta + config.l2 * weight, delta.sum(axis=0)
        velocity_w = config.momentum * velocity_w - config.learning_rate * gradient_w
        velocity_b = config.momentum * velocity_b - config.learning_rate * gradient_b
        if config.nesterov:
            weight = weight + config.momentum * velocity_w - config.learning_rate * gradient_w
            bias = bias + config.momentum * velocity_b - config.learning_rate * gradient_b
        else:
            weight, bias = weight + velocity_w, bias + velocity_b
        assert report.val_loss == pytest.approx(mean_loss(held), rel=1e-4)
    np.testing.assert_allclose(
        reports[-1].state.parameters, np.concatenate([weight.ravel(), bias]), rtol=1e-3, atol=2e-6
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_network_is_the_one_asked_for(activation, few_letters):
    config = dataclasses.replace(SMALL, activation=activation, loss="sigmoid", learning_rate=0.001)
    network = next(iter(fit(config, few_letters))).network
    assert (network.sizes, network.activation, network.loss) == ((784, 24, 16, 26), activation, "sigmoid")
    expected = [ACTIVATIONS[activation], ACTIVATIONS[activation], ACTIVATIONS["identity"]]
    assert [layer.activation for layer in network.layers] == expected


def test_balanced_class_weights_are_scikit_learns():
    labels = np.asarray([0, 0, 0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(class_weights(labels, 3, "balanced"), [8 / 12, 8 / 6, 8 / 6])
    assert class_weights(labels, 3, "balanced")[labels].mean() == pytest.approx(1)
    assert class_weights(labels, 3, "none").tolist() == [1, 1, 1]
    absent = class_weights(labels, 5, "balanced")
    np.testing.assert_allclose(absent, [8 / 12, 8 / 6, 8 / 6, 1, 1])


def test_a_diverging_loss_stops_it(few_letters):
    state = next(iter(fit(SMALL, few_letters))).state
    wild = dataclasses.replace(SMALL, learning_rate=1e6, epochs=50)
    message = r"the loss became (nan|inf) in epoch \d+ at learning rate 1e\+06: try --lr 100000"
    with pytest.raises(Diverged, match=message):
        list(fit(wild, few_letters, state=state))


def test_after_diverging_the_network_holds_the_best(few_letters):
    reports = fit(SMALL, few_letters)
    first = next(reports)
    first.network.parameters[...] = np.inf
    with pytest.raises(Diverged, match="in epoch 2"):
        next(reports)
    np.testing.assert_array_equal(first.network.parameters, first.state.best_parameters)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_learning_rate_rises_and_falls_step_by_step(schedule):
    config = dataclasses.replace(SMALL, schedule=schedule, warmup=0.25, epochs=4, learning_rate=0.2)
    rates = np.concatenate([list(learning_rates(config, epoch, 50)) for epoch in (1, 2, 3, 4)])
    assert len(rates) == 200
    assert rates[0] < 0.05 * 0.2
    assert (np.diff(rates[:50]) > 0).all()
    assert rates.max() == pytest.approx(0.2)
    if schedule == "constant":
        assert (rates[50:] == 0.2).all()
    else:
        assert (np.diff(rates[50:]) <= 0).all()
        assert rates[-1] < 0.01 * 0.2
        assert rates[125] == pytest.approx(0.1)  # half-way down


def test_each_step_has_its_own_rate(few_letters):
    config = dataclasses.replace(SMALL, schedule="linear", warmup=0.5, epochs=2)
    seen = []

    class Watched(loop.Momentum):
        def step(self, parameters, gradients):
            seen.append(float(self.learning_rate[0]))
            super().step(parameters, gradients)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Momentum", Watched)
        patch.setenv("LETTERGPU_REPLAY", "0")
        reports = list(fit(config, few_letters))
    expected = [*learning_rates(config, 1, 10), *learning_rates(config, 2, 10)]
    np.testing.assert_allclose(seen, expected, rtol=1e-7)
    assert [report.learning_rate for report in reports] == [expected[9], expected[19]]


@pytest.mark.parametrize("changes", [{"augment": "affine"}, {"label_smoothing": 0.1}, {"schedule": "cosine"}], ids=str)
def test_every_way_of_training_learns_on_every_device_and_resumes(changes, few_letters, device):
    config = dataclasses.replace(SMALL, **changes)
    reports = list(fit(config, few_letters, device=device))
    assert reports[-1].val_loss < 0.5 * reports[0].val_loss
    resumed = list(fit(config, few_letters, device=device, state=reports[1].state))
    np.testing.assert_array_equal(resumed[-1].state.parameters, reports[-1].state.parameters)


def test_progress_counts_every_image(few_letters):
    counts = []
    list(fit(dataclasses.replace(SMALL, epochs=2), few_letters, on_batch=counts.append))
    assert sum(counts) == 2 * 320
    assert counts[:7] == [32] * 7


def test_real_letters_are_learnt(emnist):
    """What 3 epochs of a small network must reach; a sign or a transposition wrong anywhere falls far short."""
    changes = {"hidden": (128,), "epochs": 3, "augment": "none", "activation": "relu", "device": "cpu"}
    config = dataclasses.replace(Config.recipe("report"), **changes)
    *_, report = fit(config, load_letters(str(emnist)))
    assert report.val_accuracy > 0.85
