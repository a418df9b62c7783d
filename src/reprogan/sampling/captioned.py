"""What a model that reads captions makes of held-out ones, and where images and captions lie in their common space."""

from pathlib import Path
from typing import cast

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from reprogan.config import Sampling
from reprogan.data.batches import as_data, to_float
from reprogan.data.hdf5 import Arrays
from reprogan.models.latents import draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.generate import BLOCK, generate, sample_sets, stream
from reprogan.sampling.pictures import captioned, grid, save_gif, save_png
from reprogan.sampling.walk import ROUND_TRIP, walk
from reprogan.training.randomness import Randomness

_ROWS = 6  # captions that are shown
_DRAWS = 5  # images of each
_WALKED = 4  # captions between which is walked
_NEAREST = 12  # held-out images that are shown with the caption that lies nearest


def reads_captions(model: Trained) -> bool:
    """Whether the model's generator makes images of captions."""
    return getattr(model.networks.get("generator"), "reads", None) == "captions"


def draw(
    model: Trained,
    sampling: Sampling,
    sets: int,
    scale: int,
    held_out: Arrays,
    captions: list[str],
    file: h5py.File,
    out: Path,
) -> None:
    """Draw an image of each held-out caption in turn into the samples file, and write pictures of them to `out`.

    In each sample set `caption` is the row of each image's caption; features of both stand in the group
    `drawn_features`. Those of the held-out images are in `held_out_features`.
    """
    tokens = torch.from_numpy(held_out.tokens)
    count = sampling.count
    rows = torch.arange(count).remainder(len(tokens))
    text = caption_features(model, tokens)
    for seed, group in sample_sets(file, sampling.seed, sets):
        stream(generate(model, count, seed, told=tokens), count, group)
        group["caption"] = rows.numpy()
        _store(group, "drawn_features", image_features(model, group["images"]), text[rows])
    _store(file, "held_out_features", image_features(model, held_out.images), text)
    save_png(caption_grid(model, sampling.seed, text, captions, scale), out / "grid.png")
    walked = walk(model, sampling.seed, scale, text[:_WALKED])
    save_png(walked.strip, out / "walk.png")
    save_gif(walked.frames, out / "walk.gif", ROUND_TRIP)


def compare(model: Trained, held_out: Arrays, captions: list[str], file: h5py.File, out: Path) -> None:
    """Keep the features of held-out images and captions in the group `held_out_features`; show what lies near what."""
    text, images = caption_features(model, torch.from_numpy(held_out.tokens)), image_features(model, held_out.images)
    _store(file, "held_out_features", images, text)
    save_png(nearest_grid(torch.from_numpy(held_out.images), images, text, captions), out / "grid.png")


@torch.no_grad()
def caption_features(model: Trained, tokens: Tensor) -> Tensor:
    """Tokens int64 (N, T) => float32 (N, D), on the CPU."""
    generator = model.networks.get("generator")
    read = model.networks["text_encoder"] if generator is None else cast(nn.Module, generator.features_of)
    device = _device_of(model)
    return torch.cat([read(block.to(device)).cpu() for block in tokens.split(BLOCK)])


@torch.no_grad()
def image_features(model: Trained, images: h5py.Dataset | np.ndarray) -> Tensor:
    """uint8 (N, C, H, W) => float32 (N, D), on the CPU; from a file no more than a block is in memory."""
    encoder, device = model.networks["image_encoder"], _device_of(model)
    blocks = (torch.from_numpy(images[start : start + BLOCK]) for start in range(0, len(images), BLOCK))
    return torch.cat([encoder(to_float(block.to(device))).cpu() for block in blocks])


def _device_of(model: Trained) -> torch.device:
    return next(model.networks["image_encoder"].parameters()).device


def _store(file: h5py.Group, name: str, images: Tensor, captions: Tensor) -> None:
    """Keep features (N, D) of images and of their captions in the group `name` of a samples file."""
    group = file.create_group(name)
    group["images"] = images.numpy()
    group["captions"] = captions.numpy()


@torch.no_grad()
def caption_grid(model: Trained, seed: int, text: Tensor, captions: list[str], scale: int) -> Image.Image:
    """A row a held-out caption: images of several latents, the same in every row, and the caption under them.

    The latents are the first of `seed`'s sequence; `text` float32 (N, D) are the captions' features.
    """
    shown = min(_ROWS, len(captions))
    generator, device = model.networks["generator"], _device_of(model)
    z = draw_latents(generator, BLOCK, Randomness(seed, torch.device("cpu")).generator("sample", 0))[:_DRAWS]
    told = text[:shown].repeat_interleave(_DRAWS, 0)
    images = as_data(generator(z.repeat(shown, 1).to(device), told.to(device))).cpu()
    return captioned([grid(row, _DRAWS, scale) for row in images.split(_DRAWS)], captions[:shown], columns=1)


def nearest_grid(images: Tensor, of_images: Tensor, of_captions: Tensor, captions: list[str]) -> Image.Image:
    """Held-out images uint8 (N, C, H, W), and under each the caption of all that lies nearest to it."""
    shown = min(_NEAREST, len(images))
    similarity = nn.functional.normalize(of_images[:shown]) @ nn.functional.normalize(of_captions).t()
    nearest = similarity.argmax(1).tolist()
    pictures = [grid(image, 1) for image in images[:shown].split(1)]
    return captioned(pictures, [captions[index] for index in nearest], columns=4)
