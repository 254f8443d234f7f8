"""Run folders: what they hold, how they are gone on with, who may write to them."""

import numpy as np
import pytest

from lettergpu.errors import LettergpuError
from lettergpu.training.runs import METRICS, read_metrics


def metrics_csv(path, epochs):
    """What `Run.write` makes of so many epochs."""
    values = np.random.default_rng(40).uniform(size=(epochs, len(METRICS) - 1))
    lines = [",".join(METRICS), *(f"{i + 1}," + ",".join(f"{v:.8g}" for v in row) for i, row in enumerate(values))]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return [dict(zip(METRICS, (i + 1, *row), strict=True)) for i, row in enumerate(values)]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_last_line_that_was_cut_is_left_out(cut, tmp_path):
    rows = metrics_csv(path := tmp_path / "metrics.csv", 4)
    path.write_bytes(path.read_bytes()[:-cut])
    for epochs, left in ((4, 3), (3, 3), (2, 2)):  # a crash may have left a line more than the state has epochs
        assert read_metrics(path, epochs) == [pytest.approx(row, rel=1e-7) for row in rows[:left]]


def test_a_line_that_was_left_out_does_not_stop_a_later_run(tmp_path):
    metrics_csv(path := tmp_path / "metrics.csv", 6)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert [row["epoch"] for row in read_metrics(path, 6)] == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [],
        lambda lines: lines[1:],
        lambda lines: [lines[0].replace(b"val_loss", b"loss"), *lines[1:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [lines[0], *reversed(lines[1:])],
        lambda lines: [*lines[:2], lines[2].rsplit(b",", 2)[0] + b"\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b"2,nan,1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b"2,inf,1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b"2," + b"x" * 400 + b",1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b'2,"1\n', *lines[3:]],
        lambda lines: [*lines[:2], b"2,\xff,1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [lines[0], b"0" + lines[1][1:]],
    ],
)
def test_other_lines_are_refused(change, tmp_path):
    metrics_csv(path := tmp_path / "metrics.csv", 6)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(LettergpuError, match=r"metrics.csv is missing or damaged: .*; copy it anew, or") as error:
        read_metrics(path, 6)
    assert len(str(error.value)) < 500 + len(str(path))


def test_no_more_is_read_than_the_epochs_have(tmp_path):
    metrics_csv(path := tmp_path / "metrics.csv", 6)
    with path.open("ab") as file:
        file.truncate(10**8)  # of nothing, which takes no space
    assert [row["epoch"] for row in read_metrics(path, 6)] == [1, 2, 3, 4, 5, 6]
