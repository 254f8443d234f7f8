"""All that a training run can be told, and the only home of its defaults: what is best in a minute of CPU."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .data.splits import SPLITS
from .errors import LettergpuError, brief
from .files import read_text

CHOICES = {  # by name, as those who have them stand above this file; a test holds the two together
    "split": tuple(SPLITS),
    "orientation": ("auto", "upright", "transposed"),
    "activation": ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "swish", "mish", "tanhexp"),
    "loss": ("softmax", "sigmoid"),
    "class_weight": ("none", "balanced"),
    "init": ("xavier", "he", "uniform", "report", "zeros"),
    "augment": ("none", "rotate", "affine", "elastic"),
    "schedule": ("constant", "linear", "cosine", "step", "exponential"),
    "precision": ("float32", "tf32", "bf16"),
    "log": ("none", "tensorboard"),
}

RECIPES = Path(__file__).parent / "training" / "recipes"
VIEWS = (1, 3, 9, 27)
MOST_NODES = 1_000_000
MOST_LAYERS = 100
MOST_EPOCHS = 1_000_000
MOST_CYCLES = 50
MOST_TEXT = 1000  # characters of a setting: a folder's name
MOST_TOML = 16_384  # bytes of all settings; more of them could keep a reader of TOML busy for minutes
FAR = 1e300  # no setting is a number beyond it


@dataclass(frozen=True)
class Config:
    """Raises LettergpuError if a value makes no sense; the message names the option of the command line."""

    data: str = "auto"  # auto, builtin, or a folder or file as data/sources.py takes it
    split: str = "letters"
    orientation: str = "auto"  # how the files hold their images; auto: as they can be read, else as is usual
    test: float = 0.2  # share of each class to test on, where there is no test part
    parent: str = ""  # the network whose parameters the training begins with: boxed, a run, a file; else they are drawn
    old: str = "auto"  # letters of the kind that it knows, to be mixed in: auto, builtin, a folder, none
    old_letters: int = 5200  # so many of them an epoch, or as many as there are copies of the new ones if that is more
    device: str = "auto"  # auto, cpu, cuda[:N], torch[:...], sycl[:...]: backends/libraries.py
    precision: str = "float32"  # of factors of matrices: tf32 keeps 10 bits of 23, on a GPU, bf16 7, on a CPU with AMX
    hidden: tuple[int, ...] = (512, 256, 128)  # nodes of each hidden layer; () is a perceptron
    activation: str = "tanhexp"  # of the hidden layers
    batch_norm: bool = True  # normalise what goes into the activation of each hidden layer
    moment_norm: bool = True  # bring letters to one place, slant and size, before all else
    loss: str = "softmax"  # softmax with categorical, or sigmoid with binary cross-entropy
    class_weight: str = "none"  # balanced: each class counts n / (classes * n of the class)
    init: str = "uniform"
    learning_rate: float = 0.3  # the highest
    schedule: str = "cosine"  # how the learning rate falls over all epochs, step by step
    warmup: float = 0.25  # share of all steps over which it first rises
    cycles: tuple[int, ...] = ()  # begin and end of each course of the schedule, in epochs; (): one, over all of them
    momentum: float = 0.9
    nesterov: bool = True
    l2: float = 0.0  # l2 / 2 times the sum of the squared weights is added to the loss
    batch_size: int = 256  # 0: the whole training set
    shuffle: bool = True  # each epoch anew; else every epoch in the same order
    epochs: int = 40  # at most
    patience: int = 0  # stop after so many epochs without a lower validation loss, keep the lowest; 0: keep the last
    augment: str = "elastic"
    rotation_chance: float = 0.5  # of each image in each epoch
    rotation_degrees: tuple[float, float] = (10.0, 15.0)  # least and most, either way
    affine: tuple[float, float, float, float] = (12.0, 2.0, 0.12, 0.2)  # most degrees, pixels, ln of a scale, shear
    elastic: tuple[float, float] = (1.0, 4.0)  # how far and how smoothly images bend: RMS and sigma in pixels
    label_smoothing: float = 0.05  # share of each target that is spread over all classes
    ensemble: int = 1  # how many networks learn side by side, and answer together: see `seeds`
    views: int = 1  # in how many ways a finished network looks at an image: 1, 3, 9 or 27
    calibrate: bool = True  # divide the logits by a number that makes probabilities mean what they say
    validation: float | str = 0.2  # share of the train file, or "last": its end, as many as the test file has
    seed: int = 0
    log: str = "none"  # what is written an epoch besides metrics.csv

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _of_kind(field.name, getattr(self, field.name), field.default))
        for name, choices in CHOICES.items():
            self._require(name, getattr(self, name) in choices, f"choose one of {', '.join(choices)}")
        for name in ("data", "parent", "old", "device"):
            named = len(value := getattr(self, name)) <= MOST_TEXT and value.isprintable()
            self._require(name, named, f"give a name that can be printed, of at most {MOST_TEXT:,} characters")
        fits = all(1 <= nodes <= MOST_NODES for nodes in self.hidden)
        self._require("hidden", fits, f"give 1 to {MOST_NODES:,} nodes a layer, or none for no layer")
        self._require("hidden", len(self.hidden) <= MOST_LAYERS, f"give at most {MOST_LAYERS} layers")
        self._require("learning_rate", self.learning_rate > 0, "give a number above 0")
        self._require("momentum", 0 <= self.momentum < 1, "give a number from 0 to below 1")
        advice = "it needs a --momentum above 0; say --no-nesterov"
        self._require("nesterov", self.momentum > 0 or not self.nesterov, advice)
        self._require("l2", self.l2 >= 0, "give 0 or more")
        self._require("old_letters", self.old_letters >= 1, "give 1 or more, or --old none")
        self._require("batch_size", self.batch_size >= 0, "give 1 or more, or 0 for the whole training set")
        self._require("epochs", 1 <= self.epochs <= MOST_EPOCHS, f"give 1 to {MOST_EPOCHS:,}")
        self._require("patience", self.patience >= 0, "give 1 or more, or 0 to keep the last epoch")
        self._require("rotation_chance", 0 <= self.rotation_chance <= 1, "give a number from 0 to 1")
        begins, ends = self.cycles[::2], self.cycles[1::2]
        follow = len(begins) == len(ends) <= MOST_CYCLES and sorted({0, *begins}) == [*(begins or [0])]
        follow = follow and all(begin < end <= MOST_EPOCHS for begin, end in zip(begins, ends, strict=True))
        self._require("cycles", follow, f"give begin and end of at most {MOST_CYCLES} courses, the first from 0")
        self._require("warmup", 0 <= self.warmup < 1, "give a number from 0 to below 1")
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "give a number from 0 to below 1")
        self._require("affine", min(self.affine) >= 0, "give four numbers from 0")
        self._require("elastic", self.elastic[0] >= 0 and self.elastic[1] > 0, "give a number from 0 and one above 0")
        least, most = self.rotation_degrees
        self._require("rotation_degrees", 0 <= least <= most <= 180, "give two numbers, least and most")
        share = self.validation == "last" or (isinstance(self.validation, float) and 0 < self.validation < 1)
        self._require("test", 0 < self.test < 1, "give a share between 0 and 1")
        self._require("validation", share, "give a share between 0 and 1, or last")
        self._require("views", self.views in VIEWS, f"choose one of {', '.join(map(str, VIEWS))}")
        self._require("ensemble", self.ensemble >= 1, "give 1 or more networks")
        self._require("seed", self.seed >= 0, "give 0 or more")

    @property
    def seeds(self) -> range:
        """That of each network of the ensemble."""
        return range(self.seed, self.seed + self.ensemble)

    def ended(self, epoch: int, best_epoch: int) -> bool:
        """Whether all epochs are done, or `patience` of them have passed without a lower validation loss."""
        return epoch >= self.epochs or 0 < self.patience <= epoch - best_epoch

    def _require(self, name: str, holds: bool, advice: str) -> None:
        if not holds:
            value = getattr(self, name)
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise LettergpuError(f"{option(name)} {brief(shown)}: {advice}")

    def to_toml(self) -> str:
        """The text of a config.toml."""
        import tomli_w

        return tomli_w.dumps(asdict(self))

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> "Config":
        """From the entries of a TOML file; those that it lacks keep their defaults. where: for error messages."""
        known = [field.name for field in fields(cls)]
        for name in table:
            if name not in known:
                raise LettergpuError(f"{where}: there is no setting {brief(name)}; known are {', '.join(known)}")
        try:
            return cls(**table)
        except LettergpuError as error:
            raise LettergpuError(f"{where}: {error}") from None

    @classmethod
    def recipe(cls, name: str) -> "Config":
        """One of training/recipes: report, fast, ..."""
        path = RECIPES / f"{name}.toml"
        return cls.from_table(tomllib.loads(path.read_text(encoding="utf-8")), str(path))

    @classmethod
    def from_file(cls, path: Path) -> "Config":
        """From a TOML file, a recipe or a run's config.toml, or from the recipe of that name in training/recipes."""
        named = RECIPES / f"{path}.toml"
        try:
            if not path.is_file() and path.name == str(path) and named.exists():
                path = named
            table = tomllib.loads(read_text(path, MOST_TOML))
        except FileNotFoundError:
            known = ", ".join(recipe.stem for recipe in sorted(RECIPES.glob("*.toml")))
            raise LettergpuError(
                f"--recipe {path}: there is no such file, nor a recipe of that name: {known}"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise LettergpuError(f"{path}: not a readable TOML file ({brief(error)})") from error
        return cls.from_table(table, str(path))


def option(name: str) -> str:
    """The command line's name for a setting."""
    return "--" + {"learning_rate": "lr", "parent": "from"}.get(name, name).replace("_", "-")


def _of_kind(name: str, value: Any, default: Any) -> Any:
    """The value as the kind of its default: a list as a tuple, a whole number as a real one where one is due."""
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        value = value.item()  # a NumPy scalar
    if name == "validation" and isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not -FAR < value < FAR:  # no NaN either
        raise LettergpuError(f"{option(name)} {brief(value, 20)}: give a finite number")
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        if name in ("hidden", "cycles") or len(value) == len(default):
            return tuple(_of_kind(name, item, (*default, 0)[0]) for item in value)
    elif isinstance(default, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif type(value) is type(default):
        return value
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    raise LettergpuError(f"{option(name)} {brief(value, 20)}: give something of the kind of {shown}")
