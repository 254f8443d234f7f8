"""lettergpu's networks under scikit-learn's own rules."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lettergpu import LetterClassifier, LettergpuError
from lettergpu.backends.libraries import LIBRARIES
from lettergpu.data.letters import NONE, Parted
from lettergpu.interop import estimator
from lettergpu.training.loop import fit

SMALL = LetterClassifier(hidden=(16,), epochs=20, learning_rate=0.05, device="cpu", random_state=0)
FULL = clone(SMALL).set_params(batch_size=0, batch_norm=False, augment="none")
UNLIKE = {"check_sample_weight_equivalence_on_dense_data": "each batch has other rows; a full one is held to it below"}


@parametrize_with_checks([SMALL], expected_failed_checks=lambda estimator: UNLIKE)
def test_it_is_an_estimator(estimator, check):  # by these names scikit-learn calls it
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), np.array(["setosa", "versicolor", "virginica"])[y]


def test_the_defaults_learn_a_small_table(iris):
    model = make_pipeline(StandardScaler(), LetterClassifier(device="cpu", random_state=0))
    assert cross_val_score(model, *iris, cv=2).mean() > 0.9


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_grid_is_searched_by_two_workers(backend, iris):
    from joblib import parallel_config

    model = make_pipeline(StandardScaler(), SMALL)
    with parallel_config(backend):
        search = GridSearchCV(model, {"letterclassifier__hidden": [(), (8, 4)]}, n_jobs=2, cv=2).fit(*iris)
    alone = GridSearchCV(model, {"letterclassifier__hidden": [(), (8, 4)]}, cv=2).fit(*iris)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.best_score_ > 0.9


def test_probabilities_can_be_calibrated(iris):
    X, y = iris
    model = CalibratedClassifierCV(SMALL, cv=2).fit(X, y)
    assert model.score(X, y) > 0.9
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_what_is_pickled_answers_alike_and_is_of_the_host_alone(iris):
    X, y = iris
    model = clone(SMALL).fit(X, y)
    before = model.predict_proba(X)
    text = pickle.dumps(model)
    assert b"lettergpu.nn" not in text
    assert b"array_api_compat" not in text
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.predict_proba(X), before)
    for each in (model, again):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("place", ["torch:cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_what_was_learnt_on_another_device_is_pickled_without_it(place, iris):
    library = LIBRARIES[place.partition(":")[0]]
    if trouble := library.devices()[1]:
        pytest.skip(trouble)
    X, y = iris
    there, here = (
        clone(SMALL).set_params(device=name).fit(X, y, sample_weight=np.arange(150)) for name in (place, "cpu")
    )
    np.testing.assert_allclose(there.predict_proba(X), here.predict_proba(X), atol=1e-3)
    assert type(there.network_.parameters).__module__.startswith(library.module)
    text = pickle.dumps(there)
    assert library.module.encode() not in text.replace(place.encode(), b"")
    np.testing.assert_array_equal(pickle.loads(text).predict_proba(X), there.predict_proba(X))


def test_a_seed_is_a_fit(iris):
    X, y = iris
    first, same, other = (clone(SMALL).set_params(random_state=seed).fit(X, y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.predict_proba(X), same.predict_proba(X))
    assert (first.predict_proba(X) != other.predict_proba(X)).any()
    drawn = [clone(SMALL).set_params(random_state=np.random.RandomState(3)).fit(X, y).loss_curve_ for _ in range(2)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("hidden", [(), (8, 4)])
def test_whole_weights_are_repeated_rows(hidden, iris):
    X, y = iris
    counts = np.random.default_rng(4).integers(0, 4, len(y))
    model = clone(FULL).set_params(hidden=hidden, epochs=5, learning_rate=0.5)
    repeated = clone(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    weighted = clone(model).fit(X, y, sample_weight=7.0 * counts)
    plain = clone(model).fit(X, y)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-4, atol=1e-6)
    assert np.abs(plain.predict_proba(X) - repeated.predict_proba(X)).max() > 1e-3


def test_in_batches_weights_pull_as_repeated_rows_do():
    """Of two classes at one place, probabilities are as the weights are."""
    X, y = np.zeros((400, 1)), np.arange(400) % 2
    model = clone(SMALL).set_params(hidden=(), batch_norm=False).fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    assert model.predict_proba(X[:1])[0, 1] == pytest.approx(0.75, abs=0.02)


def test_validation_is_told_epoch_by_epoch(iris):
    X, y = iris
    rest, held = np.arange(0, 150, 2), np.arange(1, 150, 2)
    given = clone(SMALL).fit(X[rest], y[rest], X_val=X[held], y_val=y[held])
    assert given.n_iter_ == given.best_epoch_ == 20
    assert len(given.loss_curve_) == len(given.validation_loss_curve_) == len(given.train_scores_) == 20
    assert given.validation_scores_[-1] == pytest.approx(given.score(X[held], y[held]))
    own = -np.log(given.predict_proba(X[held])[np.arange(75), np.searchsorted(given.classes_, y[held])])
    assert given.validation_loss_curve_[-1] == pytest.approx(own.mean(), rel=1e-4)
    weights = np.random.default_rng(5).uniform(0.5, 2, 75)
    weighed = clone(SMALL).fit(X[rest], y[rest], X_val=X[held], y_val=y[held], sample_weight_val=weights)
    assert weighed.validation_loss_curve_[-1] == pytest.approx(np.average(own, weights=weights), rel=1e-4)
    assert weighed.loss_curve_ == given.loss_curve_
    alone = clone(SMALL).fit(X[rest], y[rest])
    assert alone.validation_scores_ is None
    assert alone.loss_curve_ == given.loss_curve_


def test_where_some_are_held_out_only_proportions_of_weights_count(iris):
    X, y = iris
    weights = np.random.default_rng(6).uniform(0.5, 2, 150)
    model = clone(SMALL).set_params(early_stopping=True, epochs=3)
    curves = [clone(model).fit(X, y, sample_weight=times * weights) for times in (1, 50)]
    np.testing.assert_allclose(curves[0].loss_curve_, curves[1].loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(curves[0].validation_loss_curve_, curves[1].validation_loss_curve_, rtol=1e-5)
    alike = clone(model).fit(X, y)
    ones = clone(model).fit(X, y, sample_weight=np.full(150, 4.0))
    assert ones.validation_loss_curve_ == alike.validation_loss_curve_ != curves[0].validation_loss_curve_


def test_what_failed_has_learnt_nothing(iris):
    X, y = iris
    model = clone(SMALL).fit(X, y).set_params(activation="gelu")
    with pytest.raises(LettergpuError):
        model.fit(X[:, :2], y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.set_params(activation="relu").partial_fit(X, y, classes=np.unique(y))
    assert model.n_iter_ == 1


def test_early_stopping_keeps_the_epoch_of_the_lowest_loss():
    X, y = make_classification(200, 10, flip_y=0.4, random_state=0)
    model = clone(SMALL).set_params(early_stopping=True, validation_fraction=0.3, patience=4, epochs=500)
    model.set_params(hidden=(64,), schedule="constant", warmup=0.0).fit(X, y)
    assert model.n_iter_ == model.best_epoch_ + 4 < 500
    assert model.best_epoch_ == 1 + np.argmin(model.validation_loss_curve_)
    kept = clone(model).set_params(epochs=model.best_epoch_).fit(X, y)
    np.testing.assert_array_equal(kept.predict_proba(X), model.predict_proba(X))


def test_parts_are_learnt_one_after_the_other(iris):
    X, y = iris
    model = clone(SMALL)
    with pytest.raises(LettergpuError, match="name all of them in the first call"):
        model.partial_fit(X, y)
    for start in range(0, 150, 50):  # each of one class alone
        model.partial_fit(X[start : start + 50], y[start : start + 50], classes=np.unique(y))
    for _ in range(20):
        model.partial_fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 23
    assert model.score(X, y) > 0.9
    with pytest.raises(LettergpuError, match="rose is none of the classes"):
        model.partial_fit(X[:2], ["rose", "setosa"])
    with pytest.raises(LettergpuError, match="not those of before"):
        model.partial_fit(X, y, classes=["rose"])


def test_each_part_comes_in_an_order_of_its_own(iris, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        estimator, "fit", lambda config, *rest, **more: seeds.append(config.seed) or fit(config, *rest, **more)
    )
    model = clone(SMALL)
    for _ in range(3):
        model.partial_fit(*iris, classes=np.unique(iris[1]))
    assert len(set(seeds)) == 3


def test_frames_and_lists_are_taken(iris):
    X, y = iris
    expected = clone(SMALL).fit(X, y).predict(X)
    assert clone(SMALL).fit(X.tolist(), y.tolist()).predict(X.tolist()).tolist() == expected.tolist()
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = clone(SMALL).fit(frame, pandas.Series(y))
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.predict(frame).tolist() == expected.tolist()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("dcba")])


def test_letters_may_be_moved_as_training_moves_them(few_letters):
    """The same network as `fit` comes to, bit for bit, of pixels of any dtype."""
    model = LetterClassifier((16,), augment="elastic", moment_norm=True, epochs=2, device="cpu", random_state=0)
    X, y = few_letters.train.images.reshape(-1, 784).astype(float), few_letters.train.labels
    model.fit(X, y)
    letters = Parted(few_letters.train, NONE, tuple("0123"), "test", "test", learnt=400)
    *_, report = fit(model._config(400), letters)
    network = report.network.folded()
    np.testing.assert_array_equal(model.network_.parameters, network.parameters)
    proba = network.predict_proba(few_letters.test.images)
    np.testing.assert_allclose(
        model.predict_proba(few_letters.test.images.reshape(-1, 784)), proba, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": (0,)}, r"^hidden 0: give 1 to"),
        ({"learning_rate": -1.0}, r"^learning_rate -1.0: give a number above 0"),
        ({"activation": "gelu"}, "^activation gelu: choose one of identity"),
        ({"device": "abacus"}, "^device abacus: choose auto, cpu"),
        ({"batch_size": -1}, "^batch_size -1: give 1 or more"),
        ({"momentum": 0.0}, "^nesterov True: it needs a momentum above 0"),
        ({"augment": "elastic"}, "for 784 pixels from 0 to 255"),
        ({"learning_rate": 1e20, "batch_norm": False}, "the loss became .* try learning_rate 1e"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_told_of_arguments(changes, message, iris):
    with pytest.raises(LettergpuError, match=message) as told:
        clone(SMALL).set_params(**changes).fit(*iris)
    assert isinstance(told.value, ValueError)


def test_weights_below_none_are_refused(iris):
    for weights in (-np.ones(150), np.zeros(150)):
        with pytest.raises(ValueError, match=r"sample_weight|weights"):
            clone(SMALL).fit(*iris, sample_weight=weights)


def test_it_answers_only_what_it_has_learnt(iris):
    with pytest.raises(NotFittedError):
        SMALL.predict(iris[0])


def test_without_scikit_learn_it_says_what_to_install():
    script = """
import sys
import lettergpu
from lettergpu import *
assert "sklearn" not in sys.modules, "importing lettergpu imported it"
sys.modules["sklearn"] = None
sys.modules["sklearn.base"] = None
try:
    lettergpu.LetterClassifier
except lettergpu.LettergpuError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("LetterClassifier needs scikit-learn")
    assert "[sklearn]" in done.stdout
