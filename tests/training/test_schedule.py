"""Learning rates over a budget."""

import pytest
import torch

from reprogan.config import Schedule
from reprogan.training.schedule import rate_factor, set_rate


@pytest.mark.parametrize(
    "kind, warm_up, start, seen, factor",
    [
        ("constant", 0.0, 0.0, 0, 1.0),
        ("constant", 0.0, 0.0, 999, 1.0),
        ("constant", 0.2, 0.0, 100, 0.5),
        ("constant", 0.2, 0.0, 200, 1.0),
        ("cosine", 0.0, 0.0, 0, 1.0),
        ("cosine", 0.0, 0.0, 500, 0.5),
        ("cosine", 0.0, 0.0, 1000, 0.0),
        ("cosine", 0.0, 0.4, 400, 1.0),
        ("cosine", 0.0, 0.4, 700, 0.5),
        ("cosine", 0.1, 0.4, 50, 0.5),
        ("cosine", 0.1, 0.4, 250, 1.0),
        ("cosine", 0.0, 0.0, 2000, 0.0),
    ],
)
def test_factor(kind, warm_up, start, seen, factor):
    schedule = Schedule(kind=kind, warm_up=warm_up, start=start)
    assert rate_factor(schedule, seen, 1000) == pytest.approx(factor, abs=1e-12)


def test_it_never_rises_after_the_warm_up():
    schedule = Schedule(kind="cosine", warm_up=0.1, start=0.3)
    factors = [rate_factor(schedule, seen, 1000) for seen in range(0, 1001)]
    assert factors[:101] == sorted(factors[:101]) and factors[100:] == sorted(factors[100:], reverse=True)


def test_a_rate_is_multiplied_from_where_it_began():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    for factor in (0.5, 0.1, 1.0):
        set_rate(optimiser, factor)
        assert optimiser.param_groups[0]["lr"] == pytest.approx(0.2 * factor)
