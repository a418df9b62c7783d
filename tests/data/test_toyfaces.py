"""Toy faces: the same bytes from the same seed, everything that the attributes say is to be seen, and is told truly."""

import dataclasses
import itertools
import math
from collections import Counter

import numpy as np
import pytest

from reprogan.data.toyfaces.attributes import Attributes, Draws, caption, draw_attributes
from reprogan.data.toyfaces.drawing import Canvas, Plane, box, coverage, curve, ellipse, join, stroke, within
from reprogan.data.toyfaces.face import PARTS, SIZE, draw

FACES = [draw_attributes(3, index) for index in range(300)]
PLAIN = Attributes(
    person="woman",
    skin="tan",
    head="oval",
    hair="short",
    hair_colour="brown",
    eyes="green",
    gaze="ahead",
    brows="level",
    nose="small",
    mouth="smile",
    glasses="none",
    beard="none",
    hat="none",
    clothes="blue",
    background="grey",
    pattern="plain",
)


def shown(face: Attributes, index: int = 0) -> set[str]:
    """The parts that at least ten pixels show."""
    counts = np.bincount(draw(face, 1, index).parts.ravel(), minlength=len(PARTS))
    return {part for part, count in zip(PARTS, counts, strict=True) if count >= 10}


def test_a_face_is_a_function_of_seed_and_index():
    faces = [draw(FACES[index], 3, index).bytes() for index in range(6)]
    again = [draw(draw_attributes(3, index), 3, index).bytes() for index in reversed(range(6))]
    assert all(np.array_equal(a, b) for a, b in zip(faces, reversed(again), strict=True))
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(faces, 2))
    assert not np.array_equal(draw(FACES[0], 4, 0).bytes(), faces[0])
    assert faces[0].dtype == np.uint8 and faces[0].shape == (3, SIZE, SIZE)


def test_every_option_is_drawn_and_the_odds_are_kept():
    faces = [draw_attributes(1, index) for index in range(2000)]
    for field, options in Attributes.OPTIONS.items():
        found = Counter(getattr(face, field) for face in faces)
        assert set(found) == set(options), field
    share = sum(face.person == "woman" for face in faces) / len(faces)
    assert share == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / len(faces)))
    share = sum(face.gaze == "ahead" for face in faces) / len(faces)
    assert share == pytest.approx(0.6, abs=4 * math.sqrt(0.24 / len(faces)))
    assert {face.beard for face in faces if face.person == "woman"} == {"none"}


def test_codes_are_indices_of_the_options():
    for face in FACES[:50]:
        names = [options[code] for options, code in zip(Attributes.OPTIONS.values(), face.codes(), strict=True)]
        assert Attributes(*names) == face


@pytest.mark.parametrize("index", range(3))
def test_what_the_attributes_say_is_to_be_seen(index):
    base = {"background", "clothes", "skin", "hair", "eyes", "brows", "nose", "mouth"}
    assert shown(PLAIN, index) == base
    man = dataclasses.replace(PLAIN, person="man")
    for field in ("glasses", "beard", "hat"):
        for option in Attributes.OPTIONS[field][1:]:
            assert field in shown(dataclasses.replace(man, **{field: option}), index), option
    assert "hair" not in shown(dataclasses.replace(man, hair="bald"), index)
    for hair in Attributes.OPTIONS["hair"][1:]:
        assert "hair" in shown(dataclasses.replace(man, hair=hair), index)


@pytest.mark.parametrize("field", sorted(Attributes.OPTIONS))
def test_each_option_makes_another_picture(field):
    bearded = dataclasses.replace(PLAIN, person="man") if field == "beard" else PLAIN
    faces = [dataclasses.replace(bearded, **{field: option}) for option in Attributes.OPTIONS[field]]
    pictures = [draw(face, 1, 0) for face in faces]
    for a, b in itertools.combinations(pictures, 2):
        assert (np.abs(a.pixels - b.pixels).max(0) > 0.05).sum() >= 20


def test_a_mouth_bends_as_its_name_says():
    def middle_below_corners(mouth: str) -> float:
        rows, columns = np.nonzero(draw(dataclasses.replace(PLAIN, mouth=mouth), 1, 0).parts == PARTS.index("mouth"))
        middle = np.abs(columns - columns.mean()) < 3
        ends = np.abs(columns - columns.mean()) > 0.8 * np.abs(columns - columns.mean()).max()
        return rows[middle].mean() - rows[ends].mean()

    assert middle_below_corners("frown") < -1 < middle_below_corners("straight") < 1.5 < middle_below_corners("smile")


def test_captions_tell_the_truth_and_vary():
    told = [caption(face, 3, index)[0] for index, face in enumerate(FACES)]
    assert len(set(told)) > 0.95 * len(told)
    for face, words in zip(FACES, told, strict=True):
        assert words.isascii() and "  " not in words and "None" not in words and "none" not in words
        assert (face.person in words) or ({"woman": "lady", "man": "guy"}[face.person] in words.split())
        if face.hair == "bald":
            assert "bald" in words or "no hair" in words
        else:
            assert face.hair_colour in words
        assert ("glasses" in words) == (face.glasses != "none")
        assert ("beard" in words or "stubble" in words or "moustache" in words or "goatee" in words) == (
            face.beard != "none"
        )
        assert all((option in words) == (option == face.hat) for option in Attributes.OPTIONS["hat"][1:])
        assert not {"smiling", "happy", "grinning", "laughing"} & set(words.split()) or face.mouth in ("smile", "grin")
        for article, noun in itertools.pairwise(words.split()):
            assert article not in ("a", "an") or (article == "an") == (noun[0] in "aeiou"), words


def test_draws_differ_by_purpose_and_hold_to_their_odds():
    assert Draws(1, 0, 5).between(0, 1) == Draws(1, 0, 5).between(0, 1)
    assert len({Draws(seed, purpose, 5).between(0, 1) for seed in (1, 2) for purpose in (0, 1)}) == 4
    draws = Draws(1, 0, 0)
    found = Counter(draws.choose(("rare", "often"), (1, 3)) for _ in range(2000))
    assert found["rare"] / 2000 == pytest.approx(0.25, abs=0.04)


# ---- drawing ----------------------------------------------------------------------------------------------------

P = Plane.square(24)
CENTRES = [(x + 0.5, y + 0.5) for y in range(24) for x in range(24)]


def by_hand(distance) -> np.ndarray:
    return np.array([distance(x, y) for x, y in CENTRES]).reshape(24, 24)


def test_a_circle_is_exact():
    expected = by_hand(lambda x, y: math.hypot(x - 11, y - 13) - 6)
    np.testing.assert_allclose(ellipse(P, 11, 13, 6, 6), expected, atol=1e-3)


def test_an_ellipse_is_right_in_sign_and_near_its_outline():
    distance = ellipse(P, 12, 12, 9, 5)
    inside = by_hand(lambda x, y: ((x - 12) / 9) ** 2 + ((y - 12) / 5) ** 2 - 1)
    assert np.array_equal(distance < 0, inside < 0)
    outline = [(12 + 9 * math.cos(t / 500), 12 + 5 * math.sin(t / 500)) for t in range(3142)]
    exact = by_hand(lambda x, y: min(math.hypot(x - a, y - b) for a, b in outline))
    near = exact < 1
    np.testing.assert_allclose(np.abs(distance)[near], exact[near], atol=0.25)


def test_a_rounded_box_is_exact():
    def expected(x: float, y: float) -> float:
        dx, dy = abs(x - 12) - (7 - 2), abs(y - 10) - (5 - 2)
        return math.hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - 2

    np.testing.assert_allclose(box(P, 12, 10, 7, 5, 2), by_hand(expected), atol=1e-5)


def test_a_stroke_is_exact():
    points = [(4.0, 5.0), (15.0, 9.0), (18.0, 20.0)]

    def expected(x: float, y: float) -> float:
        along = [(a, b, step / 4000) for a, b in itertools.pairwise(points) for step in range(0, 4001, 20)]
        return min(math.hypot(x - a[0] - t * (b[0] - a[0]), y - a[1] - t * (b[1] - a[1])) for a, b, t in along) - 1.5

    np.testing.assert_allclose(stroke(P, points, 3.0), by_hand(expected), atol=0.01)


def test_a_curve_begins_and_ends_where_it_should_and_bends_to_its_control_point():
    points = curve((0, 0), (4, 8), (8, 0))
    assert points[0] == (0, 0) and points[-1] == (8, 0) and points[4] == (4, 4)


def test_shapes_join_and_cut():
    a, b = ellipse(P, 8, 12, 5, 5), ellipse(P, 15, 12, 5, 5)
    assert np.array_equal(join(a, b) < 0, (a < 0) | (b < 0))
    assert np.array_equal(within(a, b) < 0, (a < 0) & (b < 0))
    assert (join(a, b, 4) <= join(a, b)).all() and (join(a, b, 4) < join(a, b)).any()


def test_coverage_is_half_on_the_outline_and_grows_inwards():
    distance = np.array([[-30.0, -0.5, -0.25, 0.0, 0.25, 0.5, 30.0]], np.float32)
    np.testing.assert_allclose(coverage(distance)[0], [1, 1, 0.75, 0.5, 0.25, 0, 0])
    np.testing.assert_allclose(coverage(distance, 10)[0][[0, 3, 6]], [1, 0.5, 0])


def test_planes_move_turn_and_mirror():
    seen = P.about(12, 12, 1.0)  # a quarter turn
    np.testing.assert_allclose(seen.x, P.y - 12, atol=1e-5)
    np.testing.assert_allclose(seen.y, 12 - P.x, atol=1e-5)
    assert (P.about(12, 12).mirrored().x >= 0).all()
    area = np.s_[2:5, 7:11]
    assert np.array_equal(P.window(area).x, P.x[area])


def test_paint_covers_by_mask_and_opacity_also_through_a_window():
    canvas = Canvas.square(8, ("nothing", "something"))
    mask = np.zeros((4, 4), np.float32)
    mask[1, 2], mask[2, 2] = 1.0, 0.4
    canvas.window(np.s_[2:6, 3:7]).paint(mask, (1.0, 0.5, 0.0), 0.5, part="something")
    np.testing.assert_allclose(canvas.pixels[:, 3, 5], [0.5, 0.25, 0.0])
    np.testing.assert_allclose(canvas.pixels[:, 4, 5], [0.2, 0.1, 0.0])
    assert canvas.pixels.sum() == pytest.approx(1.05)
    assert canvas.parts.sum() == 1 and canvas.parts[3, 5] == 1
    assert canvas.bytes()[:, 3, 5].tolist() == [128, 64, 0]
    canvas.paint(np.zeros((8, 8), np.float32), (1.0, 1.0, 1.0))  # nothing to paint
    assert canvas.pixels.sum() == pytest.approx(1.05)
