"""Grids and strips: every image where it belongs, and the same picture the same bytes."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import make_grid

from reprogan.sampling.pictures import captioned, grid, progress_strip, save_png, scatter


def test_every_image_is_in_its_place():
    images = torch.arange(6, dtype=torch.uint8).mul(40).view(6, 1, 1, 1).expand(6, 1, 5, 4)
    pixels = np.asarray(grid(images, columns=3, scale=2))
    assert pixels.shape == (2 * (10 + 2) + 2, 3 * (8 + 2) + 2, 3)
    for index in range(6):
        top, left = 2 + 12 * (index // 3), 2 + 10 * (index % 3)
        assert (pixels[top : top + 10, left : left + 8] == 40 * index).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count, columns", [(7, 3), (2, 5), (100, 10)])
def test_the_grid_is_laid_out_as_torchvision_does(count, columns, channels):
    images = torch.randint(0, 256, (count, channels, 6, 5), dtype=torch.uint8)
    expected = make_grid(images, nrow=columns, padding=2, pad_value=127).permute(1, 2, 0).numpy()
    assert np.array_equal(np.asarray(grid(images, columns)), expected)


def test_a_strip_has_a_grid_for_each_milestone():
    images = torch.stack([torch.full((64, 1, 6, 6), value, dtype=torch.uint8) for value in (10, 200)])
    strip = progress_strip(images, torch.tensor([0, 1600]))
    assert strip.width == 2 * (5 * (6 + 2) + 2 + 4)
    pixels = np.asarray(strip)
    assert pixels[4, 5, 0] == 10 and pixels[4, strip.width // 2 + 5, 0] == 200


def test_pictures_of_one_row_keep_their_order():
    shades = [Image.new("RGB", (30, 20), (shade, shade, shade)) for shade in (0, 255)]
    pixels = np.asarray(captioned(shades, ["a", "b"]))
    assert (pixels[:20, 2:32] == 0).all() and (pixels[:20, 36:66] == 255).all()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_png_has_no_time_in_it(tmp_path, mode):
    picture = Image.new(mode, (20, 20), 7 if mode == "L" else (7, 8, 9))
    save_png(picture, tmp_path / "a" / "first.png")
    save_png(picture, tmp_path / "second.png")
    content = (tmp_path / "second.png").read_bytes()
    assert (tmp_path / "a" / "first.png").read_bytes() == content
    assert b"tIME" not in content and b"tEXt" not in content
    assert list(tmp_path.glob(".*")) == []


WHITE = (255, 255, 255)


def coloured(picture: Image.Image) -> set[tuple[int, int]]:
    """(column, row) of every pixel that is not white."""
    rows, columns = np.nonzero((np.asarray(picture) != 255).any(2))
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


@pytest.mark.parametrize(
    ("x", "y", "column", "row"),
    [(0, 0, 100, 100), (1, 0, 150, 100), (0, 1, 100, 50), (-1, -1, 50, 150), (0.5, -1.5, 125, 175), (2, 2, 200, 0)],
)
def test_a_dot_is_where_its_point_is_and_y_points_upwards(x, y, column, row):
    found = coloured(scatter(torch.tensor([[x, y]], dtype=torch.float32), side=201, extent=2.0))
    around = {(column + right, row + down) for right in (-1, 0, 1) for down in (-1, 0, 1)}
    assert found == {(c, r) for c, r in around if 0 <= c <= 200 and 0 <= r <= 200}


def test_points_beyond_the_extent_are_not_shown():
    assert coloured(scatter(torch.tensor([[3.0, 0.0], [0.0, -1e6]]), side=201, extent=2.0)) == set()


def test_dots_have_the_colours_of_their_labels():
    places = torch.linspace(-0.9, 0.9, 11)
    picture = scatter(torch.stack([places, places], 1), torch.arange(11), side=201, extent=1.0)
    shades = [picture.getpixel((round(100 + 100 * place), round(100 - 100 * place))) for place in places.tolist()]
    assert len(set(shades[:10])) == 10 and WHITE not in shades and shades[10] == shades[0]
    plain = scatter(torch.stack([places, places], 1), side=201, extent=1.0)
    assert {plain.getpixel((round(100 + 100 * p), round(100 - 100 * p))) for p in places.tolist()} == {shades[0]}


def test_a_strip_of_points_has_a_plot_for_each_milestone():
    points = torch.zeros(2, 30, 2, 1, 1)
    points[1, :, 1] = 0.75  # half the extent upwards
    strip = progress_strip(points, torch.tensor([0, 1600]))
    assert strip.size == (2 * (160 + 4), 160 + 16)
    for milestone, row in ((0, 80), (1, 40)):
        left = milestone * 164 + 2
        columns, rows = zip(*coloured(strip.crop((left, 0, left + 160, 160))), strict=True)
        assert np.mean(columns) == pytest.approx(80, abs=1) and np.mean(rows) == pytest.approx(row, abs=1)
