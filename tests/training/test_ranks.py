"""Processes that train together come to what one comes to; and what becomes of the others where one dies."""

import csv
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import ranked
from conftest import numpy_by

from lettergpu.backends import ranks as module
from lettergpu.backends.ranks import ALONE, Mpi, Nccl, Ranks, launched, share_cores, together
from lettergpu.data.letters import load_letters
from lettergpu.errors import LettergpuError
from lettergpu.nn import layers
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.training.loop import fit
from lettergpu.training.runs import Run

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
needs_mpi = pytest.mark.skipif(
    not (MPIEXEC and find_spec("mpi4py")), reason="there is no mpiexec or no mpi4py: the extra test brings both"
)
SETTINGS = ["--hidden", "24,16", "--batch-size", "64", "--lr", "0.01", "--epochs", "5", "--augment", "rotate"]


def mpiexec(count, *words, launcher=(), **environment):
    command = [MPIEXEC, *launcher, "-n", str(count), sys.executable, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment | {"OMP_NUM_THREADS": "1"}
    )


def lettergpu(count, *words, **how):
    return mpiexec(count, "-m", "lettergpu", *words, **how)


def losses(run):
    with (run / "metrics.csv").open() as file:
        return [[float(row[name]) for name in ("train_loss", "val_loss")] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each number of processes came to."""
    folder = tmp_path_factory.mktemp("ranks")

    def told(count):
        cache = str(tmp_path_factory.getbasetemp() / "cache")  # of the kernels, as other tests have it
        done = mpiexec(count, ranked.__file__, folder / f"{count}.json", LETTERGPU_CACHE=cache)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / f"{count}.json").read_text())

    return {count: told(count) for count in (1, 2, 4)}


@needs_mpi
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("case", ranked.CASES)
def test_processes_come_to_the_losses_of_one(case, count, found):
    (alone, _), (shared, apart) = found[1][case], found[count][case]
    np.testing.assert_allclose(shared, alone, rtol=0, atol=1e-5)
    assert apart == 0.0
    assert alone[-1][0] < alone[0][0]


@needs_mpi
def test_where_a_process_dies_the_run_ends_and_any_number_of_them_go_on_with_it(folder, tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    died = mpiexec(2, ranked.__file__, "--fatal", 50, "SIGKILL", "train", "--data", folder, *SETTINGS, "--out", run)
    assert died.returncode != 0
    assert f"go on with: lettergpu train --resume {run}" in died.stderr
    assert not (run / "summary.json").exists()
    done = losses(run)
    assert 1 <= len(done) <= 4
    shutil.copytree(run, other)

    assert lettergpu(4, "train", "--resume", run, "--quiet").stdout == f"{run}\n"
    with Run.resume(other, {}) as alone:
        letters = load_letters(str(folder))
        alone.go_on_with(letters)
        whole = [(report.train_loss, report.val_loss) for report in fit(alone.config, letters)]
        rest = [(report.train_loss, report.val_loss) for report in fit(alone.config, letters, state=alone.state)]
    np.testing.assert_allclose([*done, *rest], whole, rtol=0, atol=1e-5)
    np.testing.assert_allclose(losses(run), whole, rtol=0, atol=1e-5)
    assert (run / "summary.json").exists()


@needs_mpi
def test_for_a_process_that_hangs_others_do_not_wait_for_ever(folder, tmp_path):
    command = [
        ranked.__file__,
        "--fatal",
        50,
        "SIGSTOP",
        "train",
        "--data",
        folder,
        *SETTINGS,
        "--out",
        tmp_path / "run",
    ]
    stopped = mpiexec(2, *command, LETTERGPU_RANKS_PATIENCE="1")
    assert stopped.returncode != 0
    assert "error: process 0 of 2 has waited 1 s for the others" in stopped.stderr


@needs_mpi
@pytest.mark.parametrize(
    ("words", "said"),
    [(["--data", "/nowhere"], "error: --data /nowhere:"), (["--epochs", "few"], "error: Invalid value for '--epochs'")],
    ids=["letters", "usage"],
)
def test_what_is_wrong_is_said_once(words, said):
    done = lettergpu(2, "train", *words)
    assert (done.returncode, done.stdout, done.stderr.count("error:")) == (2, "", 1)
    assert said in done.stderr


class Halves(Ranks):
    """One of two processes, which knows what the other says."""

    size = 2

    def __init__(self, arrays):
        self.arrays = arrays

    def gather(self, array):
        return np.stack([array, *self.arrays])


@pytest.mark.parametrize("rows", [0, 1, 5, 6], ids="the first {} of 6".format)
@pytest.mark.parametrize("compiled", [True, False])
def test_statistics_are_those_of_all_rows(rows, compiled):
    rng = np.random.default_rng(3)
    z = (100 + rng.normal(size=(6, 40))).astype(np.float32)
    rest = z[rows:]
    other = [
        np.full(40, len(rest)),
        rest.mean(0) if len(rest) else np.zeros(40),
        rest.var(0) if len(rest) else 0 * z[0],
    ]

    def parts():
        return [np.full(40, each, np.float32) for each in (1.5, 0.5, 0.0, 0.0)]

    activation = ACTIVATIONS["tanhexp"]
    with numpy_by(("lettergpu.backends.cpu",) if compiled else None):
        whole, shared = parts(), parts()
        expected = layers.normalised(z.copy(), *whole, activation, ALONE)[0]
        ours = layers.normalised(z[:rows].copy(), *shared, activation, Halves([np.stack(other).astype(np.float32)]))[0]
    np.testing.assert_allclose(ours, expected[:rows], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(shared, whole, rtol=1e-4)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, (0, 1, 0, 1)),
        ({"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}, (3, 4, 1, 2)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, (1, 2, 0, 1)),
    ],
    ids=["alone", "MPICH", "Open MPI"],
)
def test_a_launcher_is_listened_to(told, expected, monkeypatch):
    tell(told, monkeypatch)
    assert launched() == expected


def tell(told, monkeypatch):
    for name in [name for names in module.TOLD.values() for name in names]:
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("count", "wanted", "expected"), [("4", None, "2"), ("16", None, "1"), ("4", "7", "7"), ("1", None, None)]
)
def test_each_process_takes_its_share_of_the_cores(count, wanted, expected, monkeypatch):
    tell({"MPI_LOCALNRANKS": count}, monkeypatch)
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(os, "environ", {"MPI_LOCALNRANKS": count} | ({"OMP_NUM_THREADS": wanted} if wanted else {}))
    share_cores()
    assert os.environ.get("OMP_NUM_THREADS") == expected


def test_alone_it_does_without_mpi(monkeypatch):
    tell({}, monkeypatch)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with together("") as ranks:
        assert ranks is ALONE


def test_without_mpi4py_the_first_process_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    tell({"PMI_RANK": "0", "PMI_SIZE": "2"}, monkeypatch)
    with pytest.raises(LettergpuError, match=r"started 2 processes.* need mpi4py.*: say this"), together("say this"):
        pass
    monkeypatch.setenv("PMI_RANK", "1")
    with pytest.raises(SystemExit, match="2"), together("say this"):
        pass


def pretended(size, rank=0):
    world = SimpleNamespace(rank=rank, size=size)
    return SimpleNamespace(MPI=SimpleNamespace(COMM_WORLD=world), rc=SimpleNamespace())


def test_a_launcher_of_another_mpi_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", pretended(1))
    tell({"PMI_RANK": "0", "PMI_SIZE": "2"}, monkeypatch)
    with pytest.raises(LettergpuError, match="knows of 1: it is another one"), together(""):
        pass


def test_each_process_computes_on_a_device_of_its_own(monkeypatch):
    tell({"MPI_LOCALRANKID": "3"}, monkeypatch)
    ranks = Mpi(pretended(4).MPI)
    assert [ranks.place(name) for name in ("auto", "cpu", "cuda")] == ["cpu", "cpu", "cuda:3"]
    for name in ("cuda:1", "torch", "sycl:cpu"):
        with pytest.raises(LettergpuError, match=f"--device {name}: of 4 processes"):
            ranks.place(name)
    assert ALONE.place("cuda:1") == "cuda:1"


def test_arrays_of_gpus_go_through_nccl(monkeypatch):
    """What is asked of it; not that it does so, which takes two GPUs."""

    class Backend:
        def __init__(self, size, rank, use_mpi):
            assert (size, rank, use_mpi) == (2, 1, True)

        def all_reduce(self, given, taken):
            taken[...] = 2 * given

        def all_gather(self, given, taken, count):
            assert count == given.size
            taken[...] = given

    monkeypatch.setitem(sys.modules, "cupyx.distributed", SimpleNamespace(NCCLBackend=Backend))
    monkeypatch.setitem(sys.modules, "cupy", np)
    ranks = Nccl(Mpi(pretended(2, rank=1).MPI))
    array = np.ones((3, 2), np.float32)
    assert ranks.sum(array) is array
    assert (array == 2).all()
    np.testing.assert_array_equal(ranks.gather(array), np.full((2, 3, 2), 2))
