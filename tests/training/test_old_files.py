"""Files that earlier versions wrote: they load, and answer as they did.

old/ was written by 2f51f86 from `few_letters`, with the answers to six of its test letters; the run was stopped after
its second epoch. How a sum is rounded is the processor's, so equal parameters are equal bit for bit, and what is
computed with them is equal but for rounding.
"""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import lettergpu
from lettergpu.errors import LettergpuError
from lettergpu.training import checkpoint
from lettergpu.training.runs import Run

OLD = Path(__file__).with_name("old")
WHAT = {  # batch norm, moment norm, members, views
    "plain.safetensors": (False, False, 1, 1),
    "half.safetensors": (False, True, 1, 3),
    "ensemble.safetensors": (False, True, 2, 1),
    "run": (False, True, 1, 1),
}


@pytest.fixture(scope="module")
def answers():
    with np.load(OLD / "answers.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", WHAT)
def test_a_network_answers_as_it_did(name, answers, few_letters):
    network = lettergpu.load(OLD / name)
    assert (network.batch_norm, network.moment_norm, network.members, network.views) == WHAT[name]
    path = OLD / name if name != "run" else OLD / name / checkpoint.BEST
    stored = load_file(path)["parameters"]
    assert stored.dtype == (np.float16 if name.startswith("half") else np.float32)
    np.testing.assert_array_equal(network.parameters, stored.astype(np.float32))
    got = network.predict_proba(few_letters.test.images[:6])
    np.testing.assert_allclose(got, answers[name.partition(".")[0]], rtol=1e-4, atol=1e-6)


def test_a_run_that_was_drawn_otherwise_does_not_go_on():
    """It would end elsewhere than it would have, and nobody would see it; its network and its state are read."""
    drawn_otherwise = r"--resume .*run: another version .* drew .*--recipe .*config.toml"
    with pytest.raises(LettergpuError, match=drawn_otherwise), Run.resume(OLD / "run", {}):
        pass
    last = checkpoint.read(OLD / "run" / checkpoint.LAST)
    assert (last.state.epoch, last.network.batch_norm, last.draws) == (2, True, "")
