"""A search for the best settings: trials of a space by Optuna, in as many processes as share a storage.

A trial is a training whose validation loss is told after each epoch, so that Optuna may give it up. Of `count` trials
none is lost and none run twice: that of a process that died is found and tried again.
"""

import os
import socket
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.device import Device
from ..config import Config
from ..data.letters import Letters
from ..errors import LettergpuError, brief
from ..files import as_text, read_text, replacing
from ..randomness import generator
from ..training.loop import Diverged, fit

if TYPE_CHECKING:
    import optuna

SPACE = Path(__file__).with_name("space.toml")
MOST_TOML = 16_384  # bytes
JOURNAL = "journal.log"
BEAT = 30  # seconds between the signs of life of a process at a database; after two it is taken for dead
PATIENCE = 1.0  # seconds between two looks at whether the others' trials have ended
NUMBERS = {"low", "high", "log", "step"}


class Superfluous(Exception):
    """As many trials as were asked for have been begun by others."""


class Space:
    """settings: those of all trials. choices: what is tried, by setting; `layers` and `nodes` make the hidden layers.

    Raises LettergpuError where the file is no such space.
    """

    def __init__(self, path: Path = SPACE):
        where = f"--space {path}"
        try:
            table = tomllib.loads(read_text(path, MOST_TOML))
        except (OSError, ValueError, RecursionError) as error:
            raise LettergpuError(f"{where}: not a readable TOML file ({brief(error)})") from error
        if unknown := table.keys() - {"settings", "space"}:
            raise LettergpuError(f"{where}: [{brief(min(unknown))}]: give [settings] and [space]")
        choices = table.get("space")
        if not isinstance(choices, dict) or not choices:
            raise LettergpuError(f"{where}: it has no [space] with what is to be tried")
        self.choices: dict[str, Any] = choices
        if ("layers" in self.choices) != ("nodes" in self.choices):
            raise LettergpuError(f"{where}: layers and nodes belong together; or give hidden")
        self.settings = Config.from_table(table.get("settings", {}), where)
        for name, choice in self.choices.items():
            if not _makes_sense(choice):
                raise LettergpuError(f"{where}: {brief(name)}: give a list, or {{ low = ..., high = ... }}")
        for config in self._corners(where):
            if config.patience or config.ensemble > 1 or config.parent:
                raise LettergpuError(f"{where}: patience, ensemble and parent are not for trials")

    def _corners(self, where: str) -> Iterator[Config]:
        """Settings with each choice at its ends, which a training must be able to take."""
        for end in (0, -1):

            def corner(name: str, choice: Any, end: int = end) -> Any:
                return choice[end] if isinstance(choice, list) else choice["low" if end == 0 else "high"]

            try:
                yield self.config(corner)
            except LettergpuError as error:
                raise LettergpuError(f"{where}: {error}") from None

    def config(self, choose: Callable[[str, Any], Any]) -> Config:
        """The settings of a trial. choose: takes the name of a choice and what there is to choose from."""
        of_layers = ("layers", "nodes")
        chosen = {name: choose(name, choice) for name, choice in self.choices.items() if name not in of_layers}
        if "layers" in self.choices:
            layers = choose("layers", self.choices["layers"])
            chosen["hidden"] = [choose(f"nodes {layer}", self.choices["nodes"]) for layer in range(1, layers + 1)]
        return Config.from_table(asdict(self.settings) | chosen, "a trial")


def _makes_sense(choice: Any) -> bool:
    if isinstance(choice, list):
        return bool(choice)
    if not isinstance(choice, dict) or not {"low", "high"} <= choice.keys() <= NUMBERS:
        return False
    low, high = choice["low"], choice["high"]
    return all(type(end) in (int, float) for end in (low, high)) and (not choice.get("log") or low > 0) and low <= high


def suggest(trial: "optuna.Trial", name: str, choice: Any) -> Any:
    """What Optuna has a trial take of a list or of numbers."""
    if isinstance(choice, list):
        plain = all(not isinstance(each, list) for each in choice)
        names = choice if plain else [brief(each) for each in choice]  # which databases can hold
        return choice[names.index(trial.suggest_categorical(name, names))]
    whole = all(type(choice[end]) is int for end in ("low", "high"))
    return (trial.suggest_int if whole else trial.suggest_float)(name, **choice)


def opened(name: str, storage: str | None, folder: Path) -> "optuna.Study":
    """The study of this name, which others may work at as well. storage: a URL; None is a journal in the folder.

    Raises LettergpuError where Optuna is not installed, or the storage cannot be used.
    """
    try:
        import optuna
    except ImportError:
        raise LettergpuError("sweeps need Optuna: pip install -e '.[sweep]'") from None
    if storage and storage.partition(":")[0].partition("+")[0] == "sqlite":
        advice = "leave it out for a journal in the folder, which processes can share, or name a server's database"
        raise LettergpuError(f"--storage {storage}: of SQLite two processes may take the same trial; {advice}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            storage=_journal(folder) if storage is None else _database(storage),
            study_name=name,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
            load_if_exists=True,
        )
    except Exception as error:  # of whichever database, or its driver that is not installed
        where = f"--storage {storage}" if storage else f"{folder / JOURNAL}"
        raise LettergpuError(f"{where}: it cannot be used ({brief(error)})") from error


def _journal(folder: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder.mkdir(parents=True, exist_ok=True)
    # a lock is a link to this; of a relative one nobody sees for how long a killed process has held it: all wait on
    return JournalStorage(JournalFileBackend(as_text((folder / JOURNAL).absolute())))


def _database(url: str) -> Any:
    from optuna.storages import RDBStorage

    with _experimental():
        return RDBStorage(url, heartbeat_interval=BEAT, heartbeat_stale_trial_callback=again)


@contextmanager
def _experimental() -> Iterator[None]:
    """Optuna's signs of life, which it calls so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def again(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    """Have what a trial began be tried anew."""
    study.enqueue_trial(trial.params, user_attrs={"instead_of": trial.number})


def search(
    study: "optuna.Study",
    space: Space,
    letters: Letters,
    device: Device,
    count: int,
    seed: int = Config.seed,
    on_epoch: Callable[["optuna.Trial", Any], None] = lambda trial, report: None,
    on_trial: Callable[["optuna.Study"], None] = lambda study: None,
) -> None:
    """Try until `count` trials of the study are done, by this process and the others.

    seed: what a trial draws is a function of it, of the trial's number and of the trials before, so that processes of
    one command try different settings. on_epoch: is called after each with its trial and report. on_trial: after each
    trial.
    """
    import optuna

    def objective(trial: "optuna.Trial") -> float:
        if _begun(study, before=trial.number) >= count:
            raise Superfluous
        drawn = int(generator(seed, "trial", trial.number).integers(2**32))
        study.sampler = optuna.samplers.TPESampler(seed=drawn, constant_liar=True)
        trial.set_user_attr("process", [socket.gethostname(), os.getpid()])
        config = replace(space.config(lambda name, choice: suggest(trial, name, choice)), **letters.settings)
        trial.set_user_attr("config", config.to_toml())
        try:
            for report in fit(config, letters, device=device):
                trial.report(report.val_loss, report.epoch)
                trial.set_user_attr("val_accuracy", report.val_accuracy)
                on_epoch(trial, report)
                if trial.should_prune():
                    raise optuna.TrialPruned
        except Diverged as error:
            trial.set_user_attr("diverged", str(error))
            raise optuna.TrialPruned from None
        return report.val_loss

    while True:
        _retry_dead(study)
        if _begun(study) < count or _count(study, optuna.trial.TrialState.WAITING):
            with _experimental():
                study.optimize(objective, n_trials=1, catch=(Superfluous,))
            on_trial(study)
        elif _count(study, optuna.trial.TrialState.RUNNING):
            time.sleep(PATIENCE)
        else:
            return


def _count(study: "optuna.Study", *states: Any) -> int:
    return len(study.get_trials(deepcopy=False, states=states))


def _begun(study: "optuna.Study", before: int | None = None) -> int:
    """How many trials count, those done and those that some process is at or will be."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    return sum(trial.state != TrialState.FAIL and (before is None or trial.number < before) for trial in trials)


def _retry_dead(study: "optuna.Study") -> None:
    """Try again what processes of this machine began that are no more, and of others those without a sign of life."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        host, number = trial.user_attrs.get("process", ("", 0))
        if host == socket.gethostname() and not _lives(number):
            try:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            except (ValueError, optuna.exceptions.OptunaError):  # another process was quicker
                continue
            again(study, trial)
    with _experimental():
        optuna.storages.fail_stale_trials(study)


def _lives(process: int) -> bool:
    if os.name != "posix":  # where asking would be a signal
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def table(study: "optuna.Study") -> list[dict[str, Any]]:
    """Its trials, the best first: number, loss (the last that is known), state, accuracy, what was chosen."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        known = trial.intermediate_values
        row = {"trial": trial.number, "state": trial.state.name.lower(), "epochs": max(known, default=0)}
        row |= {"val_loss": known[max(known)] if known else None, "val_accuracy": trial.user_attrs.get("val_accuracy")}
        rows.append(row | {"chosen": trial.params})
    return sorted(rows, key=lambda row: (row["state"] != "complete", row["val_loss"] is None, row["val_loss"] or 0.0))


def write_best(study: "optuna.Study", path: Path) -> Config | None:
    """Write the settings of the best trial as a recipe for `train`; None where none is complete yet."""
    import optuna

    if not _count(study, optuna.trial.TrialState.COMPLETE):
        return None
    best = Config.from_table(tomllib.loads(study.best_trial.user_attrs["config"]), "the best trial")
    best = replace(best, **{name: getattr(Config, name) for name in ("data", "orientation", "test", "device")})
    best = replace(best, calibrate=True)
    with replacing(path) as partial:
        partial.write_text(best.to_toml(), encoding="utf-8")
    return best
