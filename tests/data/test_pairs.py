"""Images and their sources: each task against its formula, the user's own pictures, and pairs that cannot be."""

import hashlib
import itertools
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from skimage.feature import canny

from reprogan.config import TASKS, TOY_FACES, Faces, Pairs, ToyFaces, load
from reprogan.data import hdf5
from reprogan.data.faces.prepare import prepare as prepare_faces
from reprogan.data.faces.prepare import split_of
from reprogan.data.pairs import check, prepare
from reprogan.data.tasks import NoSource, Target, edges, grey, low_resolution, masked
from reprogan.data.toyfaces import parts
from reprogan.data.toyfaces.attributes import draw_attributes
from reprogan.data.toyfaces.face import PARTS, draw
from reprogan.errors import UserError

SIZE = 16
COUNT = 24
TOY = load(Path(__file__).parents[2] / "params.yaml").faces.model_copy(
    update={"source": TOY_FACES, "toyfaces": ToyFaces(seed=3, count=12)}
)


def block(sources: str | Path, options: dict[str, object] | None = None, **changes: object) -> Pairs:
    settings = {"data": "faces", "train": None, "test": None}
    return Pairs(sources=str(sources), options=options or {}, **{**settings, **changes})


def task(name: str) -> str:
    return f"{TASKS}/{name}.py"


def target(pixels: np.ndarray, key: str = "0") -> Target:
    return Target(pixels, key, TOY)


def noise(height: int = SIZE, width: int = SIZE, channels: int = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


def colourful(place: Path) -> Faces:
    """A folder of pictures of noise, 18×20, from which faces are prepared: their middles."""
    place.mkdir()
    for index in range(COUNT):
        Image.fromarray(noise(20, 18, seed=index).transpose(1, 2, 0)).save(place / f"{index}.png")
    return TOY.model_copy(update={"source": str(place), "size": SIZE})


@pytest.fixture
def mine(tmp_path: Path) -> Faces:
    """Prepared pictures of one's own: faces.h5."""
    faces = colourful(tmp_path / "mine")
    prepare_faces(faces, tmp_path / "faces.h5")
    return faces


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few prepared toy faces."""
    out = tmp_path_factory.mktemp("toys") / "faces.h5"
    prepare_faces(TOY, out)
    return out


def digits(path: Path) -> Path:
    """Twelve and six prepared images of one channel, 8×8."""
    arrays = [hdf5.Arrays(noise(8, 8, count)[:, None], np.arange(count, dtype=np.int64) % 2) for count in (12, 6)]
    hdf5.write(path, name="noise", classes=("0", "1"), sources={}, train=arrays[0], test=arrays[1])
    return path


def pairs_of(out: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{key: image, source} of both splits."""
    found = {}
    with h5py.File(out) as file:
        for group in (file[split] for split in hdf5.SPLITS):
            for key, *pair in zip(group["keys"].asstr()[()], group["images"][()], group["sources"][()], strict=True):
                found[key] = tuple(pair)
    return found


def refusal(pairs: Pairs, faces: Faces, prepared: Path, out: Path) -> str:
    with pytest.raises(UserError) as caught:
        prepare("mine", pairs, faces, prepared, out)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("params.yaml: pairs.mine.")
    assert not list(out.parent.glob(f"*{out.name}*")), "something was left behind"
    return str(caught.value)


# ---- what tasks make ------------------------------------------------------------------------------------------------


def luma(colour: tuple[int, ...]) -> int:
    """Recommendation ITU-R BT.601, section 2.5.1, to the nearest whole number."""
    weights = Decimal("0.299"), Decimal("0.587"), Decimal("0.114")
    exact = sum(weight * value for weight, value in zip(weights, colour, strict=True))
    return int(Decimal(exact).quantize(Decimal(1), ROUND_HALF_UP))


def lumas(pixels: np.ndarray) -> np.ndarray:
    return np.array([[luma(tuple(map(int, colour))) for colour in row] for row in pixels.transpose(1, 2, 0)], np.uint8)


def test_the_edges_of_a_square_are_its_outline():
    pixels = np.full((1, 32, 32), 40, np.uint8)
    pixels[:, 10:22, 8:20] = 200
    found = edges.make(target(pixels), edges.Options(sigma=1.0))
    assert found.shape == (1, 32, 32) and found.dtype == np.uint8 and set(np.unique(found)) == {0, 255}
    rows, columns = np.nonzero(found[0] == 0)
    below, right = np.abs(rows - 15.5), np.abs(columns - 13.5)  # from the middle
    assert (np.abs(np.maximum(below, right) - 6) <= 1).all()
    for side in (rows < 12, rows > 19, columns < 10, columns > 17):
        assert 10 <= side.sum() <= 14  # a line one pixel wide


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.5])
def test_edges_are_those_of_the_brightness(sigma):
    smooth = np.asarray(Image.fromarray(noise(8, 8).transpose(1, 2, 0)).resize((40, 30)))
    pixels = smooth.transpose(2, 0, 1)
    found = edges.make(target(pixels), edges.Options(sigma=sigma))
    expected = canny(lumas(pixels), sigma=sigma)
    assert np.array_equal(found[0] == 0, expected) and 0 < expected.sum() < 600
    assert (found[0][~expected] == 255).all()


def test_an_image_without_edges():
    with pytest.raises(NoSource, match=r"^has no edges$"):
        edges.make(target(np.full((3, 20, 20), 90, np.uint8)), edges.Options(sigma=1.0))


COLOURS = [
    *itertools.product((0, 255), repeat=3), (255, 1, 0), (12, 34, 56), (0, 1, 1), (1, 0, 1), (0, 0, 250), (4, 0, 0),
    (3, 1, 145), (100, 100, 100), (250, 250, 250), (200, 17, 93),
]  # fmt: skip


@pytest.mark.parametrize("colour", COLOURS)
def test_grey_is_the_luma_of_a_colour(colour):
    pixels = np.array(colour, np.uint8)[:, None, None].repeat(4, 1).repeat(5, 2)
    found = grey.make(target(pixels), grey.Options())
    assert found.shape == (1, 4, 5) and found.dtype == np.uint8 and (found == luma(colour)).all()


def test_grey_is_made_pixel_by_pixel():
    pixels = noise(20, 30)
    assert np.array_equal(grey.make(target(pixels), grey.Options())[0], lumas(pixels))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [2, 3, 6])
def test_low_resolution_is_the_mean_of_squares(channels, factor):
    pixels = noise(12, 18, channels)
    found = low_resolution.make(target(pixels), low_resolution.Options(factor=factor))
    assert found.shape == pixels.shape and found.dtype == np.uint8
    for channel, row, column in np.ndindex(*pixels.shape):
        top, left = row // factor * factor, column // factor * factor
        values = [int(pixels[channel, top + i, left + j]) for i in range(factor) for j in range(factor)]
        mean = Decimal(sum(values)) / len(values)
        assert found[channel, row, column] == int(mean.quantize(Decimal(1), ROUND_HALF_UP))


def hole(pixels: np.ndarray, found: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, height and width of what a mask has changed."""
    rows, columns = np.nonzero((found != pixels).any(0))
    return rows.min(), columns.min(), rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


@pytest.mark.parametrize(
    ("share", "sides"), [(0.5, (8, 12)), (0.3, (4, 7)), (0.99, (15, 23)), (1 / 16, (1, 1)), (0.26, (4, 6))]
)
def test_a_hole_has_its_share_of_the_sides_and_the_rest_is_untouched(share, sides):
    pixels = np.where(noise(16, 24) == 127, 126, 90).astype(np.uint8)
    found = masked.make(target(pixels, "7.jpg"), masked.Options(seed=1, share=share))
    top, left, height, width = hole(pixels, found)
    assert (height, width) == sides
    assert (found[:, top : top + height, left : left + width] == 127).all()
    assert (pixels == 90).any() and (found != pixels).sum() == 3 * height * width


def test_a_holes_place_is_a_function_of_key_and_seed():
    pixels = np.zeros((3, 16, 16), np.uint8)

    def place(key: str, seed: int, image: np.ndarray = pixels) -> tuple[int, int]:
        return hole(image, masked.make(target(image, key), masked.Options(seed=seed, share=0.5)))[:2]

    digest = hashlib.blake2b(b"5/12.png", digest_size=16).digest()
    assert place("12.png", 5) == tuple(int.from_bytes(digest[i : i + 8], "little") % 9 for i in (0, 8))
    assert place("12.png", 5, np.full((1, 16, 16), 9, np.uint8)) == place("12.png", 5)
    places = [place(str(key), 5) for key in range(400)]
    assert places != [place(str(key), 6) for key in range(400)]
    assert {top for top, _ in places} == {left for _, left in places} == set(range(9))


def test_a_hole_smaller_than_a_pixel():
    with pytest.raises(NoSource, match=r"^has 16×16 pixels; a hole of share 0.06 is smaller than one$"):
        masked.make(target(noise()), masked.Options(seed=1, share=0.06))


def test_the_parts_of_a_face_have_a_colour_each():
    seen: dict[int, set[bytes]] = {code: set() for code in range(len(PARTS))}
    for index in range(12):
        face = draw(draw_attributes(3, index), 3, index)
        found = parts.make(target(face.bytes(), str(index)), parts.Options())
        assert found.shape == (3, 128, 128) and found.dtype == np.uint8 and found.flags.c_contiguous
        for code in np.unique(face.parts):
            seen[code] |= {colour.tobytes() for colour in found[:, face.parts == code].T}
    assert all(len(colours) == 1 for colours in seen.values()), "a part has several colours, or was never drawn"
    colours = np.array([list(*colours) for colours in seen.values()])
    assert len(np.unique(colours, axis=0)) == len(PARTS)
    distances = [np.abs(a - b).sum() for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 100, "two parts look alike"


def test_what_the_parts_show_is_where_the_picture_shows_it():
    for index in range(12):
        face = draw(draw_attributes(3, index), 3, index).bytes()
        found = parts.make(target(face, str(index)), parts.Options())
        assert (found[:, 0, [0, -1]] == 0).all(), "the upper corners are background"
        # Within the background brightness changes slowly; the outline of a head is a step.
        background = (found == 0).all(0)
        inside = background[:, 1:] & background[:, :-1]
        outline = background[:, 1:] ^ background[:, :-1]
        steps = np.abs(np.diff(face.astype(int), axis=2)).max(0)
        assert 0.1 < background.mean() < 0.7 and steps[outline].mean() > 4 * steps[inside].mean()


# ---- pairs as they are written --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "channels"),
    [
        ("edges", {"sigma": 0.5}, 1),
        ("grey", {}, 1),
        ("low_resolution", {"factor": 4}, 3),
        ("masked", {"seed": 1, "share": 0.5}, 3),
    ],
)
def test_each_image_has_the_source_that_the_task_makes_of_it(mine, tmp_path, name, options, channels):
    module = {"edges": edges, "grey": grey, "low_resolution": low_resolution, "masked": masked}[name]
    out = tmp_path / "pairs.h5"
    description = prepare("mine", block(task(name), options), mine, tmp_path / "faces.h5", out)
    assert description.source_channels == channels and description.image_shape == (3, SIZE, SIZE)
    assert description.counts == hdf5.describe(tmp_path / "faces.h5").counts and description.name == "mine"
    found = pairs_of(out)
    assert set(found) == {f"{index}.png" for index in range(COUNT)}
    for key, (image, source) in found.items():
        assert np.array_equal(source, module.make(Target(image, key, mine), module.Options(**options)))
    prepare("mine", block(task(name), options), mine, tmp_path / "faces.h5", tmp_path / "again.h5")
    assert out.read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_images_keep_what_stands_beside_them(toys, tmp_path):
    out = tmp_path / "pairs.h5"
    description = prepare("mine", block(TOY_FACES), TOY, toys, out)
    assert description.attributes == hdf5.describe(toys).attributes and description.source_channels == 3
    for split in hdf5.SPLITS:
        before, after, keys = hdf5.read(toys, split), hdf5.read(out, split), hdf5.read_strings(out, split, "keys")
        where = [hdf5.read_strings(toys, split, "keys").index(key) for key in keys]
        assert np.array_equal(after.images, before.images[where])
        assert np.array_equal(after.attributes, before.attributes[where])
        expected = [
            parts.make(target(image, key), parts.Options()) for image, key in zip(after.images, keys, strict=True)
        ]
        assert np.array_equal(after.sources, expected)


def test_the_toy_faces_path_may_be_written_in_any_way(toys, tmp_path):
    faces = TOY.model_copy(update={"source": f"./{TOY_FACES}/"})
    assert prepare("mine", block(f"./{TOY_FACES}/"), faces, toys, tmp_path / "pairs.h5").source_channels == 3


def test_images_without_names_are_masked_by_their_rows(tmp_path):
    prepared, out = digits(tmp_path / "digits.h5"), tmp_path / "pairs.h5"
    chosen = block(task("masked"), {"seed": 4, "share": 0.5}, data="digits", train=5)
    description = prepare("mine", chosen, TOY, prepared, out)
    assert description.counts == {"train": 5, "test": 6} and description.classes == ("0", "1")
    before, after = hdf5.read(prepared, "train"), hdf5.read(out, "train")
    order = sorted(range(12), key=lambda row: hashlib.blake2b(f"pairs train/{row}".encode()).digest())[:5]
    assert np.array_equal(after.images, before.images[order]) and np.array_equal(after.labels, before.labels[order])
    options = masked.Options(seed=4, share=0.5)
    for row, image, source in zip(order, after.images, after.sources, strict=True):
        assert np.array_equal(source, masked.make(target(image, str(row)), options))


# ---- the user's own pictures ----------------------------------------------------------------------------------------


def beside(mine: Faces, place: Path, suffix: str = "bmp") -> Path:
    """For each picture one of the same name: its negative."""
    place.mkdir()
    for path in Path(mine.source).iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(place / f"{path.stem}.{suffix}")
    return place


@pytest.mark.parametrize("changes", [{}, {"resize": "shorter_side"}, {"size": 19, "on_small": "pad"}])
def test_pictures_of_ones_own_are_matched_by_name_and_cut_alike(tmp_path, changes):
    mine = colourful(tmp_path / "mine").model_copy(update=changes)
    for index in range(0, COUNT, 2):
        Image.fromarray(noise(22, 17).transpose(1, 2, 0)).save(tmp_path / f"mine/{index}.png")
    prepare_faces(mine, tmp_path / "faces.h5")
    sources = beside(mine, tmp_path / "sources")
    description = prepare("mine", block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert description.source_channels == 3 and sum(description.counts.values()) == COUNT
    named = dict(description.sources)
    assert len(named.pop(f"{sources.name} (sources)")) == 64 and named == hdf5.describe(tmp_path / "faces.h5").sources
    found = pairs_of(tmp_path / "pairs.h5")
    for key, (image, source) in found.items():
        inside = (image != 0).any(0) | (source != 0).any(0)  # black is laid round both
        assert inside.sum() >= 16 * 16
        assert (np.abs(image[:, inside].astype(int) + source[:, inside] - 255) <= 2).all(), key
    prepare("mine", block(sources), mine, tmp_path / "faces.h5", tmp_path / "again.h5")
    assert (tmp_path / "pairs.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_names_in_folders_and_with_dots_are_told_apart(tmp_path):
    mine = colourful(tmp_path / "mine")
    (tmp_path / "mine/a.b").mkdir()
    for index in range(COUNT):
        name = f"{index}.png" if index % 2 else f"a.b/{index}.x.png"
        (tmp_path / f"mine/{index}.png").rename(tmp_path / "mine" / name)
    prepare_faces(mine, tmp_path / "faces.h5")
    for path in list((tmp_path / "mine").rglob("*.png")):
        other = tmp_path / "sources" / path.relative_to(tmp_path / "mine").with_suffix(".bmp")
        other.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - np.asarray(Image.open(path))).save(other)
    prepare("mine", block(tmp_path / "sources"), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    found = pairs_of(tmp_path / "pairs.h5")
    assert len(found) == COUNT and all((image == 255 - source).all() for image, source in found.values())


def test_only_pictures_of_images_that_are_taken_are_needed_to_be_sound(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    prepare("mine", block(sources, train=3, test=2), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    chosen = pairs_of(tmp_path / "pairs.h5")
    assert len(chosen) == 5
    for path in sources.iterdir():
        if f"{path.stem}.png" not in chosen:
            path.write_bytes(b"no picture")
    prepare("mine", block(sources, train=3, test=2), mine, tmp_path / "faces.h5", tmp_path / "again.h5")
    assert (tmp_path / "pairs.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()


def test_images_without_a_picture_are_named(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    for index in range(7):
        (sources / f"{index}.bmp").unlink()
    text = refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert f"has 17 pictures for {COUNT} images and lacks" in text and "… (7 in all)" in text
    assert str(sources) in text


def test_pictures_without_an_image_are_named_unless_images_were_left_out(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    for name in ("more", "else"):
        Image.new("RGB", (18, 20)).save(sources / f"{name}.bmp")
    text = refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert f"has 26 pictures for {COUNT} images; there is no image for else, more" in text
    for changes in ({"limit": COUNT}, {"on_small": "skip"}):
        faces = mine.model_copy(update=changes)
        prepare("mine", block(sources), faces, tmp_path / "faces.h5", tmp_path / "pairs.h5")
        assert len(pairs_of(tmp_path / "pairs.h5")) == COUNT


def test_pictures_of_other_sizes_are_named(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    for index in range(6):
        Image.new("RGB", (20, 18)).save(sources / f"{index}.bmp")  # as many pixels, lying
    text = refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "png has 20×18 pixels in" in text and "expected 18×20, as in" in text and "… (6 in all)" in text


def test_broken_pictures_are_named(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    (sources / "4.bmp").write_bytes(b"no picture")
    text = refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "4.png is no picture; mend these images" in text


def test_two_pictures_of_one_name(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    Image.new("RGB", (18, 20)).save(sources / "3.png")
    text = refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "3.bmp and 3.png in" in text and "expected one of the two" in text


def test_two_images_of_one_name(mine, tmp_path):
    sources = beside(mine, tmp_path / "sources")
    Image.new("RGB", (18, 20)).save(Path(mine.source) / "3.bmp")
    prepare_faces(mine, tmp_path / "faces.h5")
    text = refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "pairs.mine.data: " in text and "3.bmp" in text and "3.png" in text and "expected one of the two" in text


def test_pictures_for_images_without_names(mine, tmp_path):
    chosen = block(beside(mine, tmp_path / "sources"), data="digits")
    text = refusal(chosen, mine, digits(tmp_path / "digits.h5"), tmp_path / "pairs.h5")
    assert "data is 'digits', whose images have no names; expected 'faces'" in text


# ---- pairs that cannot be -------------------------------------------------------------------------------------------


def mistake(pairs: Pairs, root: Path) -> str:
    with pytest.raises(UserError) as caught:
        check("mine", pairs, root)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("params.yaml: pairs.mine.")
    return str(caught.value)


ALL_TASKS = ", ".join([*(task(name) for name in ("edges", "grey", "low_resolution", "masked")), TOY_FACES])


@pytest.mark.parametrize("name", ["edgse", "__init__", "Edges"])
def test_a_task_that_is_not_there(mine, tmp_path, name):
    sources = task(name)
    expected = f"sources is {sources!r}, which is no task; expected one of {ALL_TASKS}"
    assert mistake(block(sources), tmp_path).endswith(expected)
    assert refusal(block(sources), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5").endswith(expected)


def test_pictures_that_are_not_there(mine, tmp_path):
    assert mistake(block("pictures/of_mine"), tmp_path).endswith(
        f"sources is 'pictures/of_mine'; no such file or folder; expected pictures, or a task: {ALL_TASKS}"
    )
    (tmp_path / "pictures/of_mine").mkdir(parents=True)
    check("mine", block("pictures/of_mine"), tmp_path)
    with pytest.raises(UserError, match=r"nowhere: no such file or folder") as caught:
        prepare("mine", block(tmp_path / "nowhere"), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("*pairs.h5*"))


@pytest.mark.parametrize(
    ("sources", "options", "named"),
    [
        (task("edges"), {}, "sigma"),
        (task("edges"), {"factor": 2}, "factor"),
        (task("edges"), {"sigma": -1.0}, "sigma"),
        (task("edges"), {"sigma": "wide"}, "sigma"),
        (task("grey"), {"sigma": 1.0}, "sigma"),
        (task("low_resolution"), {"factor": 1}, "factor"),
        (task("masked"), {"seed": 1, "share": 1.0}, "share"),
        (task("masked"), {"share": 0.5}, "seed"),
        (TOY_FACES, {"sigma": 1.0}, "sigma"),
        ("mine", {"sigma": 1.0}, "sigma"),
    ],
)
def test_options_that_are_anothers_or_out_of_range(mine, tmp_path, sources, options, named):
    assert f"pairs.mine.options.{named}" in mistake(block(sources, options), tmp_path)
    chosen = block(tmp_path / sources if sources == "mine" else sources, options)
    text = refusal(chosen, mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert f"pairs.mine.options.{named}" in text


@pytest.mark.parametrize(
    "pairs",
    [
        block(task("edges"), {"sigma": 1.0}),
        block(task("grey")),
        block(task("low_resolution"), {"factor": 3}),
        block(task("masked"), {"seed": 1, "share": 0.1}),
        block(TOY_FACES),
        block(f"{TOY_FACES}/"),
    ],
)
def test_blocks_that_are_right(pairs, tmp_path):
    check("mine", pairs, tmp_path)


def test_images_in_which_there_are_no_edges_are_named(tmp_path):
    faces = colourful(tmp_path / "mine")
    for index in (4, 6, 8):
        Image.new("RGB", (18, 20), "white").save(tmp_path / f"mine/{index}.png")
    prepare_faces(faces, tmp_path / "faces.h5")
    text = refusal(block(task("edges"), {"sigma": 1.0}), faces, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    for index in range(COUNT):
        assert (f" {index}.png has no edges" in text) == (index in (4, 6, 8))


def test_a_factor_that_does_not_divide_the_sides(mine, tmp_path):
    chosen = block(task("low_resolution"), {"factor": 3})
    text = refusal(chosen, mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "has 16×16 pixels; expected sides that factor 3 divides" in text and f"({COUNT} in all)" in text


def test_grey_of_grey(tmp_path):
    chosen = block(task("grey"), data="digits")
    text = refusal(chosen, TOY, digits(tmp_path / "digits.h5"), tmp_path / "pairs.h5")
    assert "is grey already; expected three channels" in text and "(18 in all)" in text


def test_parts_of_pictures_that_are_no_toy_faces(mine, tmp_path):
    text = refusal(block(TOY_FACES), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    assert "png is no toy face; expected faces.source" in text and f"({COUNT} in all)" in text


def test_parts_of_digits(tmp_path):
    chosen = block(TOY_FACES, data="digits")
    text = refusal(chosen, TOY, digits(tmp_path / "digits.h5"), tmp_path / "pairs.h5")
    assert "is no toy face of seed 3; expected data faces" in text and "(18 in all)" in text


def test_points_have_no_sources(tmp_path):
    points = hdf5.Arrays(np.zeros((4, 2, 1, 1), np.float32), np.zeros(4, np.int64))
    hdf5.write(tmp_path / "ring.h5", name="ring", classes=("0",), sources={}, train=points, test=points)
    text = refusal(block(task("grey")), TOY, tmp_path / "ring.h5", tmp_path / "pairs.h5")
    assert "which are points; expected images" in text


def test_a_split_keeps_to_itself(mine, tmp_path):
    prepare("mine", block(task("grey")), mine, tmp_path / "faces.h5", tmp_path / "pairs.h5")
    for split in hdf5.SPLITS:
        keys = hdf5.read_strings(tmp_path / "pairs.h5", split, "keys")
        assert keys and all(split_of(key, mine.test_share) == split for key in keys)
