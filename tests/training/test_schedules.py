from dataclasses import replace

import pytest

from lettergpu.config import Config
from lettergpu.training.schedules import SCHEDULES, learning_rates, over_epochs

STEPS = 7


def rates(config):
    return [list(learning_rates(config, epoch, STEPS)) for epoch in range(1, config.epochs + 1)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_more_epochs_keep_the_rate_that_the_planned_ones_came_to(schedule, warmup):
    planned = Config(schedule=schedule, warmup=warmup, epochs=6)
    longer = over_epochs(planned, 10)
    assert longer.epochs == 10
    assert rates(longer)[:6] == rates(planned)
    assert rates(longer)[6:] == [[rates(planned)[-1][-1]] * STEPS] * 4
    assert rates(over_epochs(longer, 15)) == rates(longer) + rates(longer)[-1:] * 5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_restart_is_the_schedule_again(schedule):
    planned = Config(schedule=schedule, epochs=6)
    again = over_epochs(planned, 10, warm_restart=True)
    assert rates(again)[:6] == rates(planned)
    assert rates(again)[6:] == [pytest.approx(row) for row in rates(replace(planned, epochs=4))]
    rested = over_epochs(over_epochs(again, 12), 15, warm_restart=True)
    assert rates(rested)[:10] == rates(again)
    assert rates(rested)[10:12] == [rates(again)[-1][-1:] * STEPS] * 2
    assert rates(rested)[12:] == [pytest.approx(row) for row in rates(replace(planned, epochs=3))]


def test_fewer_epochs_are_the_first_of_the_planned_ones():
    planned = Config(schedule="cosine", epochs=6)
    fewer = over_epochs(planned, 4)
    assert rates(fewer) == rates(planned)[:4]
    assert rates(over_epochs(fewer, 6)) == rates(planned)
    again = over_epochs(fewer, 6, warm_restart=True)
    assert rates(again)[:4] == rates(planned)[:4]
    assert rates(again)[4:] == [pytest.approx(row) for row in rates(replace(planned, epochs=2))]
    assert over_epochs(planned, 6) == planned


def test_a_restart_that_was_not_begun_gives_way_to_another_one():
    planned = Config(schedule="cosine", epochs=6)
    early = over_epochs(over_epochs(planned, 20, warm_restart=True), 6)
    assert rates(early) == rates(planned)
    assert rates(over_epochs(early, 10, warm_restart=True)) == rates(over_epochs(planned, 10, warm_restart=True))
