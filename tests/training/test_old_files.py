"""Files that earlier versions wrote: they load, answer as they did, and their trainings go on as they would have.

old/ was written by 2f51f86 from `few_letters`, with the answers to six of its test letters and what the run, which was
stopped after its second epoch, came to after its fourth. How a sum is rounded is the processor's, so equal parameters
are equal bit for bit, and what is computed with them is equal but for rounding.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import lettergpu
from lettergpu.training import checkpoint
from lettergpu.training.loop import fit
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


def test_a_run_goes_on_to_the_same_end(answers, few_letters, tmp_path):
    shutil.copytree(OLD / "run", tmp_path / "run")
    run = Run.resume(tmp_path / "run", {})
    assert (run.state.epoch, run.config.batch_norm, len(run.rows)) == (2, True, 2)
    run.go_on_with(few_letters)
    for report in fit(run.config, few_letters, state=run.state):
        run.record(report)
    assert run.state.epoch == 4
    for name, end in (("parameters", "end"), ("velocity", "velocity")):
        np.testing.assert_allclose(getattr(run.state, name), answers[end], rtol=1e-3, atol=1e-5)
