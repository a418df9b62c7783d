"""The files that an answer may be: their images are those of `generate`, and they are there whole or not at all."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from reprogan.config import Compute, Sampling, View
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.models.trained import Trained
from reprogan.sampling import answer
from reprogan.sampling.answer import write_answer
from reprogan.sampling.asked import Asked
from reprogan.sampling.generate import generate
from reprogan.sampling.pictures import POINTS_EXTENT, scatter
from reprogan.sampling.sample import sample_variant

SIDE = 16


def images(model: Trained, count: int, seed: int = 1, **more: object) -> np.ndarray:
    return torch.cat(list(generate(model, count, seed, **more))).numpy()


def frames(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """What a moving picture shows, uint8 (H, W, 3) each, and for how many milliseconds."""
    shown, durations = [], []
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
        for index in range(picture.n_frames):
            picture.seek(index)
            shown.append(np.asarray(picture.convert("RGB")))
            durations.append(picture.info["duration"])
    return shown, durations


def shows(frame: np.ndarray, image: np.ndarray, scale: int = 2) -> bool:
    """Whether a frame is that image (C, H, W), magnified; but for what a palette of 256 colours takes."""
    large = np.broadcast_to(image, (3, *image.shape[1:])).repeat(scale, 1).repeat(scale, 2).transpose(1, 2, 0)
    return frame.shape == large.shape and np.abs(frame.astype(int) - large).mean() < 3


# ---- moving pictures -----------------------------------------------------------------------------------------------


def test_a_gif_shows_one_image_after_another(load, tmp_path):
    out = tmp_path / "gan.GIF"
    assert write_answer(load("gan"), Asked(5, 3), out) == [f"{out}: 5 images of gan, seed 3"]
    shown, durations = frames(out)
    assert durations == [500] * 5
    assert all(shows(frame, image) for frame, image in zip(shown, images(load("gan"), 5, 3), strict=True))
    before = out.read_bytes()
    write_answer(load("gan"), Asked(5, 3), out)
    assert out.read_bytes() == before


def test_large_images_are_not_magnified(load, tmp_path):
    write_answer(load("stackgan_1"), Asked(2, 1, text="a man"), tmp_path / "faces.gif")
    told = torch.tensor([[1, 4]])
    shown, _ = frames(tmp_path / "faces.gif")
    expected = images(load("stackgan_1"), 2, told=told)
    assert all(shows(frame, image, scale=1) for frame, image in zip(shown, expected, strict=True))


def test_a_gif_of_translations_begins_with_the_source(load, tmp_path):
    source = np.full((SIDE, SIDE), 255, np.uint8)
    source[4, 3:12] = 0
    Image.fromarray(source).save(tmp_path / "source.png")
    write_answer(load("pix2pix_edges"), Asked(2, 1, image=tmp_path / "source.png"), tmp_path / "out.gif")
    shown, durations = frames(tmp_path / "out.gif")
    assert len(shown) == 3 and durations == [500] * 3 and shows(shown[0], source[None])
    made = images(load("pix2pix_edges"), 2, told=torch.from_numpy(source)[None, None] / 127.5 - 1)
    assert shows(shown[1], made[0]) and shows(shown[2], made[1])


@pytest.mark.parametrize(("count", "each"), [(2, 2000), (5, 500), (120, 40)])
def test_a_walk_goes_there_and_back(load, tmp_path, count, each):
    write_answer(load("gan"), Asked(count, 1, walk="0:4"), tmp_path / "walk.gif")
    shown, durations = frames(tmp_path / "walk.gif")
    ends = images(load("gan"), 5)
    assert sum(durations) == each * (2 * count - 2)
    assert shows(shown[0], ends[0]) and any(shows(frame, ends[4]) for frame in shown)
    if count < 100:  # else neighbours may be equal, and are one frame
        assert durations == [each] * (2 * count - 2) and shows(shown[count - 1], ends[4])
        there, back = shown[1 : count - 1], shown[count:][::-1]
        assert all(np.array_equal(one, other) for one, other in zip(there, back, strict=True))
    moves = [np.abs(a.astype(int) - b).mean() for a, b in zip(shown, [*shown[1:], shown[0]], strict=True)]
    assert max(moves) > 0 and (count < 100 or max(moves) < 6)


# ---- data ----------------------------------------------------------------------------------------------------------


def test_data_are_the_images_beside_seed_and_variant(load, tmp_path):
    write_answer(load("gan"), Asked(1, 2**63 - 1), tmp_path / "largest.h5")
    with h5py.File(tmp_path / "largest.h5") as file:
        assert file.attrs["seed"] == 2**63 - 1
    out = tmp_path / "new folder/gan.h5"
    assert write_answer(load("gan"), Asked(130, 7), out) == [f"{out}: 130 images of gan, seed 7"]
    with h5py.File(out) as file:
        assert dict(file.attrs) == {"seed": 7, "variant": "gan"} and set(file) == {"images"}
        assert file["images"].dtype == np.uint8
        assert np.array_equal(file["images"][()], images(load("gan"), 130, 7))


@pytest.mark.parametrize("name", ["gan", "cgan"])
def test_data_are_the_bytes_of_the_stage(models, load, tmp_path, name):
    data = tmp_path / "noise.h5"
    split = hdf5.Arrays(np.zeros((4, 1, SIDE, SIDE), np.uint8), np.zeros(4, np.int64))
    hdf5.write(data, name="noise", classes=("0",), sources={}, train=split, test=split)
    compute = Compute(device="cpu", precision="float32", threads=1, isa="native", channels_last=False)
    view = View(size=None, classes=None, per_class=None)
    sample_variant(models / name, data, view, Sampling(seed=5, count=110), 1, compute, tmp_path / "samples")
    write_answer(load(name), Asked(110, 5), tmp_path / "asked.h5")
    assert (tmp_path / "asked.h5").read_bytes() == (tmp_path / "samples/samples.h5").read_bytes()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(12, 1), [*range(10), 0, 1]),
        (Asked(3, 1, class_="4"), [4, 4, 4]),
        (Asked(3, 1, class_="4", walk="0:9"), [4, 4, 4]),
        (Asked(3, 1, walk="3:7"), None),
    ],
)
def test_data_say_of_which_class_each_image_is(load, tmp_path, asked, expected):
    write_answer(load("cgan"), asked, tmp_path / "cgan.h5")
    with h5py.File(tmp_path / "cgan.h5") as file:
        if expected is None:
            assert set(file) == {"images"}
        else:
            assert file["asked_for"].dtype == np.int64 and file["asked_for"][()].tolist() == expected


def test_points_are_data_or_a_scatter_plot(load, tmp_path):
    write_answer(load("ring_gan"), Asked(150, 2), tmp_path / "ring.h5")
    points = images(load("ring_gan"), 150, 2)
    with h5py.File(tmp_path / "ring.h5") as file:
        assert file["images"].dtype == np.float32 and np.array_equal(file["images"][()], points)
    write_answer(load("ring_gan"), Asked(150, 2), tmp_path / "ring.png")
    expected = scatter(torch.from_numpy(points).flatten(1), extent=POINTS_EXTENT)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "ring.png")), np.asarray(expected))


# ---- no file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.jpg", "out", "png", "out.h5.txt"])
def test_another_ending(load, tmp_path, name):
    with pytest.raises(UserError) as caught:
        write_answer(load("gan"), Asked(1, 1), tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: expected a name that ends in .png, .gif or .h5"


def test_points_do_not_move(load, tmp_path):
    with pytest.raises(UserError) as caught:
        write_answer(load("ring_gan"), Asked(1, 1), tmp_path / "ring.gif")
    expected = f"{tmp_path / 'ring.gif'}: ring_gan draws points; expected a name that ends in .png or .h5"
    assert str(caught.value) == expected and not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["png", "gif", "h5"])
def test_a_folder_is_no_file_and_a_file_no_folder(load, tmp_path, ending):
    (tmp_path / f"taken.{ending}").mkdir()
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / f"taken.{ending}", tmp_path / f"file/out.{ending}", tmp_path / f"file/on/out.{ending}"):
        with pytest.raises(UserError) as caught:
            write_answer(load("gan"), Asked(1, 1), out)
        assert str(caught.value).startswith(f"{out}: ") and "expected the name of a file in a folder" in str(
            caught.value
        )
    assert {path.name for path in tmp_path.rglob("*")} == {f"taken.{ending}", "file"}
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("ending", ["png", "gif", "h5"])
@pytest.mark.parametrize("asked", [Asked(3, 1, class_="3"), Asked(1, 1, walk="0:1"), Asked(3, 1, text="a man")])
def test_what_is_refused_leaves_not_even_a_folder(load, tmp_path, ending, asked):
    with pytest.raises(UserError):
        write_answer(load("gan"), asked, tmp_path / f"new/out.{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["png", "gif", "h5"])
def test_a_drawing_that_stops_half_way_leaves_the_file_that_was_there(load, tmp_path, monkeypatch, ending):
    def stopping(*arguments: object, **more: object):
        yield next(generate(*arguments, **more))
        raise KeyboardInterrupt

    out = tmp_path / f"out.{ending}"
    out.write_text("before")
    monkeypatch.setattr(answer, "generate", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_answer(load("gan"), Asked(150, 1), out)
    assert out.read_text() == "before" and [path.name for path in tmp_path.iterdir()] == [out.name]
