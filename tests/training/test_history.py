"""The lines of metrics.csv, and TensorBoard's events: what is written, read again, and gone on with."""

from contextlib import closing
from importlib import import_module

import numpy as np
import pytest

from lettergpu.errors import LettergpuError
from lettergpu.training.history import METRICS, TAGS, Events, read_metrics


def metrics_csv(path, epochs):
    """What `write_metrics` makes of so many epochs."""
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


# TensorBoard


@pytest.fixture
def board(tmp_path):
    """What a TensorBoard that stays open has of `tmp_path`: by tag its (step, value), as often as it is asked."""
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    follower = accumulator.EventAccumulator(str(tmp_path))

    def told():
        follower.Reload()
        return {
            tag: [(event.step, event.value) for event in follower.Scalars(tag)] for tag in follower.Tags()["scalars"]
        }

    return told


def events_of(rows):
    """What `board` has to tell of epochs."""
    return {tag: [(row["epoch"], pytest.approx(row[name])) for row in rows] for name, tag in TAGS.items()}


def test_tensorboard_follows_epoch_by_epoch(board, tmp_path):
    rows = metrics_csv(tmp_path / "metrics.csv", 3)
    events = Events(tmp_path, rows[:1])
    for epochs in (1, 2, 3):
        events.write(rows[:epochs])
        assert board() == events_of(rows[:epochs])
    events.close()


def test_what_goes_on_is_not_in_it_twice_for_who_has_it_open_either(board, tmp_path):
    rows = metrics_csv(tmp_path / "metrics.csv", 5)
    Events(tmp_path, rows[:3]).write(rows[:3])  # killed before the third was in last.safetensors
    assert board() == events_of(rows[:3])
    other = [row | {"val_loss": 7.0} for row in rows]
    with closing(Events(tmp_path, other[:3])) as events:
        for epochs in (3, 5):
            events.write(other[:epochs])
    assert board() == events_of(other)
    Events(tmp_path, other).close()
    assert [path.stat().st_size > 0 for path in sorted(tmp_path.glob("*tfevents*"))] == [False, True]


def test_epochs_lie_as_far_apart_as_they_took(board, tmp_path):
    rows = metrics_csv(tmp_path / "metrics.csv", 3)
    with closing(Events(tmp_path, rows)) as events:
        events.write(rows)
    loader = import_module("tensorboard.backend.event_processing.event_file_loader")
    times = [event.wall_time for event in loader.EventFileLoader(str(events.path)).Load() if event.summary.value]
    assert np.diff(times) == pytest.approx([row["seconds"] for row in rows[1:]], abs=1e-5)


def test_events_that_cannot_be_written_are_told_and_closed_quietly(tmp_path):
    writer = import_module("tensorboard.summary.writer.record_writer")
    rows = metrics_csv(tmp_path / "metrics.csv", 1)
    events = Events(tmp_path, rows)
    events.file = writer.RecordWriter(open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(LettergpuError, match=r"events.out.tfevents.\d+ cannot be written \(No space left on device\)"):
        events.write(rows)
    events.close()
