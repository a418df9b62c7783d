"""Walks: they begin and end at the images named, keep to the line or the sphere, and are the same bytes each time."""

import hashlib
import math

import numpy as np
import pytest
import torch
from PIL import Image

from reprogan.data.batches import as_data
from reprogan.models import architecture
from reprogan.models.trained import Description, Trained
from reprogan.sampling.generate import generate
from reprogan.sampling.pictures import save_gif
from reprogan.sampling.walk import spherical, straight, walk

DCGAN = {
    "latent_size": 6,
    "latent_distribution": "normal",
    "filters": 4,
    "discriminator_norm": "none",
    "init_std": 0.3,
}
KINDS = {
    "plain": ("dcgan", DCGAN | {"condition": "none"}, (1, 28, 28), 0),
    "embedded": ("dcgan", DCGAN | {"condition": "projection"}, (3, 28, 28), 4),
    "one-hot": (
        "cgan",
        {"latent_size": 6, "latent_distribution": "uniform", "hidden": 8, "init_std": 0.5},
        (1, 9, 9),
        2,
    ),
}


def model(kind: str) -> Trained:
    torch.manual_seed(1)
    name, network, shape, classes = KINDS[kind]
    networks = architecture.build(name, network, shape, classes)
    for built in networks.values():
        built.eval()
    names = tuple(str(label) for label in range(classes))
    return Trained(Description("v", "gan", name, network, shape, names, "noise", "last", 0), networks)


def tile(picture: Image.Image, row: int, column: int, shape: tuple[int, int, int]) -> np.ndarray:
    """One image of a grid with gaps of 2, uint8 (C, H, W)."""
    _, height, width = shape
    top, left = row * (height + 2) + 2, column * (width + 2) + 2
    return np.asarray(picture)[top : top + height, left : left + width].transpose(2, 0, 1)[: shape[0]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_strip_leads_from_image_to_image(kind):
    trained, shape = model(kind), KINDS[kind][2]
    found = walk(trained, seed=7, scale=1)
    for pair in range(3):
        label = {"label": pair % KINDS[kind][3]} if KINDS[kind][3] else {}
        images = next(generate(trained, 12, 7, **label)).numpy()
        for row in (2 * pair, 2 * pair + 1):
            for column, image in ((0, images[2 * pair]), (8, images[2 * pair + 1])):
                shown = tile(found.strip, row, column, shape).astype(int)
                assert np.abs(shown - image).max() <= 1  # another batch, another order of sums
    rows = 6 + max(0, min(3, KINDS[kind][3] - 1))
    assert found.strip.size == (9 * (shape[2] + 2) + 2, rows * (shape[1] + 2) + 2)
    assert len(found.frames) == 32 and {frame.size for frame in found.frames} == {found.frames[0].size}
    assert walk(trained, seed=7, scale=1).strip.tobytes() == found.strip.tobytes()


@pytest.mark.parametrize("kind", ["embedded", "one-hot"])
def test_from_class_to_class(kind):
    trained, shape = model(kind), KINDS[kind][2]
    strip = walk(trained, seed=7, scale=1).strip
    for column, label in ((0, 0), (8, 1)):
        image = next(generate(trained, 1, 7, label=label))[0].numpy()
        assert np.abs(tile(strip, 6, column, shape).astype(int) - image).max() <= 1
    middle = tile(strip, 6, 4, shape)
    assert not np.array_equal(middle, tile(strip, 6, 0, shape)) and not np.array_equal(middle, tile(strip, 6, 8, shape))


def test_shares_of_one_class_are_that_class():
    for kind in ("embedded", "one-hot"):
        generator, classes = model(kind).networks["generator"], KINDS[kind][3]
        z, labels = torch.randn(5, 6), torch.arange(5) % classes
        shares = torch.eye(classes)[labels]
        torch.testing.assert_close(generator(z, shares), generator(z, labels))


def test_straight_steps_are_equal():
    one, other = torch.randn(50), torch.randn(50)
    steps = straight(one, other)
    assert torch.equal(steps[0], one) and torch.equal(steps[8], other)
    torch.testing.assert_close(steps.diff(dim=0), ((other - one) / 8).expand(8, -1))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 15, 300])
def test_spherical_steps_are_those_of_the_formula_with_sines(steps):
    one, other = torch.randn(40), torch.randn(40)
    a, b = one.double() / one.double().norm(), other.double() / other.double().norm()
    angle = math.acos(float(a @ b))
    way = spherical(one, other, steps)
    assert way.shape == (steps + 1, 40)
    for step, found in enumerate(way):
        t = step / steps
        direction = (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)
        length = (1 - t) * float(one.norm()) + t * float(other.norm())
        torch.testing.assert_close(found.double(), direction * length, rtol=1e-5, atol=1e-5)


def test_between_opposite_or_zero_latents_the_way_is_straight():
    one = torch.randn(8)
    torch.testing.assert_close(spherical(one, -one), straight(one, -one))
    assert torch.isfinite(spherical(one, torch.zeros(8))).all()
    torch.testing.assert_close(spherical(one, one), one.expand(9, -1))
    for steps in (1, 5):
        torch.testing.assert_close(spherical(one, -one, steps), straight(one, -one, steps))
        assert torch.isfinite(spherical(torch.zeros(8), one, steps)).all()


def test_the_ways_of_the_stage_are_these_bytes():
    """Pictures that were made before must come out the same."""
    one, other = (torch.arange(40) * 7 % 41 - 20) / 7, (torch.arange(40) * 17 % 43 - 19) / 5
    digests = [hashlib.sha256(path(one, other).numpy().tobytes()).hexdigest() for path in (spherical, straight)]
    assert digests == [
        "2befe41c9510993895816767868ad5c44339758f328bbb642146071077184bfc",
        "dc1e4f128c66f705d36193f4ae8039be2f6b9b25e2b5776a4648fcff7dda7f83",
    ]


def test_a_moving_picture_has_all_its_frames_and_the_same_bytes(tmp_path):
    frames = walk(model("plain"), seed=7, scale=2).frames
    for name in ("a.gif", "b.gif"):
        save_gif(frames, tmp_path / name, 4.0)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 32 and picture.info["duration"] in (120, 125, 130) and picture.info["loop"] == 0
        picture.seek(5)
        shown = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(shown - np.asarray(frames[5])).mean() < 1


def test_a_large_moving_picture_is_as_near_to_its_frames_as_one_of_all_their_pixels(tmp_path):
    smooth = torch.nn.functional.interpolate(
        torch.rand(2, 3, 6, 16, generator=torch.Generator().manual_seed(4)), size=(132, 392), mode="bilinear"
    )
    frames = [Image.fromarray(frame.mul(255).byte().permute(1, 2, 0).numpy()) for frame in smooth]
    save_gif(frames, tmp_path / "large.gif", 1.0)
    with Image.open(tmp_path / "large.gif") as picture:
        shown = picture.convert("RGB")
    of_all = frames[0].quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    apart = [np.abs(np.asarray(some).astype(int) - np.asarray(frames[0])).mean() for some in (shown, of_all)]
    assert apart[0] < 1.15 * apart[1]


def test_round_trips_return(tmp_path):
    """The frame after the last is the first: steps are as small there as elsewhere."""
    trained = model("plain")
    generator = trained.networks["generator"]
    assert as_data(generator(torch.randn(1, 6))).dtype == torch.uint8
    frames = [np.asarray(frame).astype(int) for frame in walk(trained, seed=7, scale=1).frames]
    moves = [np.abs(before - after).mean() for before, after in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert 0 < max(moves) < 4 * np.median(moves)
