import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lettergpu.config import CHOICES, RECIPES, Config
from lettergpu.data.orientation import ORIENTATIONS
from lettergpu.errors import LettergpuError
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.nn.initializers import INITIALIZERS
from lettergpu.nn.losses import LOSSES
from lettergpu.training.schedules import SCHEDULES

configs = st.builds(
    Config,
    data=st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20),
    hidden=st.lists(st.integers(1, 2000), max_size=4).map(tuple),
    learning_rate=st.floats(1e-6, 10),
    momentum=st.floats(0.001, 0.999),
    nesterov=st.booleans(),
    l2=st.floats(0, 1),
    batch_size=st.integers(0, 10_000),
    validation=st.one_of(st.floats(0.01, 0.99), st.just("last")),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**40),
    cycles=st.sampled_from([(), (0, 30), (0, 30, 30, 60), (0, 30, 20, 40)]),
    **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
)


@given(configs)
def test_toml_there_and_back(config):
    assert Config.from_table(tomllib.loads(config.to_toml()), "here") == config


def test_the_report_is_a_recipe():
    config = Config.recipe("report")
    assert [config.batch_norm, config.moment_norm, config.nesterov, config.calibrate] == [False] * 4
    assert (config.hidden, config.activation, config.loss) == ((512, 256, 128), "tanhexp", "softmax")
    assert (config.learning_rate, config.momentum, config.batch_size) == (0.1, 0.9, 256)
    assert (config.augment, config.rotation_chance, config.rotation_degrees) == ("rotate", 0.5, (10.0, 15.0))
    assert config.patience == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": (0,)}, "--hidden 0: give 1 to 1,000,000 nodes"),
        ({"hidden": (512, 0)}, "--hidden 512,0"),
        ({"activation": "gelu"}, "--activation gelu: choose one of identity, sigmoid"),
        ({"learning_rate": 0.0}, "--lr 0.0: give a number above 0"),
        ({"hidden": 8}, "--hidden 8: give something of the kind of 512,256,128"),
        ({"hidden": (10**30,)}, "nodes a layer"),
        ({"learning_rate": "0.1x"}, "--lr 0.1x: give something of the kind of 0.3"),
        ({"learning_rate": 10**400}, "--lr 10000000000000000000...: give a finite number"),
        ({"data": "a\udcff"}, "give a name that can be printed"),
        ({"learning_rate": float("nan")}, "--lr nan: give a finite number"),
        ({"momentum": 1.0}, "--momentum 1.0"),
        ({"momentum": 0.0, "nesterov": True}, "--nesterov True: it needs a --momentum"),
        ({"batch_size": -1}, "--batch-size -1"),
        ({"epochs": 0}, "--epochs 0: give 1 to 1,000,000"),
        ({"epochs": 10**9}, "--epochs 1000000000: give 1 to 1,000,000"),
        ({"validation": 1.0}, "--validation 1.0: give a share between 0 and 1, or last"),
        ({"validation": "first"}, "--validation first"),
        ({"test": 1.0}, "--test 1.0: give a share between 0 and 1"),
        ({"orientation": "lying"}, "--orientation lying: choose one of auto, upright, transposed"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": 10**400}, r"--seed 1000.*\.\.\.: give a finite number"),
        ({"hidden": (1,) * 101}, "give at most 100 layers"),
        (
            {"device": "x" * 5000},
            r"--device x{100}\.\.\.: give a name .* of at most 1,000 characters",
        ),
        ({"rotation_degrees": (15.0, 10.0)}, "--rotation-degrees 15.0,10.0"),
    ],
)
def test_nonsense_is_refused_by_name(changes, message):
    with pytest.raises(LettergpuError, match=message):
        dataclasses.replace(Config(), **changes)


@pytest.mark.parametrize(
    "cycles", [(4,), (4, 8), (0, 0), (0, 4, 0, 8), (0, 4, 6, 5), (0, 4, -1, 5), (0, 10**7), (0,) * 120]
)
def test_courses_that_do_not_follow_each_other_are_refused(cycles):
    with pytest.raises(LettergpuError, match=r"--cycles .*: give begin and end of at most 50 courses"):
        Config(cycles=cycles)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden = [3]", "there is no setting hiden"),
        ("epochs = 'many'", "recipe.toml: --epochs many: give something of the kind of 40"),
        ("epochs = 1.5", "--epochs 1.5: give"),
        ("epochs = true", "--epochs True: give"),
        ("hidden = 512", "--hidden 512: give"),
        ("hidden = [1.5]", r"--hidden 1.5: give"),
        ("rotation_degrees = [1]", "--rotation-degrees"),
        ("epochs = ", "not a readable TOML file"),
        ("l2 = 0x" + "f" * 5000, "--l2 a huge number: give a finite number"),
        ("epochs = 0x" + "f" * 5000, "--epochs a huge number: give a finite number"),
        ("epochs = inf", "--epochs inf: give a finite number"),
        ("a = " + "[" * 5000, "not a readable TOML file"),
        ("." * 20_000, r"not a readable TOML file \(it is larger than 16,384 bytes\)"),
        ("x" * 10_000 + " = 1", r"there is no setting x{100}\.\.\.; known"),
        ('activation = "' + r"\n" * 5000 + '"', r"--activation  {100}\.\.\.: choose one of identity"),
        ("hidden = [" + "0," * 5000 + "]", r"--hidden (0,){50}\.\.\.: give 1 to"),
    ],
)
def test_bad_recipes_are_refused(text, message, tmp_path):
    (path := tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(LettergpuError, match=message) as error:
        Config.from_file(path)
    assert len(str(error.value)) < 1000
    assert str(error.value).isprintable()


def test_all_that_is_a_config_is_short_enough_to_be_read(tmp_path):
    config = Config(data="\U0001f170" * 1000, device="\\" * 1000, hidden=(1_000_000,) * 100)
    (path := tmp_path / "config.toml").write_text(config.to_toml())
    assert Config.from_file(path) == config


def test_recipes_are_found_by_name():
    assert Config.from_file(Path("fast")).epochs < 10
    for recipe in RECIPES.glob("*.toml"):
        assert Config.from_file(Path(recipe.stem)) == Config.from_file(recipe)
    with pytest.raises(LettergpuError, match="nor a recipe of that name: best, fast, report, small"):
        Config.from_file(Path("slow"))


def test_a_run_folder_of_a_recipes_name_does_not_hide_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast").mkdir()
    assert Config.from_file(Path("fast")) == Config.recipe("fast")


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(LettergpuError, match=r"--recipe .*none.toml: there is no such file"):
        Config.from_file(tmp_path / "none.toml")
    with pytest.raises(LettergpuError, match="File name too long"):
        Config.from_file(tmp_path / ("x" * 300))


def test_a_recipe_may_write_a_whole_number_for_a_real_one(tmp_path):
    (path := tmp_path / "recipe.toml").write_text("learning_rate = 1\nrotation_degrees = [5, 10]\n")
    assert Config.from_file(path) == Config(learning_rate=1.0, rotation_degrees=(5.0, 10.0))


def test_numpy_scalars_and_lists_are_taken():
    config = Config(hidden=[np.int64(8)], learning_rate=np.float32(0.5), epochs=np.int32(3), l2=0)
    assert config == Config(hidden=(8,), learning_rate=0.5, epochs=3)
    assert "hidden" in config.to_toml()


def test_the_choices_are_those_of_the_tables():
    assert CHOICES["activation"] == tuple(ACTIVATIONS)
    assert CHOICES["loss"] == tuple(LOSSES)
    assert CHOICES["init"] == tuple(INITIALIZERS)
    assert CHOICES["orientation"] == ORIENTATIONS
    assert CHOICES["schedule"] == tuple(SCHEDULES)
