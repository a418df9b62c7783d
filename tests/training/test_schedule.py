"""Learning rates over a budget."""

import pytest

from reprogan.config import Schedule
from reprogan.training.schedule import rate_factor


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
