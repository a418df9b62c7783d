"""Grids and strips: every image where it belongs, and the same picture the same bytes."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import make_grid

from reprogan.sampling.pictures import captioned_row, grid, progress_strip, save_png


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
    pixels = np.asarray(captioned_row(shades, ["a", "b"]))
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
