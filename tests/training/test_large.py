"""Letters that stay in their files: the training that they come to, and the memory that it takes."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import write_idx, write_split

from lettergpu.backends.device import CPU
from lettergpu.config import Config
from lettergpu.data import idx, letters
from lettergpu.data.emnist import file_names
from lettergpu.data.idx import Mapped
from lettergpu.data.letters import load_letters
from lettergpu.errors import LettergpuError
from lettergpu.nn import draws
from lettergpu.training import batches
from lettergpu.training.loop import fit
from lettergpu.training.runs import Run

PLAIN = {"augment": "none", "moment_norm": False, "batch_norm": False}
CONFIG = Config(hidden=(12,), batch_size=32, epochs=3, device="cpu")
KINDS = {"plain": PLAIN, "distorted": {}, "ensemble": {"ensemble": 2}, "whole": {"batch_size": 0}}


@pytest.fixture
def load(tmp_path, few_letters, monkeypatch):
    """Load the few letters from their files as if they were many, or with False as few as they are."""
    folder = write_split(tmp_path / "data", few_letters, ending="")

    def loaded(many):
        for name in ("LARGE", "FEW"):
            monkeypatch.setattr(idx, name, 1000 if many else 1_000_000_000)
        found = load_letters(str(folder), orientation="transposed")
        assert isinstance(found.train.images, Mapped) == isinstance(found.test.images, Mapped) == many
        return found

    return loaded


@pytest.fixture
def beyond_memory(monkeypatch):
    """400 rows are more than are shuffled at once, in windows of 64, and drawn as many at a time."""
    for module in (letters, draws):
        monkeypatch.setattr(module, "WHOLE", 300)
    for module, changes in ((draws, {"BLOCK": 8, "WINDOW": 64}), (batches, {"STRETCH": 100})):
        for name, value in changes.items():
            monkeypatch.setattr(module, name, value)


def outcome(config, of, **kwargs):
    """Losses and parameters of each epoch."""
    reports = list(fit(config, of, **kwargs))
    return [(each.train_loss, each.val_loss, each.val_accuracy, each.state.parameters.tobytes()) for each in reports]


@pytest.mark.parametrize("kind", KINDS)
def test_letters_in_their_file_come_to_the_bits_of_those_in_memory(kind, load, device):
    config = dataclasses.replace(CONFIG, epochs=2, **KINDS[kind])
    in_memory, in_file = (load(many) for many in (False, True))
    assert in_file.fingerprint == in_memory.fingerprint
    assert outcome(config, in_file, device=device) == outcome(config, in_memory, device=device)


@pytest.mark.parametrize("kind", ["distorted", "ensemble"])
def test_they_do_beyond_memory_and_as_a_resumed_run(kind, load, beyond_memory):
    config = dataclasses.replace(CONFIG, **KINDS[kind])
    in_memory, in_file = (load(many) for many in (False, True))
    whole = outcome(config, in_file)
    assert whole == outcome(config, in_memory)
    first = next(fit(config, in_file))
    assert outcome(config, in_file, state=first.state) == whole[1:]


def test_letters_in_an_npz_archive_come_to_the_bits_of_those_in_memory(few_letters, tmp_path, monkeypatch):
    parts = {"train": few_letters.train, "test": few_letters.test}
    arrays = {f"x_{name}": part.images for name, part in parts.items()}
    np.savez(path := tmp_path / "letters.npz", **arrays, **{f"y_{name}": part.labels for name, part in parts.items()})
    in_memory = load_letters(str(path), orientation="transposed")
    monkeypatch.setattr(idx, "LARGE", 1000)
    in_file = load_letters(str(path), orientation="transposed")
    assert isinstance(in_file.train.images, Mapped)
    assert in_file.fingerprint == in_memory.fingerprint
    config = dataclasses.replace(CONFIG, epochs=1)
    assert outcome(config, in_file) == outcome(config, in_memory)


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_in_stretches_is_the_epoch(kind, few_letters, device, monkeypatch):
    config = dataclasses.replace(CONFIG, epochs=2, **KINDS[kind])
    monkeypatch.setattr(batches, "PIECE", 30)
    whole = outcome(config, few_letters, device=device)
    monkeypatch.setattr(batches, "STRETCH", 100)
    assert outcome(config, few_letters, device=device) == whole


def test_a_device_with_room_holds_them(load, monkeypatch):
    monkeypatch.setattr("lettergpu.backends.device.PIECE", 150)
    there = dataclasses.replace(CPU, free=lambda: 1_000_000)
    in_file = load(True)
    np.testing.assert_array_equal(there.put_if_it_fits(in_file.train.flat), load(False).train.flat)
    tight = dataclasses.replace(CPU, free=lambda: 1000)
    assert isinstance(tight.put_if_it_fits(in_file.train.flat), Mapped)


def test_a_run_of_them_is_finished_alike(load, beyond_memory, tmp_path):
    summaries = []
    for many in (False, True):
        of = load(many)
        with Run.create(tmp_path / str(many), dataclasses.replace(CONFIG, epochs=1), of) as run:
            for report in fit(run.config, of):
                run.record(report)
            run.finish(of, CPU)
        summaries.append(json.loads((tmp_path / str(many) / "summary.json").read_text()))
        summaries[-1].pop("seconds")
    assert summaries[0] == summaries[1]


def test_a_file_that_is_cut_short_ends_the_training_in_a_sentence(load):
    of = load(True)
    training = fit(CONFIG, of)
    next(training)
    os.truncate(of.train.images.path, 100_000)
    with pytest.raises(LettergpuError, match="train-images-idx3-ubyte was cut short while it was in use"):
        next(training)


BOUNDED = """
import resource, sys
from lettergpu.config import Config
from lettergpu.data.letters import load_letters
from lettergpu.training import batches
from lettergpu.training.loop import fit

batches.STRETCH = 16_384
config = Config(hidden=(4,), batch_size=4096, epochs=1, augment="none", moment_norm=False, batch_norm=False,
                split="byclass", validation=0.25, device="cpu")
def train(folder):
    letters = load_letters(folder, "byclass", orientation="transposed")
    return letters.fingerprint, [report.train_loss for report in fit(config, letters)]
train(sys.argv[1])  # what is imported and compiled
own = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (own + 100_000_000,) * 2)
train(sys.argv[2])
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells what memory is a process's own")
def test_letters_of_three_times_that_train_within_100_mb(tmp_path):
    for name, count in (("few", 2000), ("many", 330_000)):
        (tmp_path / name).mkdir()
        for part, rows in (("train", count), ("test", 100)):
            images, labels = (tmp_path / name / file for file in file_names("byclass", part))
            write_idx(labels, np.arange(rows) % 62)
            write_idx(images, np.zeros((0, 28, 28)))
            with images.open("r+b") as file:
                file.seek(4)
                file.write(rows.to_bytes(4, "big"))
            os.truncate(images, 16 + rows * 784)  # of zeros that take no room
    command = [sys.executable, "-c", BOUNDED, tmp_path / "few", tmp_path / "many"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
