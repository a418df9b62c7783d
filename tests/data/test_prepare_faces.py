"""Faces prepared: the same squares from every kind of source, split by name, whole or not at all."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from reprogan.config import TOY_FACES, Faces, ToyFaces
from reprogan.data import hdf5
from reprogan.data.faces import prepare as module
from reprogan.data.faces.crop import Unfit, as_rgb
from reprogan.data.faces.prepare import prepare, split_of
from reprogan.data.toyfaces.attributes import Attributes, caption, draw_attributes
from reprogan.data.toyfaces.face import draw
from reprogan.errors import UserError

SIZE = 128

PHOTOGRAPHS = Path(__file__).parents[3] / "shared/data/faces/faces.zip"
PICTURES = Faces(
    source=TOY_FACES,
    group=None,
    limit=None,
    resize="none",
    on_small="error",
    grey="repeat",
    alpha="white",
    test_share=0.2,
    compression="none",
    toyfaces=ToyFaces(seed=3, count=40),
    size=128,
)


def faces(source: Path | str, **changes: object) -> Faces:
    return Faces(**{**PICTURES.model_dump(), "source": str(source), **changes})


def images(count: int = 30, shape: tuple[int, int] = (218, 178)) -> list[np.ndarray]:
    """Smooth ones: a JPEG of noise is no like to it."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return [np.stack([rows + index, columns + 2 * index, rows + columns], 2).astype(np.uint8) for index in range(count)]


def folder(path: Path, pictures: list[np.ndarray], suffix: str = "png") -> Path:
    path.mkdir()
    for index, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(path / f"{index}.{suffix}")
    return path


def prepared(source: Path | str, out: Path, **changes: object) -> dict[str, np.ndarray]:
    """{key: image} of the file prepared."""
    prepare(faces(source, **changes), out)
    return by_key(out)


def by_key(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {
            key.decode(): image
            for split in hdf5.SPLITS
            for key, image in zip(file[split]["keys"][()], file[split]["images"][()], strict=True)
        }


def refusal(source: Path, out: Path, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        prepare(faces(source, **changes), out)
    assert "\n" not in str(caught.value) and str(source) in str(caught.value)
    assert not list(out.parent.glob(f"*{out.name}*")), "something was left behind"
    return str(caught.value)


# ---- what comes out -----------------------------------------------------------------------------------------------


def test_a_folder_is_cut_to_squares(tmp_path):
    pictures = images()
    found = prepared(folder(tmp_path / "mine", pictures), tmp_path / "faces.h5")
    assert list(found) != [f"{index}.png" for index in range(30)] and len(found) == 30  # train, then test
    for index, pixels in enumerate(pictures):
        assert np.array_equal(found[f"{index}.png"], pixels[45:173, 25:153].transpose(2, 0, 1))
    description = hdf5.describe(tmp_path / "faces.h5")
    assert (description.name, description.classes, description.attributes) == ("mine", (), {})
    assert description.image_shape == (3, SIZE, SIZE) and list(description.sources) == ["mine"]
    split = hdf5.read(tmp_path / "faces.h5", "test")
    assert split.attributes is None and split.labels.tolist() == [0] * len(split.images)


def test_folder_zip_and_book_give_the_same(tmp_path):
    pictures = images()
    place = folder(tmp_path / "mine", pictures)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for path in place.iterdir():
            archive.write(path, path.name)
    with h5py.File(tmp_path / "mine.h5py", "w") as file:
        for index, pixels in enumerate(pictures):
            file.create_dataset(f"img_align_celeba/{index}.png", data=pixels, compression="gzip")
    expected = prepared(place, tmp_path / "a.h5")
    for name in ("mine.zip", "mine.h5py"):
        found = prepared(tmp_path / name, tmp_path / "b.h5")
        assert list(found) == list(expected)
        assert all(np.array_equal(found[key], expected[key]) for key in expected)


@pytest.mark.skipif(not PHOTOGRAPHS.is_file(), reason=f"no photographs at {PHOTOGRAPHS}")
def test_photographs_in_a_zip_and_in_the_books_file(tmp_path):
    """The book's file is built from the zip: decoded pictures, one data set each, gzip."""
    with zipfile.ZipFile(PHOTOGRAPHS) as archive, h5py.File(tmp_path / "book.h5py", "w") as file:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:300]
        for index, name in enumerate(names):
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            file.create_dataset(f"img_align_celeba/{index}.jpg", data=pixels, compression="gzip")
    from_zip = prepared(PHOTOGRAPHS, tmp_path / "zip.h5", limit=300)
    from_book = prepared(tmp_path / "book.h5py", tmp_path / "faces.h5")
    assert len(from_zip) == len(from_book) == 300
    for index, name in enumerate(names):
        assert np.array_equal(from_zip[name], from_book[f"{index}.jpg"])


def test_toy_faces_come_with_attributes_captions_and_keys(tmp_path):
    out = tmp_path / "faces.h5"
    description, skipped = prepare(faces(TOY_FACES), out)
    assert description.attributes == Attributes.OPTIONS and skipped == []
    assert str(description) == "toy faces, 32 train and 8 test images of 128×128, 16 attributes"
    with h5py.File(out) as file:
        for split in hdf5.SPLITS:
            group, arrays = file[split], hdf5.read(out, split)
            for row, key in enumerate(group["keys"].asstr()[()]):
                face = draw_attributes(3, int(key))
                assert np.array_equal(group["images"][row], draw(face, 3, int(key)).bytes())
                assert arrays.attributes is not None and arrays.attributes[row].tolist() == face.codes()
                assert group["captions"].asstr()[row] == caption(face, 3, int(key))[0]
                assert split_of(key, 0.2) == split


def test_the_toy_faces_path_may_be_written_in_any_way(tmp_path):
    assert prepare(faces(f"./{TOY_FACES}/"), tmp_path / "faces.h5")[0].name == "toy faces"


def test_a_picture_far_longer_than_wide_is_not_scaled(tmp_path):
    place = folder(tmp_path / "mine", images(20))
    Image.new("1", (2, 1_200_000)).save(place / "long.png")
    text = refusal(place, tmp_path / "faces.h5", resize="shorter_side")
    assert "long.png has 2×1200000 pixels; expected sides that are more alike" in text


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_compressed_or_not_the_images_are_the_same(tmp_path, compression):
    plain = prepared(TOY_FACES, tmp_path / "plain.h5")
    found = prepared(TOY_FACES, tmp_path / "faces.h5", compression=compression)
    assert all(np.array_equal(found[key], plain[key]) for key in plain)
    sizes = [(tmp_path / name).stat().st_size for name in ("plain.h5", "faces.h5")]
    assert (sizes[1] < 0.6 * sizes[0]) == (compression != "none")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_same_bytes_however_many_processes_make_them(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_LONG", 0)
    files = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(module, "_cores", lambda cores=cores: cores)
        chosen = faces(TOY_FACES, toyfaces=ToyFaces(seed=3, count=150), compression=compression)
        prepare(chosen, tmp_path / f"{cores}.h5")
        files.append((tmp_path / f"{cores}.h5").read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_processes_are_started_for_pictures_that_take_long_alone(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_LONG", seconds)
    monkeypatch.setattr(module, "_cores", lambda: 2)
    started = []
    real = module._faces_of_processes
    monkeypatch.setattr(module, "_faces_of_processes", lambda *given: started.append(given) or real(*given))
    prepare(faces(TOY_FACES, toyfaces=ToyFaces(seed=3, count=70)), tmp_path / "faces.h5")
    assert len(started) == (seconds == 0)


def test_the_split_stays_when_pictures_are_added(tmp_path):
    place = folder(tmp_path / "mine", images(40))
    before = {key: split_of(key, 0.25) for key in prepared(place, tmp_path / "a.h5")}
    for index, pixels in enumerate(images(20)):
        Image.fromarray(pixels).save(place / f"new{index}.png")
    prepare(faces(place, test_share=0.25), tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        after = {key: split for split in hdf5.SPLITS for key in file[split]["keys"].asstr()[()]}
    assert len(after) == 60 and all(after[key] == split for key, split in before.items())
    shares = [split_of(f"{index}.jpg", 0.1) for index in range(20_000)]
    assert shares.count("test") / len(shares) == pytest.approx(0.1, abs=0.01)


def test_limit_takes_the_first(tmp_path):
    assert set(prepared(folder(tmp_path / "mine", images(40)), tmp_path / "a.h5", limit=12)) == {
        f"{index}.png" for index in range(12)
    }


# ---- pictures that do not fit ---------------------------------------------------------------------------------------


def small_and_large(tmp_path: Path) -> Path:
    place = folder(tmp_path / "mine", images(20))
    for index in range(7):
        Image.fromarray(images(1, (100, 90))[0]).save(place / f"small{index}.png")
    return place


def test_small_pictures_are_refused_by_name(tmp_path):
    text = refusal(small_and_large(tmp_path), tmp_path / "faces.h5")
    assert "small0.png has 90×100 pixels; expected 128 a side" in text and "(7 in all)" in text
    assert "faces.on_small" in text


def test_small_pictures_are_left_out_and_named(tmp_path):
    description, skipped = prepare(faces(small_and_large(tmp_path), on_small="skip"), tmp_path / "faces.h5")
    assert skipped == [f"small{index}.png" for index in range(7)]
    assert sum(description.counts.values()) == 20 == len(by_key(tmp_path / "faces.h5"))


def test_small_pictures_are_padded_or_scaled(tmp_path):
    place = small_and_large(tmp_path)
    assert not prepared(place, tmp_path / "a.h5", on_small="pad")["small0.png"][:, 0].any()
    assert prepared(place, tmp_path / "b.h5", resize="shorter_side")["small0.png"][:, 0].any()


def test_broken_pictures_are_counted_and_named(tmp_path):
    place = folder(tmp_path / "mine", images(30), "jpg")
    for index in range(10, 19):
        (place / f"{index}.jpg").write_bytes((place / f"{index}.jpg").read_bytes()[:-400])
    text = refusal(place, tmp_path / "faces.h5")
    assert "10.jpg is a broken picture" in text and "14.jpg" in text and "15.jpg" not in text and "(9 in all)" in text


def test_a_broken_picture_among_many_is_named_by_the_process_that_met_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_cores", lambda: 2)
    monkeypatch.setattr(module, "_FEW", 0)
    monkeypatch.setattr(module, "_LONG", 0)
    place = folder(tmp_path / "mine", images(70, (130, 130)))
    (place / "41.png").write_bytes(b"no picture")
    assert "41.png is no picture" in refusal(place, tmp_path / "faces.h5")


def test_too_few_pictures_for_two_splits(tmp_path):
    text = refusal(folder(tmp_path / "mine", images(2)), tmp_path / "faces.h5", test_share=0.001)
    assert "of 2 pictures none is in split 'test'" in text and "faces.test_share" in text


@pytest.mark.parametrize(("mode", "value"), [("L", 90), ("1", 255), ("P", 80), ("LA", 90), ("CMYK", 100), ("RGBA", 70)])
def test_pictures_of_any_kind_become_rgb(mode, value):
    grey = Image.fromarray(np.full((4, 5), value, np.uint8))
    picture = grey.convert("RGB").convert(mode) if mode != "1" else grey.convert("1")
    found = np.asarray(as_rgb(picture, "repeat", "error"))
    assert found.shape == (4, 5, 3) and found.dtype == np.uint8
    assert np.array_equal(found, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_can_be_an_error(mode):
    with pytest.raises(Unfit, match="is grey"):
        as_rgb(Image.new(mode, (4, 4)), "error", "white")


def test_transparency_is_laid_on_the_colour_declared():
    pixels = np.full((2, 2, 4), 100, np.uint8)
    pixels[0, :, 3], pixels[1, :, 3] = 0, 255
    picture = Image.fromarray(pixels, "RGBA")
    for alpha, ground in (("white", 255), ("black", 0)):
        assert np.asarray(as_rgb(picture, "repeat", alpha))[:, 0].tolist() == [[ground] * 3, [100] * 3]
    with pytest.raises(Unfit, match="is transparent"):
        as_rgb(picture, "repeat", "error")
    palette = picture.convert("RGB").quantize(2)
    palette.info["transparency"] = 0
    with pytest.raises(Unfit, match="is transparent"):
        as_rgb(palette, "repeat", "error")


def test_more_than_eight_bits_are_refused():
    with pytest.raises(Unfit, match="more than 8 bits"):
        as_rgb(Image.fromarray(np.full((4, 4), 40_000, np.uint16)), "repeat", "white")


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path):
    pictures = images(20, (130, 200))
    place = folder(tmp_path / "mine", pictures)
    picture = Image.fromarray(pictures[0])
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise
    picture.save(place / "0.png", exif=exif)
    found = prepared(place, tmp_path / "faces.h5")
    assert np.array_equal(found["0.png"], np.rot90(found["1.png"] - np.uint8([[[1]], [[2]], [[0]]]), -1, (1, 2)))


# ---- killed half-way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_half_way_it_leaves_nothing_finished_and_no_process(tmp_path, number):
    out = tmp_path / "faces.h5"
    many = faces(TOY_FACES, toyfaces=ToyFaces(seed=1, count=5000)).model_dump_json()
    program = (
        "from pathlib import Path\n"
        "from reprogan.config import Faces\n"
        "from reprogan.data.faces.prepare import prepare\n"
        "if __name__ == '__main__':\n"
        f"    prepare(Faces.model_validate_json({many!r}), Path({str(out)!r}))\n"
    )
    (tmp_path / "program.py").write_text(program)
    process = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], stderr=subprocess.DEVNULL)
    for _ in range(600):
        if any(part.stat().st_size > 2_000_000 for part in tmp_path.glob(".faces.h5.*.part")):
            break
        time.sleep(0.1)
    else:
        pytest.fail("nothing was written in a minute")
    makers = children(process.pid)
    assert makers if module._cores() > 1 else True
    process.send_signal(number)
    process.wait(20)
    assert not out.exists()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in makers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in makers if Path(f"/proc/{pid}").exists()]
    prepare(faces(TOY_FACES), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.h5", "program.py"]


def children(pid: int) -> list[int]:
    """The processes that `pid` has started; none where there is no /proc."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.is_file() and os.name == "posix" else []
