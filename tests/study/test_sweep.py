"""Sweeps: what may be tried, that trials are neither lost nor run twice, what comes out."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from lettergpu.backends.device import CPU
from lettergpu.config import Config
from lettergpu.data.letters import load_letters
from lettergpu.errors import LettergpuError
from lettergpu.study import sweep

STATES = optuna.trial.TrialState
SMALL = """
[settings]
epochs = 3
augment = "none"
[space]
activation = ["relu", "tanhexp"]
layers = { low = 1, high = 2 }
nodes = [8, 16]
learning_rate = { low = 0.01, high = 0.5, log = true }
"""


@pytest.fixture(scope="module")
def letters():
    every = load_letters("builtin")
    return replace(every, train=every.train.take(np.arange(400)), test=every.test.take(np.arange(100)))


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SMALL)
    return sweep.Space(path)


def states(study):
    return [trial.state for trial in study.get_trials()]


def test_the_space_that_ships_asks_the_reports_question():
    space = sweep.Space()
    lowest = space.config(lambda name, choice: choice[0] if isinstance(choice, list) else choice["low"])
    assert (lowest.activation, lowest.hidden) == ("relu", (64,))
    assert {"activation", "layers", "nodes"} <= space.choices.keys()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "not a readable TOML file"),
        ("", r"it has no \[space\]"),
        ("[spaces]\n", r"\[spaces\]: give \[settings\] and \[space\]"),
        ("[space]\nactivation = 3", "activation: give a list"),
        ("[space]\nactivation = []", "activation: give a list"),
        ("[space]\nl2 = { low = 1.0 }", "l2: give a list"),
        ("[space]\nl2 = { low = 2.0, high = 1.0 }", "l2: give a list"),
        ("[space]\nl2 = { low = 0.0, high = 1.0, log = true }", "l2: give a list"),
        ("[space]\nl2 = { low = 0.0, high = 1.0, step = 'x', base = 2 }", "l2: give a list"),
        ("[space]\nnodes = [3]", "layers and nodes belong together"),
        ("[space]\nactivation = ['relu', 'rely']", "--activation rely: choose one of"),
        ("[space]\nrate = [1]", "there is no setting rate"),
        ("[settings]\nrate = 1\n[space]\nl2 = [0.0]", "there is no setting rate"),
        ("[settings]\npatience = 3\n[space]\nl2 = [0.0]", "are not for trials"),
        ("[space]\nensemble = [1, 2]", "are not for trials"),
        ("[space]\nlayers = [1]\nnodes = [0]", "--hidden 0: give 1 to"),
    ],
)
def test_what_is_no_space_is_told(tmp_path, text, sentence):
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(LettergpuError, match=sentence):
        sweep.Space(tmp_path / "space.toml")
    with pytest.raises(LettergpuError, match="not a readable TOML file"):
        sweep.Space(tmp_path / "missing.toml")


def test_a_sweep_ends_with_the_best_settings_and_goes_on(letters, space, tmp_path):
    study = sweep.opened("s", None, tmp_path)
    assert sweep.write_best(study, tmp_path / "best.toml") is None
    told = []
    sweep.search(study, space, letters, CPU, 3, 0, lambda trial, report: told.append((trial.number, report.epoch)))
    assert len(states(study)) == 3
    again = sweep.opened("s", None, tmp_path)
    sweep.search(again, space, letters, CPU, 3, 0, lambda *_: pytest.fail("they are done"))
    sweep.search(again, space, letters, CPU, 7)
    rows = sweep.table(again)
    assert len(rows) == 7
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    complete = [row["val_loss"] for row in rows if row["state"] == "complete"]
    assert complete == sorted(complete)
    assert [epoch for number, epoch in told if number == 0] == [1, 2, 3]
    best = sweep.write_best(again, tmp_path / "best.toml")
    assert Config.from_file(tmp_path / "best.toml") == best
    assert rows[0]["chosen"]["activation"] == best.activation
    assert len(best.hidden) == rows[0]["chosen"]["layers"]
    assert (best.data, best.epochs, best.calibrate) == ("auto", 3, True)


def test_processes_of_one_command_try_different_settings_the_same_as_one_alone(letters, space, tmp_path):
    """Of the first ten trials, which are drawn at random."""

    def tried(folder, counts):
        for count in counts:  # opened anew, as each process does
            study = sweep.opened("s", None, tmp_path / folder)
            sweep.search(study, space, letters, CPU, count, 7)
        return [trial.params for trial in study.trials]

    alone = tried("alone", [4])
    assert tried("several", [1, 3, 4]) == alone
    assert len({chosen["learning_rate"] for chosen in alone}) == 4


def test_a_trial_that_diverges_is_given_up(letters, tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        '[settings]\nepochs = 3\nactivation = "identity"\nbatch_norm = false\n[space]\nlearning_rate = [1e30]'
    )
    study = sweep.opened("s", None, tmp_path)
    sweep.search(study, sweep.Space(path), letters, CPU, 2)
    assert states(study) == [STATES.PRUNED] * 2
    assert "the loss became" in study.trials[0].user_attrs["diverged"]
    assert sweep.write_best(study, tmp_path / "best.toml") is None


@pytest.mark.skipif(os.name != "posix", reason="nobody is asked whether another process lives")
def test_what_a_dead_process_began_is_tried_again_and_what_a_living_one_does_is_left(letters, space, tmp_path):
    study = sweep.opened("s", None, tmp_path)
    chosen = {"activation": "relu", "layers": 1, "nodes 1": 8, "learning_rate": 0.1}
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    for number in (process.pid, os.getpid()):
        study.enqueue_trial(chosen)
        trial = study.ask()
        space.config(lambda name, choice, trial=trial: sweep.suggest(trial, name, choice))
        trial.set_user_attr("process", [socket.gethostname(), number])
    sweep._retry_dead(study)
    assert states(study) == [STATES.FAIL, STATES.RUNNING, STATES.WAITING]
    sweep._retry_dead(study)
    assert len(states(study)) == 3
    study.tell(1, 0.5)
    sweep.search(study, space, letters, CPU, 2)
    assert states(study)[:2] == [STATES.FAIL, STATES.COMPLETE]
    assert len(states(study)) == 3
    retried = study.trials[2]
    assert retried.state == STATES.COMPLETE
    assert retried.params == chosen
    assert retried.user_attrs["instead_of"] == 0


@pytest.mark.skipif(os.name != "posix", reason="nobody is asked whether another process lives")
def test_processes_share_the_trials_of_one_that_is_killed(tmp_path):
    """By the journal in their folder, or at LETTERGPU_STORAGE, such as postgresql+psycopg://HOST/NAME."""
    storage, out = os.environ.get("LETTERGPU_STORAGE"), tmp_path / "sweep"
    name, count = f"s{os.getpid()}-{time.time_ns()}", 4
    (tmp_path / "space.toml").write_text(SMALL.replace("epochs = 3", "epochs = 8"))

    def worker():
        words = f"sweep --quiet --trials {count} --study {name} --space space.toml --data builtin".split()
        words += ["--storage", storage] if storage else []
        command = [sys.executable, "-m", "lettergpu", *words]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    study = sweep.opened(name, storage, out)
    victim = worker()
    deadline = time.monotonic() + 120
    while not any(trial.state == STATES.RUNNING and trial.intermediate_values for trial in study.get_trials()):
        assert victim.poll() is None, victim.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    for other in [worker(), worker()]:
        told, wrong = other.communicate(timeout=240)
        assert (other.returncode, told.decode().split()) == (0, ["sweep/best.toml"]), wrong
    trials = study.get_trials()
    done = [trial for trial in trials if trial.state in (STATES.COMPLETE, STATES.PRUNED)]
    assert len(done) == count
    retried = [trial for trial in done if "instead_of" in trial.user_attrs]
    assert [trials[trial.user_attrs["instead_of"]].state for trial in retried] == [STATES.FAIL]
    assert retried[0].params == trials[retried[0].user_attrs["instead_of"]].params
    assert len({json.dumps(trial.params, sort_keys=True) for trial in done}) == count
    assert {path.name for path in out.iterdir()} >= {"best.toml", "trials.json", "history.png", "choices.png"}


def test_a_process_that_is_killed_while_it_writes_does_not_hold_the_others_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep.opened("s", None, Path("sweep"))
    lock = sweep._journal(Path("sweep"))._backend._lock
    assert lock.acquire()  # and it is gone
    storage = sweep._journal(Path("sweep"))
    storage._backend._lock.grace_period = 1  # second, for 30
    waiting = threading.Thread(
        target=storage.create_new_study, args=[[optuna.study.StudyDirection.MINIMIZE], "t"], daemon=True
    )
    waiting.start()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_storage_that_cannot_be_used_is_told(tmp_path):
    with pytest.raises(LettergpuError, match=r"--storage nowhere://x: it cannot be used"):
        sweep.opened("s", "nowhere://x", tmp_path)
    for url in ("sqlite:///trials.db", "sqlite+pysqlite:///trials.db"):
        with pytest.raises(LettergpuError, match="two processes may take the same trial; leave it out"):
            sweep.opened("s", url, tmp_path)
