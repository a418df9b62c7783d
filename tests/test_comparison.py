"""Comparing two sides: intervals against scipy's, verdicts by a score's direction, and what differs."""

import math
from typing import Any

import pytest
from scipy import stats

from reprogan.comparison import MISSING, Difference, Side, compare, estimate, estimate_difference, verdict
from reprogan.report.scores import SCORES
from reprogan.tables import comparison_parts, judged_by

PARAMS = {
    "compute": {"threads": 2},
    "evaluation": {"seeds": 3},
    "references": {"digits": {"size": None}, "digits64": {"size": 64}},
    "variants": {
        "dcgan": {"reference": "data/references/digits.h5", "training": {"images": 100, "milestones": [0, 100]}},
        "dcgan64": {"reference": "data/references/digits64.h5", "training": {"images": 100}, "view": {"size": 64}},
    },
}
LIKE = {"data": "mnist", "extractor_sha256": "5" * 64, "n_real": 100, "n_fake": 100}


def side(label: str = "dcgan", params: dict[str, Any] | None = None, **scores: Any) -> Side:
    """A side whose `scores` are the values of every sample set."""
    sets = {key: values for key, values in scores.items() if isinstance(values, list)}
    first = {key: values[0] if isinstance(values, list) else values for key, values in scores.items()}
    return Side(label, label.partition("@")[0], params or PARAMS, LIKE | first | {"sets": sets})


def trained(seeds: list[int], values: list[float]) -> Side:
    """A side of several training seeds whose sample sets hardly differ."""
    one = side(frechet_distance=[values[0], values[0] + 0.001])
    one.scores["training"] = {"seeds": seeds, "frechet_distance": values}
    return one


def verdicts(a: Side, b: Side) -> dict[str, str | None]:
    return {line.score.key: line.verdict for line in compare(a, b).scores}


@pytest.mark.parametrize(
    "a, b",
    [
        ([12.2677, 11.9271, 12.1627], [18.85, 19.1, 18.9]),
        ([1.0, 2.0, 4.0, 8.0], [3.0, 3.5]),
        ([0.5, 0.5, 0.5], [0.4, 0.6, 0.7, 0.1]),
        ([1e-3, 2e-3, 4e-3], [1.0, 2.0, 4.0]),
    ],
)
def test_intervals_are_students_and_welchs(a, b):
    reference = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    found = estimate_difference(a, b)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), rel=1e-9)
    assert found.mean == pytest.approx(sum(b) / len(b) - sum(a) / len(a))
    mean = estimate(b)
    low, high = stats.t.interval(0.95, len(b) - 1, loc=sum(b) / len(b), scale=stats.sem(b))
    assert (mean.low, mean.high) == pytest.approx((low, high), rel=1e-9)


def test_of_intervals_of_equal_means_nineteen_in_twenty_hold_zero():
    draw = stats.norm(5, 2).rvs(size=(2000, 2, 4), random_state=1)
    draw[:, 1] = 5 + (draw[:, 1] - 5) * 3  # another variance
    held = [estimate_difference(a, b).low <= 0 <= estimate_difference(a, b).high for a, b in draw.tolist()]
    assert 0.935 < sum(held) / len(held) < 0.97


@pytest.mark.parametrize(
    "key, up", [("frechet_distance", "worse"), ("precision", "better"), ("density", "higher"), ("recall", "better")]
)
def test_a_verdict_is_of_b_by_the_scores_direction(key, up):
    down = {"worse": "better", "better": "worse", "higher": "lower"}[up]
    low, high = side(**{key: [1.0, 1.1, 1.2]}), side(**{key: [2.0, 2.1, 2.2]})
    assert verdicts(low, high) == {key: up}
    assert verdicts(high, low) == {key: down}
    assert verdicts(low, side(**{key: [1.05, 1.12, 1.2]})) == {key: "no difference beyond chance"}


def test_samples_without_spread_are_the_same_or_differ():
    six, eight = side(modes_covered=[6, 6, 6]), side(modes_covered=[8, 8])
    assert verdicts(six, side(modes_covered=[6, 6])) == {"modes_covered": "the same"}
    assert (verdicts(six, eight), verdicts(eight, six)) == ({"modes_covered": "better"}, {"modes_covered": "worse"})
    tenth = [0.1, 0.1, 0.1]  # whose sum is not three tenths
    assert verdicts(side(recall=tenth), side(recall=tenth[:2])) == {"recall": "the same"}


@pytest.mark.parametrize("a, b", [([1.0], [2.0]), ([1.0, 1.1], [2.0]), (1.0, [2.0, 2.1]), (1.0, 1.0)])
def test_one_sample_set_says_nothing(a, b):
    found = compare(side(frechet_distance=a), side(frechet_distance=b))
    assert found.scores[0].verdict == "not known: one sample set"
    assert found.scores[0].difference.half_width is None
    assert "variants.dcgan.training.seeds" in judged_by(found)


def test_the_interval_is_over_training_seeds_where_both_have_several():
    a, b = trained([1, 2, 3], [10.0, 14.0, 12.0]), trained([4, 5], [13.0, 15.0])
    found = compare(a, b)
    assert found.chance == "training seeds" and found.scores[0].verdict == "no difference beyond chance"
    assert found.scores[0].a.mean == 12.0 and found.scores[0].b.mean == 14.0
    assert "1, 2, 3 of A; 4, 5 of B" in judged_by(found)


def test_a_score_that_no_other_training_seed_has_is_not_judged_by_sample_sets():
    a, b = trained([1, 2], [10.0, 14.0]), trained([1, 2], [13.0, 15.0])
    for one, value in ((a, 0.1), (b, 0.9)):
        one.scores["recall"] = value
        one.scores["sets"]["recall"] = [value, value + 0.001]
    assert verdicts(a, b)["recall"] == "not known: one training seed"


def test_with_one_side_of_one_training_seed_it_is_over_sampling_seeds_and_says_so():
    a, b = trained([1, 2, 3], [10.0, 14.0, 12.0]), side("dcgan64", frechet_distance=[13.0, 13.001])
    found = compare(a, b)
    assert found.chance == "sampling seeds" and found.scores[0].verdict == "worse"
    line = judged_by(found)
    assert "chance of sampling alone" in line and "Another training seed may change more" in line
    assert "variants.dcgan64.training.seeds" in line and "variants.dcgan.training.seeds" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "key, other", [("data", "faces"), ("extractor_sha256", "6" * 64), ("n_real", 9), ("n_fake", 9)]
)
def test_what_is_not_comparable_is_named_and_not_judged(key, other):
    a, b = side(frechet_distance=[1.0, 1.1]), side(frechet_distance=[2.0, 2.1])
    b.scores[key] = other
    found = compare(a, b)
    assert [one.key for one in found.unlike] == [key]
    assert found.scores[0].verdict is None and found.scores[0].difference is None
    assert (found.scores[0].a.mean, found.scores[0].b.mean) == pytest.approx((1.05, 2.05))
    assert judged_by(found).startswith(f"Not comparable, so no verdicts: {key} ") and "\n" not in judged_by(found)
    del b.scores[key]
    assert compare(a, b).unlike == (Difference(key, a.scores[key], MISSING),)


def test_only_scores_of_both_in_the_order_of_the_table():
    a = side(recall=[1.0, 2.0], precision=[1.0, 2.0], frechet_distance=[1.0, 2.0], l1=[1.0, 2.0])
    b = side(recall=[1.0, 2.0], frechet_distance=[1.0, 2.0], precision=[1.0, 2.0], ssim=[1.0, 2.0])
    assert list(verdicts(a, b)) == ["frechet_distance", "precision", "recall"]


def test_parameters_that_differ_at_any_depth():
    changed = {
        **PARAMS,
        "compute": {"threads": 2, "device": "cpu"},
        "references": PARAMS["references"] | {"digits": {"size": 32}, "digits64": None},
        "variants": {"dcgan": {**PARAMS["variants"]["dcgan"], "training": {"images": True, "milestones": [0]}}},
    }
    assert compare(side(), side("dcgan@v1", changed)).parameters == (
        Difference("variants.dcgan.training.images", 100, True),
        Difference("variants.dcgan.training.milestones", [0, 100], [0]),
        Difference("compute.device", MISSING, "cpu"),
        Difference("references.digits.size", None, 32),
    )
    assert compare(side(), side("dcgan@v1")).parameters == ()
    assert comparison_parts(compare(side(), side("dcgan@v1")))[0] == "the same parameters"
    one = {**PARAMS, "variants": {"dcgan": {"training": {"images": 1}}}}
    other = {**PARAMS, "variants": {"dcgan": {"training": {"images": True}}}}
    assert len(compare(side(params=one), side(params=other)).parameters) == 1


def test_parameters_of_two_variants_and_of_the_references_they_use():
    assert compare(side(), side("dcgan64")).parameters == (
        Difference("variants.*.reference", "data/references/digits.h5", "data/references/digits64.h5"),
        Difference("variants.*.training.milestones", [0, 100], MISSING),
        Difference("variants.*.view.size", MISSING, 64),
        Difference("references.*.size", None, 64),
    )


def test_every_direction_has_a_verdict():
    difference = estimate_difference([0.0, 0.1], [5.0, 5.1])
    assert math.isclose(difference.mean, 5.0)
    assert {verdict(score, difference) for score in SCORES} == {"better", "worse", "higher"}
