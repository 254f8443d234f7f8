"""LetterClassifier beside MLPClassifier, as bench/learning has them."""

import sys
import warnings
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning

sys.path.append(str(Path(__file__).parents[2] / "bench" / "learning"))

import estimator


def test_each_is_timed_and_asked_in_every_round_with_another_seed(few_letters, monkeypatch):
    monkeypatch.setattr(estimator, "HIDDEN", (8,))
    monkeypatch.setattr("rounds.time.sleep", lambda seconds: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds, right = estimator.race(few_letters.train, few_letters.test, 6, 2)
    assert list(seconds) == list(right) == list(estimator.models(1))
    assert all(len(taken) == 2 and min(taken) > 0 for taken in seconds.values())
    assert all(len(shares) == 2 and 0.3 < max(shares) <= 1 for shares in right.values()), right
    assert len({tuple(shares) for shares in right.values()}) > 1
