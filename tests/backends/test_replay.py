"""Work that is recorded and replayed, on a GPU."""

import warnings

import pytest

from lettergpu.backends.device import one_by_one
from lettergpu.backends.libraries import LIBRARIES

cupy = pytest.importorskip("cupy")
pytestmark = pytest.mark.cuda


@pytest.fixture
def replay():
    if trouble := LIBRARIES["cuda"].devices()[1]:
        pytest.skip(trouble)
    from lettergpu.backends.replay import Replay

    return Replay


def test_a_part_is_done_each_time_and_asked_for_twice(replay):
    total, asked = cupy.zeros(3), []

    def work(part):
        asked.append(part)
        made = cupy.full(3, part)  # memory of the work's own
        total.__iadd__(made * 2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        do = replay(work)
        for _ in range(4):
            assert list(do([1, 1, 10])) == [1, 1, 10]
    assert asked == [1, 1, 10, 10]
    assert total.tolist() == [4 * 2 * 12] * 3
    again = cupy.zeros(3)
    for part in one_by_one(lambda part: again.__iadd__(part * 2))([1, 1, 10] * 4):
        assert part
    assert again.tolist() == total.tolist()


def test_what_comes_before_and_after_is_in_order(replay):
    seen, given = cupy.zeros(1), cupy.zeros(1)

    def work(part):
        seen.__imul__(10)
        seen.__iadd__(given)

    do = replay(work)
    for number in range(1, 8):
        given[...] = number
        list(do("x"))
    assert seen.tolist() == [1234567]


def test_what_a_later_part_keeps_is_not_taken_from_it(replay):
    kept, totals = {}, cupy.zeros(2)

    def work(part):
        if part not in kept:
            kept[part] = cupy.full(1000, float(part))
        made = cupy.full(1000, 7.0)  # given back at the end, and taken again by each replay
        totals[part] += kept[part].sum() + 0 * made.sum()

    do = replay(work)
    list(do([0, 0, 0]))
    list(do([1, 0, 1, 0, 1]))
    assert (kept[1] == 1).all()
    assert totals.tolist() == [0, 3000]


def test_what_cannot_be_recorded_is_done_as_it_is_and_said_once(replay):
    total = cupy.zeros(())

    def work(part):
        if float(total) >= 0:  # asks the GPU
            total.__iadd__(part)

    do = replay(work)
    list(do([1]))
    with pytest.warns(UserWarning, match="launched one by one, as they cannot be recorded: ") as told:
        list(do([1, 2, 2]))
    assert len(told) == 1
    assert float(total) == 6
    (cupy.ones(3) + 1).sum()  # the stream of others is not disturbed


def test_an_error_in_the_work_is_not_swallowed(replay):
    def work(part):
        raise ValueError(part)

    with pytest.raises(ValueError, match="7"):
        list(replay(work)([7]))


def test_interrupted_while_recorded(replay):
    total, interrupted = cupy.zeros(()), []

    def work(part):
        total.__iadd__(1)
        if len(interrupted) == 1:
            interrupted.append(True)
            raise KeyboardInterrupt
        interrupted.append(True)

    do = replay(work)
    list(do("a"))
    with pytest.raises(KeyboardInterrupt):
        list(do("a"))
    list(do("a"))
    assert float(total) == 2  # nothing of what was only recorded was done
