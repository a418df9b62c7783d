"""Pictures from folders, zips and HDF5 files: the same pixels from each, in order; what is wrong is named."""

import io
import os
import stat
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image, ImageOps

from reprogan.data.faces.crop import TooSmall, centre, square
from reprogan.data.faces.sources import Unreadable, in_order, listed, open_source
from reprogan.errors import UserError

SIZE = 128

COUNT = 12


def pictures(count: int = COUNT, shape: tuple[int, int] = (218, 178)) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(count)]


def encoded(pixels: np.ndarray, kind: str = "png") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def folder(path: Path, images: list[np.ndarray]) -> Path:
    path.mkdir()
    for index, pixels in enumerate(images):
        (path / f"{index}.png").write_bytes(encoded(pixels))
    return path


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def book(path: Path, images: list[np.ndarray], **options) -> Path:
    """The schema of the GAN books: a group, and in it a data set a picture."""
    with h5py.File(path, "w") as file:
        group = file.create_group("img_align_celeba")
        for index, pixels in enumerate(images):
            group.create_dataset(f"{index}.jpg", data=pixels, **options)
    return path


def read_all(place: Path, group: str | None = None) -> list[np.ndarray]:
    with open_source(place, group) as source:
        return [np.asarray(source.read(key)) for key in source.keys]


def test_the_same_pixels_from_each_kind_of_source(tmp_path):
    images = pictures()
    entries = {f"inner/{index}.png": encoded(pixels) for index, pixels in enumerate(images)}
    places = [
        folder(tmp_path / "folder", images),
        zipped(tmp_path / "zip.bin", entries | {"__MACOSX/1.png": b"", "inner/": b"", "readme.txt": b"hello"}),
        book(tmp_path / "plain.h5", images),
        book(tmp_path / "gzip.h5py", images, compression="gzip", chunks=(64, 64, 3)),
    ]
    for place in places:
        found = read_all(place)
        assert len(found) == COUNT
        assert all(np.array_equal(a, b) for a, b in zip(found, images, strict=True)), place


def test_keys_are_read_in_the_order_of_their_numbers():
    assert in_order(["10.jpg", "9.jpg", "a/2.png", "1.jpg", "a/10.png"]) == [
        "1.jpg",
        "9.jpg",
        "10.jpg",
        "a/2.png",
        "a/10.png",
    ]
    assert in_order(["01.jpg", "1.jpg"]) == in_order(["1.jpg", "01.jpg"])  # whatever the file system says first
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(key) for key in range(1200)]) == "0, 1, 2, 3, 4, … (1,200 in all)"


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_grey_and_transparent_pictures_come_as_they_are(tmp_path, mode):
    (tmp_path / "faces").mkdir()
    Image.fromarray(pictures(1)[0]).convert(mode).save(tmp_path / "faces/0.png")
    with open_source(tmp_path / "faces", None) as source:
        assert source.read(source.keys[0]).mode == mode


def test_hidden_files_are_no_pictures(tmp_path):
    place = folder(tmp_path / "mine", pictures(3))
    (place / "._0.png").write_bytes(b"what macOS keeps for itself")
    (place / "__MACOSX").mkdir()
    (place / "__MACOSX/0.png").write_bytes(b"the same")
    assert len(read_all(place)) == 3


@pytest.mark.parametrize("orientation", range(1, 10))
def test_a_picture_is_turned_as_the_camera_was_held(tmp_path, orientation):
    picture = Image.fromarray(pictures(1, (20, 30))[0])
    exif = picture.getexif()
    exif[0x0112] = orientation
    (tmp_path / "mine").mkdir()
    picture.save(tmp_path / "mine/0.png", exif=exif)
    with Image.open(tmp_path / "mine/0.png") as saved:
        expected = ImageOps.exif_transpose(saved)
    assert np.array_equal(read_all(tmp_path / "mine")[0], np.asarray(expected))


def test_exif_data_of_any_kind_do_no_harm(tmp_path):
    (tmp_path / "mine").mkdir()
    picture = Image.fromarray(pictures(1, (20, 30))[0])
    for index, odd in enumerate(
        (b"Exif\x00\x00", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff")
    ):
        picture.save(tmp_path / f"mine/{index}.jpg", exif=odd)
    assert len(read_all(tmp_path / "mine")) == 3


# ---- what is wrong ------------------------------------------------------------------------------------------------


def refusal(place: Path, group: str | None = None) -> str:
    with pytest.raises(UserError) as caught, open_source(place, group):
        pass
    assert "\n" not in str(caught.value) and str(place) in str(caught.value)
    return str(caught.value)


def test_places_that_hold_no_pictures(tmp_path):
    assert "no such file or folder" in refusal(tmp_path / "nowhere")
    (tmp_path / "text.h5").write_text("not HDF5")
    assert "neither an HDF5 file nor a zip" in refusal(tmp_path / "text.h5")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no picture")
    assert "a folder without pictures" in refusal(tmp_path / "empty")
    assert "a zip without pictures" in refusal(zipped(tmp_path / "empty.zip", {"notes.txt": b""}))
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("faces")
    assert "no group holds pictures" in refusal(tmp_path / "empty.h5")


def test_a_truncated_hdf5_file(tmp_path):
    whole = book(tmp_path / "faces.h5", pictures()).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refusal(tmp_path / "cut.h5")


def test_hdf5_pictures_that_are_not_uint8_rgb_are_named(tmp_path):
    images = pictures(8)
    mixed = [*images[:2], *(pixels.astype(np.float32) for pixels in images[2:])]
    text = refusal(book(tmp_path / "float.h5", mixed))
    assert "2.jpg float32 (218, 178, 3), 3.jpg" in text and "(6 in all)" in text and "uint8" in text
    assert "1.jpg uint8 (218, 178)" in refusal(book(tmp_path / "grey.h5", [images[0], images[1][:, :, 0]]))


def test_hdf5_pictures_of_mixed_sizes_are_named(tmp_path):
    text = refusal(book(tmp_path / "mixed.h5", [*pictures(3), *pictures(1, (200, 178))]))
    assert "3.jpg (200, 178, 3); expected (218, 178, 3) as 0.jpg" in text


def test_a_missing_number_is_named(tmp_path):
    place = book(tmp_path / "gap.h5", pictures(9))
    with h5py.File(place, "a") as file:
        del file["img_align_celeba/3.jpg"], file["img_align_celeba/5.jpg"]
    assert "lacks 3.jpg, 5.jpg; expected every number up to 8.jpg" in refusal(place)


def test_a_number_may_be_there_as_jpg_and_png_and_far_numbers_cost_nothing(tmp_path):
    images = pictures(2)
    place = book(tmp_path / "both.h5", images)
    with h5py.File(place, "a") as file:
        file.create_dataset("img_align_celeba/1.png", data=images[1])
    assert len(read_all(place)) == 3
    with h5py.File(place, "a") as file:
        file.create_dataset("img_align_celeba/20261121093000.jpg", data=images[1])
    assert "lacks 2.jpg, 3.jpg, 4.jpg, 5.jpg, 6.jpg, … (20,261,121,092,998 in all)" in refusal(place)


def test_the_group_is_found_or_given(tmp_path):
    images = pictures(2)
    place = book(tmp_path / "two.h5", images)
    with h5py.File(place, "a") as file:
        file.create_dataset("others/more/0.jpg", data=images[1])
    assert "groups img_align_celeba, others/more hold data sets; name one in faces.group" in refusal(place)
    assert len(read_all(place, "img_align_celeba")) == 2
    assert np.array_equal(read_all(place, "/others/more")[0], images[1])
    assert "faces.group is 'faces'; expected one of img_align_celeba, others/more" in refusal(place, "faces")


@pytest.mark.parametrize("name", ["../0.png", "/etc/0.png", "a/../../0.png", "a\\..\\0.png"])
def test_a_zip_that_climbs_out_is_refused(tmp_path, name):
    assert "leads out of the archive" in refusal(zipped(tmp_path / "climb.zip", {name: encoded(pictures(1)[0])}))


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("0.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "leads out of the archive" in refusal(tmp_path / "link.zip")


def test_a_zip_with_a_damaged_directory(tmp_path):
    place = zipped(tmp_path / "faces.zip", {f"{index}.png": encoded(pictures(1)[0]) for index in range(3)})
    whole = bytearray(place.read_bytes())
    start = whole.rindex(b"PK\x01\x02")
    whole[start : start + 4] = b"PK\x09\x09"
    place.write_bytes(whole)
    assert "a damaged zip" in refusal(place)


def test_a_name_that_is_not_utf8(tmp_path):
    place = folder(tmp_path / "mine", pictures(2))
    (place / os.fsdecode(b"\xff.png")).write_bytes(b"")
    assert r"names that are not UTF-8: '\udcff.png'; rename them" in refusal(place)


def test_a_program_in_a_pictures_name_is_not_run(tmp_path):
    """Pillow hands PostScript to another program; here it is no picture."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/0.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n")
    assert problem(tmp_path / "mine", "0.jpg") == "is no picture"


def problem(place: Path, key: str) -> str:
    with open_source(place, None) as source, pytest.raises(Unreadable) as caught:
        source.read(key)
    return str(caught.value)


def test_one_broken_picture_is_told_from_the_others(tmp_path):
    good = encoded(pictures(1)[0], "jpeg")
    place = zipped(tmp_path / "faces.zip", {"0.jpg": good, "1.jpg": good[: len(good) // 2], "2.jpg": b"no picture"})
    with open_source(place, None) as source:
        assert source.read("0.jpg").size == (178, 218)
    assert "broken picture" in problem(place, "1.jpg")
    assert problem(place, "2.jpg") == "is no picture"


def test_a_damaged_entry_of_a_zip(tmp_path):
    content = encoded(pictures(1)[0])
    place = zipped(tmp_path / "faces.zip", {"0.png": content})
    whole = bytearray(place.read_bytes())
    whole[len(content) // 2] ^= 255
    place.write_bytes(whole)
    assert "cannot be unpacked (Bad CRC-32" in problem(place, "0.png")


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("reprogan.data.faces.sources.MAXIMUM_PIXELS", 10_000)
    monkeypatch.setattr("reprogan.data.faces.sources._MAXIMUM_BYTES", 100_000)
    entries = {"0.png": encoded(np.zeros((101, 100, 3), np.uint8)), "1.png": bytes(100_001)}
    place = zipped(tmp_path / "bombs.zip", entries)
    assert problem(place, "0.png") == "has 100×101 pixels; expected 10,000 at most"
    assert problem(place, "1.png") == "unpacks to 100,001 bytes; expected 100,000 at most"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    assert "has far more than the 10,000 pixels" in problem(place, "0.png")


# ---- cropping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(218, 178), (219, 179), (128, 128), (129, 128), (200, 131)])
def test_the_crop_begins_at_half_the_length_minus_64(height, width):
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows, columns, rows + columns], 2)
    cut = centre(pixels, SIZE)
    assert cut.shape == (SIZE, SIZE, 3)
    assert cut[0, 0, :2].tolist() == [height // 2 - 64, width // 2 - 64]
    assert cut[-1, -1, :2].tolist() == [height // 2 + 63, width // 2 + 63]


def test_a_square_has_its_channels_first():
    (pixels,) = pictures(1)
    found = square(Image.fromarray(pixels), "none", pad=False, size=SIZE)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    assert np.array_equal(found, pixels[45:173, 25:153].transpose(2, 0, 1))


@pytest.mark.parametrize(("height", "width"), [(100, 178), (218, 90), (101, 99), (1, 128), (127, 127)])
def test_small_pictures_are_refused_or_padded_about_their_middle(height, width):
    picture = Image.fromarray(np.full((height, width, 3), 200, np.uint8))
    with pytest.raises(TooSmall):
        square(picture, "none", pad=False, size=SIZE)
    found = square(picture, "none", pad=True, size=SIZE)
    assert found.shape == (3, SIZE, SIZE)
    rows, columns = np.nonzero(found[0])
    assert len(np.unique(rows)) == min(height, SIZE) and len(np.unique(columns)) == min(width, SIZE)
    for length, places in ((height, rows), (width, columns)):
        if length < SIZE:
            assert places.min() == 64 - length // 2


@pytest.mark.parametrize(("height", "width"), [(218, 178), (300, 601), (64, 50), (1000, 131)])
def test_the_shorter_side_is_scaled_to_the_square(height, width):
    picture = Image.fromarray(np.full((height, width, 3), 90, np.uint8))
    found = square(picture, "shorter_side", pad=False, size=SIZE)
    assert found.shape == (3, SIZE, SIZE) and (found == 90).all()


def test_scaling_is_pillows_own():
    picture = Image.fromarray(pictures(1, (256, 384))[0])
    expected = np.asarray(picture.resize((192, 128), Image.Resampling.LANCZOS))[:, 32:160].transpose(2, 0, 1)
    assert np.array_equal(square(picture, "shorter_side", pad=False, size=SIZE), expected)
