"""What a person may ask a model for: the picture that comes of it, or one line and no picture."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from reprogan.data.batches import to_float
from reprogan.errors import UserError
from reprogan.models.trained import Trained
from reprogan.sampling.answer import write_answer
from reprogan.sampling.asked import Asked, read_picture, read_prompt
from reprogan.sampling.generate import generate

REPOSITORY = Path(__file__).parents[2]
SIDE = 16
DIGITS = tuple("0123456789")
WORDS = ("a", "beard", "hat", "man", "smiling", "woman")


def tiles(picture: Path, side: int = SIDE, scale: int = 2) -> list[np.ndarray]:
    """The images of a grid, row by row, uint8 (3, side, side)."""
    pixels, step = np.asarray(Image.open(picture)), scale * side + 2
    rows, columns = (pixels.shape[0] - 2) // step, (pixels.shape[1] - 2) // step
    assert pixels.shape == (rows * step + 2, columns * step + 2, 3)
    corners = [(2 + row * step, 2 + column * step) for row in range(rows) for column in range(columns)]
    large = [pixels[top : top + scale * side, left : left + scale * side] for top, left in corners]
    return [image[::scale, ::scale].transpose(2, 0, 1) for image in large]


def images(model: Trained, count: int, seed: int = 1, **more: object) -> np.ndarray:
    return torch.cat(list(generate(model, count, seed, **more))).numpy()


def shows(picture: Path, expected: np.ndarray, **grid: int) -> bool:
    """Whether the grid's first images are these, the rest of it blank."""
    found = tiles(picture, **grid)
    blank = all((tile == 127).all() for tile in found[len(expected) :])
    return blank and all(
        np.array_equal(tile, np.broadcast_to(image, tile.shape))
        for tile, image in zip(found[: len(expected)], expected, strict=True)
    )


def tokens(*words: str) -> torch.Tensor:
    return torch.tensor([[WORDS.index(word) + 1 for word in words]])


def refusal(model: Trained, asked: Asked, out: Path) -> str:
    before = sorted(out.parent.iterdir())
    with pytest.raises(UserError) as caught:
        write_answer(model, asked, out)
    assert "\n" not in str(caught.value) and sorted(out.parent.iterdir()) == before
    return str(caught.value)


# ---- what comes of it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (5, 3), (16, 4)])
def test_images_of_a_generator(load, tmp_path, count, columns):
    model, out = load("gan"), tmp_path / "new folder/gan.png"
    assert write_answer(model, Asked(count, 7), out) == [f"{out}: {count} images of gan, seed 7"]
    assert Image.open(out).width == columns * (2 * SIDE + 2) + 2
    assert shows(out, images(model, count, 7))


@pytest.mark.parametrize("label", [0, 7])
def test_images_of_one_class(load, tmp_path, label):
    model = load("cgan")
    write_answer(model, Asked(4, 1, class_=DIGITS[label]), tmp_path / "one.png")
    assert shows(tmp_path / "one.png", images(model, 4, label=label))
    write_answer(model, Asked(4, 1), tmp_path / "all.png")
    assert shows(tmp_path / "all.png", images(model, 4))
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "all.png").read_bytes()


ASKED = {
    "gan": Asked(3, 1),
    "cgan": Asked(3, 1, class_="4"),
    "stackgan_1": Asked(3, 1, text="a man"),
    "pix2pix_edges": Asked(3, 1, image=Path("source.png")),
}


@pytest.mark.parametrize("name", list(ASKED))
def test_the_same_seed_gives_the_same_bytes_and_another_others(load, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(lines()).save("source.png")
    made = []
    for seed in (1, 1, 2):
        asked = Asked(**{**vars(ASKED[name]), "seed": seed})
        write_answer(load(name), asked, tmp_path / "out.png")
        made.append((tmp_path / "out.png").read_bytes())
    assert made[0] == made[1] != made[2]


def test_images_of_a_caption(load, tmp_path):
    model, out = load("stackgan_1"), tmp_path / "faces.PNG"
    said = write_answer(model, Asked(3, 5, text="A Man, smiling!"), out)
    assert said == [f"{out}: 3 images of stackgan_1, seed 5"]
    expected = images(model, 3, 5, told=tokens("a", "man", "smiling"))
    assert shows(out, expected, side=64, scale=1)
    assert not np.array_equal(expected, images(model, 3, 5, told=tokens("a", "woman")))


def test_unknown_words_are_left_out_and_said(load, tmp_path):
    model = load("stackgan_1")
    said = write_answer(model, Asked(2, 1, text="a tall man in a top hat, tall"), tmp_path / "some.png")
    assert said[0] == "words that the model does not know, left out: tall, in, top" and len(said) == 2
    assert len(write_answer(model, Asked(2, 1, text="a man a hat"), tmp_path / "known.png")) == 1
    assert (tmp_path / "some.png").read_bytes() == (tmp_path / "known.png").read_bytes()


def test_a_prompt_is_tokens_and_the_words_left_out(load):
    prompt = read_prompt(load("stackgan_1"), "Woman with a beard")
    assert prompt.tokens.dtype == torch.int64 and prompt.tokens.tolist() == [[6, 1, 2]]
    assert prompt.unknown == ["with"]


def lines() -> np.ndarray:
    """A drawing, white with black strokes."""
    pixels = np.full((SIDE, SIDE), 255, np.uint8)
    pixels[4, 3:12] = pixels[4:13, 8] = 0
    return pixels


def test_a_picture_to_translate_comes_first(load, tmp_path):
    model = load("pix2pix_edges")
    Image.fromarray(lines()).save(tmp_path / "source.png")
    said = write_answer(model, Asked(3, 2, image=tmp_path / "source.png"), tmp_path / "out.png")
    assert said == [f"{tmp_path / 'out.png'}: 3 images of pix2pix_edges, seed 2"]
    made = images(model, 3, 2, told=to_float(torch.from_numpy(lines())[None, None]))
    assert shows(tmp_path / "out.png", np.concatenate([np.broadcast_to(lines(), (1, 3, SIDE, SIDE)), made]))
    assert len({image.tobytes() for image in made}) == 3


def test_a_picture_in_colour_for_a_model_that_reads_colours(load, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "source.png")
    found = read_picture(load("own_pairs"), tmp_path / "source.png")
    assert found.dtype == np.uint8 and np.array_equal(found, pixels.transpose(2, 0, 1))
    write_answer(load("own_pairs"), Asked(1, 1, image=tmp_path / "source.png"), tmp_path / "out.png")
    assert shows(
        tmp_path / "out.png",
        np.stack([found, *images(load("own_pairs"), 1, told=to_float(torch.from_numpy(found)[None]))]),
    )


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("RGB", "png"), ("1", "png"), ("P", "gif"), ("L", "bmp")])
def test_a_grey_picture_may_be_stored_in_any_way(load, tmp_path, mode, suffix):
    path = tmp_path / f"source.{suffix}"
    Image.fromarray(lines()).convert(mode).save(path)
    assert Image.open(path).mode == mode
    assert np.array_equal(read_picture(load("pix2pix_edges"), path), lines()[None])


# ---- what cannot be asked for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "?!", "tall green", "ein Mann\nmit Hut"])
def test_a_text_without_a_word_that_the_model_knows(load, tmp_path, text):
    found = refusal(load("stackgan_1"), Asked(1, 1, text=text), tmp_path / "out.png")
    expected = f"stackgan_1: {text!r} has no word that it knows; it knows 6, such as smiling, beard, woman, hat, man, a"
    assert found == expected


@pytest.mark.parametrize("name", ["gan", "cgan", "pix2pix_edges"])
def test_a_text_for_a_model_that_reads_none(load, tmp_path, name):
    found = refusal(load(name), Asked(1, 1, text="a man", image=tmp_path / "source.png"), tmp_path / "out.png")
    assert found == f"{name}: --text for a model that reads no captions; expected none"


@pytest.mark.parametrize(("name", "text"), [("gan", None), ("stackgan_1", "a man")])
def test_a_picture_for_a_model_that_reads_none(load, tmp_path, name, text):
    found = refusal(load(name), Asked(1, 1, text=text, image=tmp_path / "source.png"), tmp_path / "out.png")
    assert found == f"{name}: --image for a model that reads no sources; expected none"


@pytest.mark.parametrize(("name", "option"), [("stackgan_1", "text"), ("pix2pix_edges", "image")])
def test_a_model_that_is_told_nothing(load, tmp_path, name, option):
    assert refusal(load(name), Asked(1, 1), tmp_path / "out.png").startswith(f"{name}: no --{option}; ")


@pytest.mark.parametrize("size", [(SIDE, 2 * SIDE), (2 * SIDE, SIDE), (SIDE - 1, SIDE), (128, 128)])
def test_a_picture_of_another_size(load, tmp_path, size):
    Image.new("L", size).save(tmp_path / "source.png")
    found = refusal(load("pix2pix_edges"), Asked(1, 1, image=tmp_path / "source.png"), tmp_path / "out.png")
    assert f"source.png: has {size[0]}×{size[1]} pixels; pix2pix_edges translates {SIDE}×{SIDE}" in found


def picture(mode: str) -> Image.Image:
    """Grey, or half red where the mode has colours."""
    if mode == "I;16":
        return Image.fromarray(np.full((SIDE, SIDE), 40_000, np.uint16))
    if mode in ("L", "LA"):
        return Image.new("L", (SIDE, SIDE), 90).convert(mode)
    whole = Image.new("RGB", (SIDE, SIDE), "white")
    whole.paste((200, 10, 10), (0, 0, SIDE // 2, SIDE))
    return whole.convert(mode)


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        *(("pix2pix_edges", mode, "grey (L)") for mode in ("RGB", "P", "RGBA", "LA", "I;16")),
        *(("own_pairs", mode, "in colour (RGB)") for mode in ("L", "RGBA", "LA", "I;16")),
    ],
)
def test_a_picture_of_another_kind(load, tmp_path, name, mode, expected):
    picture(mode).save(tmp_path / "source.png")
    assert Image.open(tmp_path / "source.png").mode == mode
    found = refusal(load(name), Asked(1, 1, image=tmp_path / "source.png"), tmp_path / "out.png")
    assert found.startswith(f"{tmp_path / 'source.png'}: is of mode ")
    assert found.endswith(f"expected one that is {expected}; save it so")


@pytest.mark.parametrize(("name", "mode"), [("own_pairs", "P"), ("own_pairs", "RGB"), ("pix2pix_edges", "L")])
def test_a_picture_with_transparent_pixels(load, tmp_path, name, mode):
    """Whose colour there nobody sees: of training pictures it was laid on one."""
    picture(mode).save(tmp_path / "source.png", transparency=(0, 0, 0) if mode == "RGB" else 0)
    found = refusal(load(name), Asked(1, 1, image=tmp_path / "source.png"), tmp_path / "out.png")
    assert found.startswith(
        f"{tmp_path / 'source.png'}: is of mode {mode}, with transparent pixels; expected one that "
    )


def test_a_file_that_is_no_picture(load, tmp_path):
    path, asked = tmp_path / "source.png", Asked(1, 1, image=tmp_path / "source.png")
    missing = refusal(load("pix2pix_edges"), asked, tmp_path / "out.png")
    assert missing == f"{path}: No such file or directory; expected a picture"
    path.write_bytes(b"%!PS-Adobe-3.0")
    assert refusal(load("pix2pix_edges"), asked, tmp_path / "out.png") == f"{path}: is no picture; expected a picture"
    Image.fromarray(lines()).save(path)
    path.write_bytes(path.read_bytes()[:-30])
    assert "is a broken picture" in refusal(load("pix2pix_edges"), asked, tmp_path / "out.png")
    path.unlink()
    path.mkdir()
    assert "Is a directory; expected a picture" in refusal(load("pix2pix_edges"), asked, tmp_path / "out.png")


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("cgan", Asked(1, 1, class_="10"), "cgan: no class '10'; expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("gan", Asked(1, 1, class_="3"), "gan: class 3 of a model that is told no classes; expected none"),
        ("stackgan_1", Asked(1, 1, class_="3", text="a man"), "stackgan_1: no class '3'; expected one of none"),
        ("gan", Asked(1, 2**63), "--seed 9223372036854775808; expected 0 to 9223372036854775807"),
        ("cnn_classifier", Asked(1, 1), "cnn_classifier: a model of system classifier draws no images"),
        ("caption_features", Asked(1, 1, text="a man"), "system contrastive draws no images"),
    ],
)
def test_what_a_model_does_not_draw(load, tmp_path, name, asked, expected):
    assert expected in refusal(load(name), asked, tmp_path / "out.png")


def test_an_earlier_picture_outlives_a_mistake(load, tmp_path):
    write_answer(load("stackgan_1"), Asked(1, 1, text="a man"), tmp_path / "out.png")
    before = (tmp_path / "out.png").read_bytes()
    refusal(load("stackgan_1"), Asked(1, 1, text="tall"), tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == before


# ---- the command ---------------------------------------------------------------------------------------------------

COMMANDS = {
    "translated": ["pix2pix_edges", "--image", "source.png", "--out", "out.png", "--count", "2"],
    "captioned": ["stackgan_1", "--text", "a tall man", "--seed", "3"],
    "class": ["cgan", "--class", "4", "--out", "class.png", "--count", "1"],
    "mistaken": ["stackgan_1", "--text", "a man", "--class", "ten", "--out", "mistaken.png"],
    "walk": ["cgan", "--walk", "3:7", "--count", "4", "--out", "walk.gif"],
    "data": ["gan", "--count", "3", "--out", "gan.h5"],
    "misnamed": ["gan", "--out", "gan.jpg"],
    "unknown": ["gna"],
    "wayward": ["gan", "--walk", "3-7", "--out", "wayward.h5"],
}
RUN = """
import contextlib, io, json, os, sys
from reprogan.cli import main
answers = {}
here = os.getcwd()
for name, arguments in json.loads(sys.argv[1]).items():
    os.chdir(here)
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main(["sample", *arguments])
        except SystemExit as end:
            answers[name] = [end.code, out.getvalue(), error.getvalue()]
assert "mlflow" not in sys.modules, "two seconds for nothing"
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def root(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with these models, and a drawing beside them."""
    folder = tmp_path_factory.mktemp("command") / "repository"
    shutil.copytree(models, folder / "models")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    Image.fromarray(lines()).save(folder / "models/source.png")
    return folder


@pytest.fixture(scope="module")
def answers(root: Path) -> dict[str, tuple[int, str, str]]:
    """{command: exit status, stdout, stderr}: all of COMMANDS, called from a folder of the repository."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("REPROGAN_", "DVC_"))}
    environment = kept | {"PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", RUN, json.dumps(COMMANDS)]
    done = subprocess.run(command, cwd=root / "models", env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return {name: tuple(answer) for name, answer in json.loads(done.stdout).items()}


def test_the_command_takes_paths_from_where_it_is_called(root, answers):
    assert answers["translated"] == (0, f"{root}/models/out.png: 2 images of pix2pix_edges, seed 1\n", "")
    assert np.array_equal(tiles(root / "models/out.png")[0][0], lines())


def test_the_commands_picture_is_in_the_repository_unless_told_otherwise(root, answers):
    status, out, error = answers["captioned"]
    assert (status, error) == (0, "")
    unknown, written = out.splitlines()
    assert unknown.endswith("left out: tall") and written == "stackgan_1.png: 16 images of stackgan_1, seed 3"
    assert len(tiles(root / "stackgan_1.png", 64, 1)) == 16


def test_the_command_draws_one_class(root, answers, load, tmp_path):
    assert answers["class"] == (0, f"{root}/models/class.png: 1 images of cgan, seed 1\n", "")
    found = tiles(root / "models/class.png")[0][0].astype(int)
    # The command computes with another instruction set than this process may.
    assert np.abs(found - images(load("cgan"), 1, label=4)[0, 0]).max() <= 1


def test_the_command_walks_and_writes_data(root, answers):
    assert answers["walk"] == (0, f"{root}/models/walk.gif: 4 images of cgan, walk 3:7, seed 1\n", "")
    with Image.open(root / "models/walk.gif") as picture:
        assert picture.n_frames == 6
    assert answers["data"] == (0, f"{root}/models/gan.h5: 3 images of gan, seed 1\n", "")
    with h5py.File(root / "models/gan.h5") as file:
        assert file["images"].shape == (3, 1, SIDE, SIDE) and file.attrs["variant"] == "gan"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mistaken", "stackgan_1: no class 'ten'; expected one of none"),
        ("misnamed", "gan.jpg: expected a name that ends in .png, .gif or .h5"),
        ("unknown", "no variant 'gna'; expected one of"),
        ("wayward", "gan: --walk '3-7': found 0 colons; expected two numbers of images, from 0 on, with one colon"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(root, answers, name, expected):
    status, out, error = answers[name]
    assert (status, out) == (2, "") and error.startswith("reprogan: ") and error.count("\n") == 1 and expected in error
    written = {path.name for path in root.rglob("*") if path.suffix in (".png", ".jpg", ".gif", ".h5", ".part")}
    assert written == {"source.png", "out.png", "stackgan_1.png", "class.png", "walk.gif", "gan.h5"}
