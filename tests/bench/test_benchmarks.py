import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ranks

from lettergpu import cli
from lettergpu.cli import benchmark

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.parametrize(("ensemble", "beside"), [(1, 0), (2, 1)])
def test_epoch_times_the_training_loop_and_the_products_without_any_peer(ensemble, beside, monkeypatch):
    monkeypatch.delenv("LETTERGPU_EMNIST", raising=False)
    options = "--activation relu --letters noise --images 2048 --rounds 1 --threads 1 --peers products-only --json -"
    command = [sys.executable, BENCH / "speed/epoch.py", *options.split(), "--ensemble", str(ensemble)]
    command += ["--beside", str(beside)]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    rows = {"lettergpu", "products-only"} | ({"lettergpu, crowded", "products-only, crowded"} if beside else set())
    assert result["rows"].keys() == result["rounds"].keys() == rows
    assert all(seconds > 0 for seconds in result["rows"].values())
    settings = {"activation": "relu", "batch_size": 256, "threads": 1, "images": 2048, "ensemble": ensemble}
    assert settings.items() <= result["settings"].items()


def test_the_command_measures_every_device_and_says_what_it_found(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "COUNT", 2048)
    measured = {"epoch", "products_only", *(f"images_per_second_{size}" for size in benchmark.CALLS)}
    for options in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["lettergpu", "bench", "--activation", "relu", "--device", "cpu", *options])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        text = capsys.readouterr().out
        if options:
            (row,) = json.loads(text).values()
            assert row.keys() == measured
            assert all(number > 0 for number in row.values())
        else:
            assert text.startswith("784-512-256-128-26, relu, batch 256")
            assert "thread(s), kernels of" in text
            assert text.count("images/s") == 1 + len(benchmark.CALLS)


def test_many_gpus_pay_from_where_a_step_takes_as_long_as_on_one():
    for row in ranks.estimate():
        least = ranks.pays_from(row["gpus"], row["messages_us"] / 1e6)
        assert (row["batch"] > least) == (row["shared_us"] < row["alone_us"])
    plain, normalised = (row for row in ranks.estimate() if row["gpus"] == 64 and row["batch"] == 256)
    assert plain["bytes over a link"] == round(2 * 63 / 64 * 4 * (569_498 + 3 * 896))  # scale, mean, variance, too
    assert normalised["messages_us"] > plain["messages_us"]


@pytest.mark.parametrize(("kind", "dark"), [("auto", (0.5, 0.8)), ("noise", (0.0, 0.1))])
def test_letters_are_as_dark_as_they_claim(kind, dark, monkeypatch):
    monkeypatch.delenv("LETTERGPU_EMNIST", raising=False)
    images, labels, _ = benchmark.letters(3000, kind)
    assert images.shape == (3000, 784)
    assert np.bincount(labels, minlength=26).min() > 0
    assert dark[0] <= (images == 0).mean() <= dark[1]


def test_every_piece_of_the_ablation_trains_and_none_twice(folder, tmp_path):
    command = [
        sys.executable,
        BENCH / "accuracy/ablation.py",
        "--data",
        folder,
        "--epochs",
        "2",
        "--json",
        tmp_path / "a.json",
    ]
    done = subprocess.run([*command, "--seeds", "1"], capture_output=True, text=True, check=True)
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert len(rows) > 20
    assert all(0 <= share <= 1 for (share,) in rows.values())
    assert len({share for (share,) in rows.values()}) > 5, "the pieces change nothing"
    assert all(f"| {name} | {100 * share:.2f} % |" in done.stdout for name, (share,) in rows.items())
    again = [*command, "--seeds", "2", "--only", "the recipe", "mix-up, alpha 0.2"]
    done = subprocess.run(again, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert {name: len(shares) for name, shares in found.items() if len(shares) == 2}.keys() == set(again[-2:])
    assert {name: shares[:1] for name, shares in found.items()} == rows
    assert " ± " not in done.stdout.splitlines()[2]
    assert " ± " in done.stdout.splitlines()[3]
