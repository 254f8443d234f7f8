"""The CUDA kernels together: each compiled, launched by a training, and what is said of one that does not compile."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cuda_places
import numpy as np
import pytest
from conftest import numpy_by
from lettergpu.kernels import FORMULAS

from lettergpu.backends import cuda_batches, cuda_network, dispatch
from lettergpu.config import Config
from lettergpu.data.letters import Examples
from lettergpu.errors import LettergpuError
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.training.loop import fit

pytestmark, host, cuda_on_host = cuda_places.needs_compiler, cuda_places.host, cuda_places.cuda_on_host
BENCH = Path(__file__).parents[2] / "bench" / "kernels"
KERNELS = {"normalised", "gradient_before_normalised", "column_sums", "momentum_step", "count_in", "windows"}
KERNELS |= {"softmax_cross_entropy", "sigmoid_binary_cross_entropy", "uniforms", "permuted", "assemble"}
KERNELS |= {f"{kind}_{name}" for kind in ("activate", "gradient_before") for name in FORMULAS}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sigmoid", "nesterov": True, "l2": 1e-3, "activation": "mish", "class_weight": "balanced"},
        {"ensemble": 3, "batch_norm": False},
    ],
    ids=["default", "sigmoid", "ensemble"],
)
def test_a_training_goes_as_it_does_without_them(changes, few_letters, host, monkeypatch):
    launched, launch = set(), cuda_network.launch

    def noting(kernel, *arguments, **ways):
        launched.add(kernel)
        launch(kernel, *arguments, **ways)

    for module in (cuda_network, cuda_batches):
        monkeypatch.setattr(module, "launch", noting)
    train = Examples(few_letters.train.images[:160], few_letters.train.labels[:160])
    letters = dataclasses.replace(few_letters, train=train)
    config = Config(hidden=(24, 16), batch_size=64, learning_rate=0.03, epochs=3, patience=0, device="cpu")
    config = dataclasses.replace(config, **changes)

    def losses_of_epochs():
        return [(report.train_loss, report.val_loss, report.train_accuracy) for report in fit(config, letters)]

    with numpy_by(None):
        generic = losses_of_epochs()
    assert not launched
    with numpy_by(dispatch.NATIVE["cupy"]):
        ours = losses_of_epochs()
        assert losses_of_epochs() == ours
    assert len(launched) >= 5  # those of the images, the activation, its gradient, the loss and the step
    np.testing.assert_allclose(ours, generic, rtol=1e-4)


def test_a_kernel_that_does_not_compile_says_which_and_where(host, monkeypatch):
    def fail(*arguments):
        raise cuda_on_host.cupy.cuda.compiler.CompileException("line 3: no such thing", "", "", ())

    for kind in (cuda_on_host.ElementwiseKernel, cuda_on_host.RawKernel):
        monkeypatch.setattr(kind, "__call__", fail)
    monkeypatch.setattr(cuda_on_host.cupy.cuda, "Device", lambda: type("GPU", (), {"compute_capability": "90"}))
    message = r"the kernel lettergpu_activate_mish does not compile for sm_90; LETTERGPU_FUSED=0 .*: line 3: no such"
    with pytest.raises(LettergpuError, match=message):
        cuda_network.activate(np.zeros((2, 2)), np.zeros(2), ACTIVATIONS["mish"])


@pytest.mark.parametrize(
    "options",
    [["--dtype", "float32"], ["--dtype", "float64", "float16", "bfloat16", "--architecture", "75", "120"]],
    ids=["float32 everywhere", "the others on the oldest and the newest"],
)
def test_each_compiles_as_cupy_would_without_spilling(options):
    output = subprocess.check_output([sys.executable, BENCH / "compile.py", "--json", "-", *options], text=True)
    table = json.loads(output)
    assert set(table["rows"]) - {"dense_forward", "dense_backward"} == KERNELS
    assert len(table["architectures"]) == (2 if "--architecture" in options else 7)
    for kernel, row in table["rows"].items():
        for dtype, figures in row.items():
            assert figures["compiled"] >= len(table["architectures"])
            assert figures["spilled_bytes"] == 0, (kernel, dtype)
