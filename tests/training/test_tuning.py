"""Fine-tuning: what is learnt of a few letters, and what is not forgotten."""

from dataclasses import replace

import numpy as np
import pytest

import lettergpu
from lettergpu.config import Config
from lettergpu.data.letters import Examples, Letters
from lettergpu.errors import LettergpuError
from lettergpu.nn.network import Network
from lettergpu.training import checkpoint, tuning
from lettergpu.training.loop import fit
from lettergpu.training.metrics import evaluate
from lettergpu.training.runs import Run
from lettergpu.training.tuning import begun, fine_tune, mixed, settings

SMALL = Config(hidden=(12,), epochs=8, augment="none", moment_norm=False, batch_size=40, views=1)
TUNE = replace(Config.recipe("tune"), augment="none", learning_rate=0.02, old_letters=200)


@pytest.fixture(scope="module")
def known(few_letters):
    """A network that knows the letters."""
    *_, last = fit(SMALL, few_letters)
    return last.network.folded()


@pytest.fixture
def strange(few_letters):
    """A few of the letters, upside down, with the classes of the network."""
    return Letters(
        *(
            Examples(part.images[:40, ::-1, ::-1].copy(), part.labels[:40])
            for part in (few_letters.train, few_letters.test)
        ),
        few_letters.classes,
        "strange",
        "strange letters",
    )


def right(network, examples):
    return evaluate(network, examples.images, examples.labels).top(1)


def test_another_hand_is_learnt_and_the_old_one_is_not_forgotten(known, strange, few_letters):
    before, parameters = right(known, few_letters.test), known.parameters.copy()
    assert right(known, strange.test) < 0.7
    tuned = fine_tune(known, strange.train, old=few_letters, config=TUNE)
    assert right(tuned, strange.test) > 0.95
    assert right(tuned, few_letters.test) >= before - 0.02
    assert np.array_equal(known.parameters, parameters)


def test_letters_of_the_old_kind_keep_it_from_forgetting(known, few_letters):
    """Of one class alone, and much alike, it learns that all is of that class, unless it sees others."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    own, config = Examples(noise, np.zeros(20, int)), replace(TUNE, epochs=20, learning_rate=0.05, old="none")
    assert right(fine_tune(known, own, old=few_letters, config=config), few_letters.test) > 0.95
    assert right(fine_tune(known, own, config=config), few_letters.test) < 0.8


def test_views_and_form_are_the_parents(strange, few_letters):
    parent = Network((784, 9, 7, 26), activation="relu", moment_norm=True, views=3, classes=few_letters.classes)
    parent.initialize(np.random.default_rng(0), "he")
    tuned = fine_tune(parent, strange.train, old=few_letters, config=replace(TUNE, epochs=1))
    form = [(each.sizes, each.activation, each.moment_norm, each.views, each.classes) for each in (parent, tuned)]
    assert form[0] == form[1]


def test_the_temperature_is_kept_unless_it_is_asked_for(known, strange, few_letters):
    kept, told = (
        fine_tune(known, strange.train, old=few_letters, config=replace(TUNE, calibrate=calibrate))
        for calibrate in (Config.recipe("tune").calibrate, True)
    )
    factors = told.layers[-1].weight / kept.layers[-1].weight
    np.testing.assert_allclose(factors, factors[0, 0], rtol=1e-4)
    assert abs(factors[0, 0] - 1) > 0.01
    assert np.array_equal(told.layers[0].weight, kept.layers[0].weight)


def test_an_ensemble_goes_on_as_one(strange, few_letters):
    config = replace(SMALL, ensemble=2, epochs=1, batch_norm=True)
    *_, last = fit(config, few_letters)
    parent = last.network
    start = begun(parent, few_letters.classes, settings(parent, TUNE))
    assert np.array_equal(start.parameters, parent.folded().parameters)
    assert fine_tune(parent, strange.train, old=few_letters, config=replace(TUNE, epochs=1)).members == 2


def test_fewer_classes_than_the_network_has_keep_all_of_its(known, few_letters):
    """They are told by their names, whatever their numbers."""
    names = ("D", "C", "B", "A")
    own = Letters(
        *(Examples(part.images, 3 - part.labels) for part in (few_letters.train, few_letters.test)), names, "own", "own"
    )
    lesson = mixed(own, None, known, TUNE)
    assert lesson.classes == known.classes
    assert right(known, lesson.test) == right(known, few_letters.test) > 0.9


def test_other_classes_get_a_new_last_layer_and_keep_what_they_share(known, few_letters):
    names = ("A", "B", "Ä", "D")
    config = settings(known, TUNE)
    own = Letters(few_letters.train, few_letters.test, names, "own", "own")
    lesson = mixed(own, few_letters, known, config)
    assert lesson.classes == names
    mixed_in = lesson.train.labels[np.flatnonzero(lesson.train.labels != 2)]
    assert len(mixed_in) > (own.train.labels != 2).sum()  # of the old kind, those whose classes it still has
    assert 2 not in lesson.old_test.labels
    start = Network.begun(config, names).with_parameters(begun(known, names, config).parameters)
    for place, column in ((0, 0), (1, 1), (3, 3)):
        assert np.array_equal(start.layers[-1].weight[:, place], known.layers[-1].weight[:, column])
    assert np.array_equal(start.layers[0].weight, known.layers[0].weight)
    tuned = fine_tune(known, few_letters.train, classes=names, old=few_letters, config=replace(TUNE, epochs=10))
    assert tuned.classes == names
    assert right(tuned, few_letters.test) > 0.9


def test_copies_of_a_letter_are_learnt_or_validated_on_never_both(known, strange, few_letters):
    lesson = mixed(strange, few_letters, known, TUNE)
    rows, held = lesson.hold_out(0.1, 0)
    learnt, kept = ({image.tobytes() for image in lesson.train.images[part]} for part in (rows, held))
    assert not learnt & kept
    assert sorted([*rows, *held]) == [*range(len(lesson.train))]
    own = {image.tobytes() for image in strange.train.images}
    assert len(own & kept) == 4
    assert len(own & learnt) == 36


def test_letters_of_the_old_kind_are_as_many_of_each_class(known, strange, few_letters, monkeypatch):
    monkeypatch.setattr(tuning, "OLD_HELD", 40)
    monkeypatch.setattr(tuning, "COPIES", 1)
    rare = few_letters.train.take(np.flatnonzero((few_letters.train.labels > 0) | (np.arange(400) < 120)))
    lesson = mixed(strange, replace(few_letters, train=rare), known, replace(TUNE, old_letters=40))
    own = {image.tobytes() for image in strange.train.images}
    rows = [row for row, image in enumerate(lesson.train.images) if image.tobytes() not in own]
    assert np.bincount(lesson.train.labels[rows]).tolist() == [20] * 4


def test_the_same_letters_are_not_mixed_in_twice(known, few_letters):
    lesson = mixed(few_letters, few_letters, known, TUNE)
    assert lesson.old_source == "none"
    assert len(lesson.train) >= len(few_letters.train)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (Examples(np.zeros((2, 28, 28)), np.zeros(2, int)), "give images of uint8"),
        (Examples(np.zeros((2, 27, 28), np.uint8), np.zeros(2, int)), r"\(2, 27, 28\) with 2 labels"),
        (Examples(np.zeros((2, 28, 28), np.uint8), np.zeros(3, int)), "3 labels"),
        (Examples(np.zeros((0, 28, 28), np.uint8), np.zeros(0, int)), "no examples"),
        (Examples(np.zeros((2, 28, 28), np.uint8), np.array([0, 26])), "the labels are 0 to 26: give 0 to 25"),
    ],
)
def test_examples_of_another_form_are_refused(examples, message, known):
    with pytest.raises(LettergpuError, match=message):
        lettergpu.fine_tune(known, examples, config=TUNE)


def test_one_letter_alone_cannot_be_validated_on(known, strange):
    with pytest.raises(LettergpuError, match="leaves 1 to train on and 0 to validate on"):
        fine_tune(known, strange.train.take(np.arange(1)), config=replace(TUNE, old="none"))


# A run that goes on from a network


def tuned_run(folder, known, strange, old, until=None):
    parent = checkpoint.Checkpoint(known, SMALL, "", None)
    config = replace(settings(known, TUNE), parent="somewhere", old="test", device="cpu", augment="elastic")
    with Run.create(folder, config, letters := mixed(strange, old, known, config), parent) as run:
        for report in fit(run.config, letters, state=begun(known, letters.classes, run.config)):
            run.record(report)
            if report.epoch == until:
                return run
        return run.finish(letters, known.device)


def test_killed_and_resumed_it_is_the_same_run(known, strange, few_letters, tmp_path):
    whole = tuned_run(tmp_path / "whole", known, strange, few_letters)
    tuned_run(tmp_path / "halves", known, strange, few_letters, until=2)
    with Run.resume(tmp_path / "halves", {}) as run:
        parent = run.parent.network
        run.go_on_with(letters := mixed(strange, few_letters, parent, run.config))
        for report in fit(run.config, letters, state=run.state):
            run.record(report)
        halves = run.finish(letters, known.device)
    best = [checkpoint.load(tmp_path / name).parameters for name in ("whole", "halves")]
    assert np.array_equal(*best)
    assert {**whole, "seconds": 0} == {**halves, "seconds": 0}


def test_it_tells_what_was_gained_and_what_it_cost(known, strange, few_letters, tmp_path):
    summary = tuned_run(tmp_path / "run", known, strange, few_letters)
    assert summary["test_before"]["top1"] == right(known, strange.test)
    assert summary["old_before"]["top1"] == right(known, few_letters.test)
    tuned = checkpoint.load(tmp_path / "run")
    assert summary["test"]["top1"] == right(tuned, strange.test) > summary["test_before"]["top1"]
    assert summary["old"]["top1"] == right(tuned, few_letters.test)
    assert summary["data"]["old_images"] == len(few_letters.test)
