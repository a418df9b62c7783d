"""`reprogan score`: images of any make get the scores of the same pixels in `evaluate`, or one line says why not."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from reprogan.config import Evaluation, Parameters, load
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.inputs import at_size
from reprogan.evaluation.reference import write_reference
from reprogan.evaluation.score import score_generator
from reprogan.models import architecture, trained
from reprogan.score_file import score_file
from reprogan.tables import score_table

ROOT = Path(__file__).parents[1]
CLASSES = ("0", "1", "2")
SHAPE = (1, 20, 20)


def images(count: int, seed: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.integers(0, 128, (count, *shape)) + random.integers(0, 128, (count, shape[0], 1, 1))).astype(
        np.uint8
    )


def make(root: Path, name: str, shape: tuple[int, int, int], size: int | None = None) -> Parameters:
    """A repository with data `name`, a classifier `digit_features` of it, and their reference."""
    labels = np.arange(150) % 3
    splits = {split: hdf5.Arrays(images(150, seed, shape), labels) for seed, split in enumerate(hdf5.SPLITS)}
    hdf5.write(root / f"data/processed/{name}.h5", name="noise", classes=CLASSES, sources={}, **splits)
    torch.manual_seed(0)
    networks = architecture.build("cnn_classifier", {}, shape, 3)
    described = trained.Description(
        "digit_features", "classifier", "cnn_classifier", {}, shape, CLASSES, "noise", "last", 1
    )
    trained.save(root / "models/digit_features", described, networks)
    params = load(ROOT / "params.yaml")
    block = params.references["digits"].model_copy(update={"data": name, "size": size})
    evaluation = Evaluation(seed=1, count=100, seeds=1)
    write_reference(
        size, root / f"data/processed/{name}.h5", root / "models/digit_features", evaluation,
        root / "data/references/noise.h5",
    )  # fmt: skip
    return params.model_copy(update={"references": {"noise": block}, "evaluation": evaluation})


@pytest.fixture
def grey(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(root=tmp_path, params=make(tmp_path, "digits", SHAPE))


def write_pictures(folder: Path, pixels: np.ndarray, form: str = "{}.png") -> Path:
    folder.mkdir()
    for number, image in enumerate(pixels):
        picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        picture.save(folder / form.format(number))
    return folder


def as_files(root: Path, pixels: np.ndarray) -> dict[str, Path]:
    """The same images in every way they may come."""
    folder = write_pictures(root / "pictures", pixels)
    with zipfile.ZipFile(root / "pictures.zip", "w") as archive:
        for picture in folder.iterdir():
            archive.write(picture, f"inside/{picture.name}")
    np.save(root / "channels_first.npy", pixels)
    np.save(root / "channels_last.npy", pixels.transpose(0, 2, 3, 1))
    with h5py.File(root / "images.h5", "w") as file:
        file["images"] = pixels
    files = {
        name: root / name
        for name in ("pictures", "pictures.zip", "channels_first.npy", "channels_last.npy", "images.h5")
    }
    if pixels.shape[1] == 1:
        np.save(root / "flat.npy", pixels[:, 0])
        write_pictures(root / "colours", pixels.repeat(3, 1))
        files |= {"flat": root / "flat.npy", "grey in colours": root / "colours"}
    return files


@pytest.mark.parametrize(("name", "shape"), [("digits", SHAPE), ("faces", (3, 16, 16))])
@pytest.mark.parametrize("count", [90, 130])
def test_the_same_pixels_have_the_scores_that_evaluate_gives(tmp_path, name, shape, count):
    """Also where only some are chosen, which is by their order: 10.png comes after 9.png."""
    params = make(tmp_path, name, shape)
    pixels = images(count, 9, shape)
    samples = tmp_path / "samples/v/samples.h5"
    samples.parent.mkdir(parents=True)
    with h5py.File(samples, "w") as file:
        file["images"] = pixels
    expected = score_generator(
        samples, tmp_path / f"data/processed/{name}.h5", tmp_path / "models/digit_features",
        tmp_path / "data/references/noise.h5", params.evaluation,
    ).scores  # fmt: skip
    expected.pop("sets")
    for kind, path in as_files(tmp_path, pixels).items():
        found = score_file(path, "noise", params, tmp_path)
        assert found.pop("n_given") == count
        assert found == expected, kind
    assert json.loads(json.dumps(found)) == found


def test_smaller_images_are_enlarged(grey):
    small = images(60, 4)[:, :, ::2, ::2]
    np.save(grey.root / "small.npy", small)
    np.save(grey.root / "large.npy", at_size(torch.from_numpy(small.copy()), 20, 20).numpy())
    found, expected = (score_file(grey.root / f"{n}.npy", "noise", grey.params, grey.root) for n in ("small", "large"))
    assert found == expected


def test_a_reference_of_enlarged_images_takes_those_of_its_size(tmp_path):
    params = make(tmp_path, "digits", SHAPE, size=40)
    np.save(tmp_path / "a.npy", images(60, 4, (1, 40, 40)))
    assert score_file(tmp_path / "a.npy", "noise", params, tmp_path)["n_fake"] == 60
    np.save(tmp_path / "a.npy", images(60, 4))
    with pytest.raises(UserError, match=r"\(60, 1, 20, 20\); expected \(N, 1, 40, 40\) as noise has them; scale them"):
        score_file(tmp_path / "a.npy", "noise", params, tmp_path)


def test_the_table_says_what_was_compared(grey):
    from rich.console import Console

    np.save(grey.root / "a.npy", images(130, 4))
    table = score_table("a.npy", score_file(grey.root / "a.npy", "noise", grey.params, grey.root))
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    said = " ".join(console.export_text().split())
    assert "100 images of 130, by a seeded permutation, against 100 held-out images of noise" in said
    assert "Fréchet distance" in said and "few images for" in said and "Memorised" in said


def refusal(grey: SimpleNamespace, path: Path, name: str = "noise") -> str:
    with pytest.raises(UserError) as refused:
        score_file(path, name, grey.params, grey.root)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_is_no_array_of_images_is_refused(grey):
    path = grey.root / "a.npy"
    for array, said in (
        (np.zeros((9, 1, 20, 20), np.float32), "float32 (9, 1, 20, 20); expected uint8 (N, C, H, W)"),
        (np.zeros((9, 400), np.uint8), "uint8 (9, 400); expected uint8"),
        (np.zeros((9, 3, 20, 20), np.uint8), "images are (9, 3, 20, 20); expected (N, 1, 20, 20)"),
        (np.zeros((9, 1, 21, 21), np.uint8), "images are (9, 1, 21, 21); expected (N, 1, 20, 20)"),
        (np.zeros((0, 1, 20, 20), np.uint8), "images are (0, 1, 20, 20)"),
        (np.zeros((3, 1, 20, 20), np.uint8), "3 images; expected 6 or more"),
    ):
        np.save(path, array)
        assert said in refusal(grey, path)
    path.write_bytes(b"\x93NUMPY")
    assert "a.npy: no array" in refusal(grey, path)
    np.save(path, np.array([{"runs": "code"}], dtype=object), allow_pickle=True)
    assert "a.npy: no array (Array can't be memory-mapped: Python objects" in refusal(grey, path)


def test_what_is_no_file_of_images_is_refused(grey):
    for name, content, said in (
        ("a.h5", b"<html>", "a.h5: not an HDF5 file, or truncated"),
        ("a.pt", b"", "a file that ends in '.pt'; expected a folder or .zip of pictures, a .npy or an .h5 file"),
        ("a.zip", b"<html>", "a.zip: neither"),
    ):
        (grey.root / name).write_bytes(content)
        assert said in refusal(grey, grey.root / name)
    assert "no such file or folder" in refusal(grey, grey.root / "nowhere")
    with h5py.File(grey.root / "a.h5", "w") as file:
        file["pictures"] = np.zeros(3)
    assert "a.h5: images: no such dataset; expected uint8 (N, C, H, W)" in refusal(grey, grey.root / "a.h5")
    assert "no reference 'cats'; expected one of noise" in refusal(grey, grey.root / "a.h5", "cats")


def test_pictures_of_another_kind_are_refused(grey):
    folder = write_pictures(grey.root / "p", images(12, 3))
    Image.new("L", (19, 20)).save(folder / "12.png")
    assert "12.png has 19×20 pixels, 0.png 20×20; expected one size" in refusal(grey, folder)
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[5, 5] = 1, 2, 3
    Image.fromarray(colour).save(folder / "12.png")
    assert "12.png is in colour; expected grey pictures; save it so" in refusal(grey, folder)
    Image.new("LA", (20, 20)).save(folder / "12.png")
    assert "12.png has transparent pixels" in refusal(grey, folder)
    (folder / "12.png").write_bytes(b"<html>")
    assert "12.png" in refusal(grey, folder)
    (empty := grey.root / "empty").mkdir()
    assert "a folder without pictures" in refusal(grey, empty)
