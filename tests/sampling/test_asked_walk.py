"""Walks that a person asks for: their ends are the images that were named, the rest lies between them."""

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from reprogan.errors import UserError
from reprogan.models.latents import draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.answer import write_answer
from reprogan.sampling.asked import Asked
from reprogan.sampling.generate import BLOCK, generate, generator_of
from reprogan.sampling.walk import images_of
from reprogan.training.randomness import Randomness


@pytest.fixture
def walked(load, tmp_path):
    """The images of a walk, uint8 (N, C, H, W), as the data that are written of it."""

    def walk(model: Trained | str, asked: Asked) -> np.ndarray:
        write_answer(load(model) if isinstance(model, str) else model, asked, tmp_path / "walk.h5")
        with h5py.File(tmp_path / "walk.h5") as file:
            return file["images"][()]

    return walk


def image(model: Trained, number: int = 0, seed: int = 1, **more: object) -> np.ndarray:
    return next(generate(model, 1, seed, number, **more))[0].numpy()


def latent(model: Trained, number: int, seed: int) -> torch.Tensor:
    source = Randomness(seed, torch.device("cpu")).generator("sample", number // BLOCK)
    return draw_latents(generator_of(model), BLOCK, source)[number % BLOCK]


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """But for the order of sums in another batch."""
    return np.abs(one.astype(float) - other).max() <= 1


def tokens(*numbers: int) -> torch.Tensor:
    return torch.tensor([numbers])


A_MAN, A_WOMAN_SMILING = tokens(1, 4), tokens(1, 6, 5)


@pytest.mark.parametrize("name", ["gan", "vae", "ring_gan"])
@pytest.mark.parametrize(
    ("one", "other", "count"), [(3, 7, 16), (0, 1, 2), (5, 205, 3), (9, 4, 130), (2, 2, 4), (205, 205, 3)]
)
def test_from_image_to_image(load, walked, name, one, other, count):
    found = walked(name, Asked(count, 7, walk=f"{one}:{other}"))
    assert len(found) == count
    assert np.array_equal(found[0], image(load(name), one, 7))
    assert np.array_equal(found[-1], image(load(name), other, 7))
    if one == other:
        assert all(near(step, found[0]) for step in found)


def test_latents_between_images_lie_on_the_sphere(load, walked):
    model, count = load("vae"), 7
    a, b = (latent(model, number, 1).double() for number in (3, 4))
    angle = math.acos(float(a @ b / a.norm() / b.norm()))
    found = walked("vae", Asked(count, 1, walk="3:4"))
    for step in range(1, count - 1):
        t = step / (count - 1)
        way = math.sin((1 - t) * angle) * a / a.norm() + math.sin(t * angle) * b / b.norm()
        z = way / math.sin(angle) * ((1 - t) * a.norm() + t * b.norm())
        expected = images_of(generator_of(model), z[None].float(), None)[0].numpy()
        assert near(found[step], expected)
        assert not np.array_equal(found[step], found[0]) and not np.array_equal(found[step], found[-1])


def test_the_numbers_are_those_of_the_grid(load, walked):
    drawn = torch.cat(list(generate(load("gan"), 16, 1))).numpy()
    for one, other in ((3, 7), (15, 0)):
        found = walked("gan", Asked(16, 1, walk=f"{one}:{other}"))
        assert np.array_equal(found[0], drawn[one]) and np.array_equal(found[-1], drawn[other])


@pytest.mark.parametrize(("name", "walk", "labels"), [("cgan", "3:7", (3, 7)), ("dcgan_conditional", "a : c", (0, 2))])
@pytest.mark.parametrize("count", [2, 9, 110])
def test_from_class_to_class_with_the_latent_of_the_first_image(load, walked, name, walk, labels, count):
    model = load(name)
    found = walked(name, Asked(count, 5, walk=walk))
    assert len(found) == count
    for end, label in ((0, labels[0]), (-1, labels[1])):
        assert np.array_equal(found[end], image(model, 0, 5, label=label))
    if count == 9:
        shares = torch.eye(len(model.description.classes))[list(labels)].mean(0, keepdim=True)
        middle = images_of(generator_of(model), latent(model, 0, 5)[None], shares)[0].numpy()
        assert near(found[4], middle) and not near(found[4], found[0]) and not near(found[4], found[-1])


def test_a_class_that_is_called_with_a_colon(load, walked):
    found = walked("dcgan_conditional", Asked(3, 1, walk="a:b:c"))
    for end, label in ((0, 1), (-1, 2)):
        assert np.array_equal(found[end], image(load("dcgan_conditional"), label=label))


def test_a_class_that_is_asked_for_is_held_from_image_to_image(load, walked):
    found = walked("cgan", Asked(5, 3, class_="4", walk="2:9"))
    assert np.array_equal(found[0], image(load("cgan"), 2, 3, label=4))
    assert np.array_equal(found[-1], image(load("cgan"), 9, 3, label=4))
    assert not np.array_equal(found[0], image(load("cgan"), 2, 3, label=2))


def test_from_caption_to_caption_with_the_latent_of_the_first_image(load, walked):
    model = load("stackgan_1")
    generator = generator_of(model)
    for weights in generator.augmentation.parameters():
        weights.mul_(5)  # of random weights captions hardly differ
    found = walked(model, Asked(9, 5, walk="A man: a woman, smiling"))
    assert np.array_equal(found[0], image(model, 0, 5, told=A_MAN))
    assert np.array_equal(found[-1], image(model, 0, 5, told=A_WOMAN_SMILING))
    with torch.no_grad():
        features = torch.cat([generator.features_of(told) for told in (A_MAN, A_WOMAN_SMILING)])
        middle = images_of(generator, latent(model, 0, 5)[None], features.mean(0, keepdim=True))[0].numpy()
    assert near(found[4], middle) and not near(found[4], found[0]) and not near(found[4], found[-1])


def test_a_caption_that_is_asked_for_is_held_from_image_to_image(load, walked):
    found = walked("stackgan_1", Asked(4, 3, text="a man", walk="2:5"))
    for end, number in ((0, 2), (-1, 5)):
        assert np.array_equal(found[end], image(load("stackgan_1"), number, 3, told=A_MAN))


@pytest.mark.parametrize(
    ("asked", "left_out"),
    [
        (Asked(2, 1, walk="a tall man:a tall woman in red"), "tall, in, red"),
        (Asked(2, 1, text="a tall man", walk="0:1"), "tall"),
    ],
)
def test_words_that_the_model_does_not_know_are_said(load, tmp_path, asked, left_out):
    out = tmp_path / "walk.png"
    said = write_answer(load("stackgan_1"), asked, out)
    assert said == [
        f"words that the model does not know, left out: {left_out}",
        f"{out}: 2 images of stackgan_1, walk {asked.walk}, seed 1",
    ]


# ---- what cannot be walked -----------------------------------------------------------------------------------------

NUMBERS = "expected two numbers of images, from 0 on,"


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("gan", Asked(4, 1, walk="37"), f"gan: --walk '37': found 0 colons; {NUMBERS} with one colon between"),
        ("gan", Asked(4, 1, walk=""), f"gan: --walk '': found 0 colons; {NUMBERS} with one colon between"),
        ("gan", Asked(4, 1, walk="1:2:3"), f"gan: --walk '1:2:3': found 2 colons; {NUMBERS} with one colon between"),
        ("gan", Asked(4, 1, walk="3:"), f"gan: --walk '3:': found ''; {NUMBERS} such as 3:7"),
        ("gan", Asked(4, 1, walk="-1:3"), f"gan: --walk '-1:3': found '-1'; {NUMBERS} such as 3:7"),
        ("gan", Asked(4, 1, walk="1:2.5"), f"gan: --walk '1:2.5': found '2.5'; {NUMBERS} such as 3:7"),
        ("gan", Asked(4, 1, walk=f"1:{10**30}"), f"found '{10**30}'; {NUMBERS} such as 3:7"),
        ("gan", Asked(4, 1, walk="a:\nb"), f"found 'a'; {NUMBERS} such as 3:7"),
        ("gan", Asked(1, 1, walk="1:2"), "--count 1 with --walk; expected 2 or more, for an image at each end"),
        ("gan", Asked(4, 1, class_="3", walk="1:2"), "gan: class 3 of a model that is told no classes; expected none"),
        ("gan", Asked(4, 1, text="a man", walk="1:2"), "gan: --text for a model that reads no captions"),
        ("cgan", Asked(4, 1, walk="3:10"), "cgan: no class '10'; expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("cgan", Asked(4, 1, walk="37"), "found 0 colons; expected two names of classes with one colon between, such"),
        (
            "cgan",
            Asked(4, 1, walk="1:2:3"),
            "found 2 colons; expected two names of classes with one colon between, such",
        ),
        ("cgan", Asked(4, 1, class_="3", walk="a:b"), f"found 'a'; {NUMBERS} such as 3:7"),
        ("cgan", Asked(4, 1, class_="x", walk="1:2"), "cgan: no class 'x'; expected one of"),
        ("stackgan_1", Asked(4, 1, walk="a man"), "found 0 colons; expected two captions with one colon between, such"),
        ("stackgan_1", Asked(4, 1, walk="a:man:hat"), "found 2 colons; expected two captions with one colon between"),
        ("stackgan_1", Asked(4, 1, walk="a man:tall"), "stackgan_1: 'tall' has no word that it knows"),
        ("stackgan_1", Asked(4, 1, walk="a man:"), "stackgan_1: '' has no word that it knows"),
        ("stackgan_1", Asked(4, 1, text="tall", walk="0:1"), "stackgan_1: 'tall' has no word that it knows"),
        ("stackgan_1", Asked(4, 1, class_="3", walk="0:1"), "stackgan_1: no class '3'; expected one of none"),
        ("pix2pix_edges", Asked(4, 1, walk="1:2"), "pix2pix_edges: --walk for a model that makes images of sources"),
        (
            "pix2pix_edges",
            Asked(4, 1, image=Path("x.png"), walk="1:2"),
            "--walk for a model that makes images of sources",
        ),
        (
            "autoencoder",
            Asked(4, 1, walk="1:2"),
            "autoencoder: a model of system autoencoder draws no images; choose a",
        ),
        ("cnn_classifier", Asked(4, 1, walk="1:2"), "a model of system classifier draws no images"),
    ],
)
def test_one_line_says_what_is_expected(load, tmp_path, name, asked, expected):
    with pytest.raises(UserError) as caught:
        write_answer(load(name), asked, tmp_path / "new/walk.gif")
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
