"""What a translator makes of held-out sources: beside the truth, and time and again with other noise."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reprogan.config import Sampling
from reprogan.data.batches import as_data, to_float
from reprogan.data.hdf5 import Arrays
from reprogan.models.latents import draw_latents
from reprogan.models.trained import Trained
from reprogan.sampling.generate import generate, generator_of, sample_sets, stream
from reprogan.sampling.pictures import grid, save_png
from reprogan.training.randomness import Randomness

_TRIPLES = 8
_AGAIN = 5  # draws of noise
_VARIED = 20  # sources that are translated with each
_SHOWN = 4  # of these


def has_sources(model: Trained) -> bool:
    """Whether the model's generator makes images of images."""
    return getattr(model.networks.get("generator"), "reads", None) == "sources"


def draw(
    model: Trained, sampling: Sampling, sets: int, scale: int, held_out: Arrays, file: h5py.File, out: Path
) -> None:
    """Translate held-out sources, no more than there are, into the samples file; write pictures of them to `out`.

    Each of the sample sets is of the same sources, with other noise.
    `again`, uint8 (draws, sources, C, H, W), are the first of them translated with other noise each time.
    """
    sources, truths = torch.from_numpy(held_out.sources[: sampling.count]), torch.from_numpy(held_out.images)  # type: ignore[index]
    told = to_float(sources)
    for seed, group in sample_sets(file, sampling.seed, sets):
        stream(generate(model, len(sources), seed, told=told), len(sources), group)
    again = torch.stack([_images_of(model, told[:_VARIED], sampling.seed + draw) for draw in range(_AGAIN)])
    file["again"] = again.numpy()
    images = torch.from_numpy(file["images"][:_TRIPLES])
    save_png(translation_grid(sources, images, truths, scale), out / "grid.png")
    save_png(spread_picture(sources, again, scale), out / "spread.png")


@torch.no_grad()
def _images_of(model: Trained, told: Tensor, seed: int) -> Tensor:
    """uint8 (N, C, H, W) of sources (N, C', H, W), with the noise of `seed`."""
    generator = generator_of(model)
    device = next(generator.parameters()).device
    z = draw_latents(generator, len(told), Randomness(seed, torch.device("cpu")).generator("spread"))
    return as_data(generator(z.to(device), told.to(device))).cpu()


def translation_grid(sources: Tensor, images: Tensor, truths: Tensor, scale: int) -> Image.Image:
    """Source, image and truth, two such triples a row; uint8 (N, C, H, W), the first few of each."""
    triples = zip(_as_colours(sources, images.shape[1]), images, truths, strict=False)
    return grid(torch.stack([tile for triple in itertools.islice(triples, _TRIPLES) for tile in triple]), 6, scale)


def spread_picture(sources: Tensor, again: Tensor, scale: int) -> Image.Image:
    """A row a source: it, what is made of it with other noise, and how far these differ at each pixel, bright."""
    channels = again.shape[2]
    tiles = []
    for source, images in zip(_as_colours(sources, channels)[:_SHOWN], again.unbind(1), strict=False):
        deviation = deviations(images).amax(0)
        bright = (deviation * (255 / max(float(deviation.max()), 1.0))).to(torch.uint8)
        tiles += [source, *images, bright.expand(channels, -1, -1)]
    return grid(torch.stack(tiles), _AGAIN + 2, scale)


def deviations(again: Tensor) -> Tensor:
    """uint8 (draws, …) => each pixel's standard deviation over the draws, float64 (…), of 255."""
    values = again.to(torch.int64)
    count = len(values)
    squares = count * values.square().sum(0) - values.sum(0).square()  # whole numbers: count² times the variance
    return torch.from_numpy(np.sqrt(squares.numpy()) / count)  # torch's own root differs between CPU types


def _as_colours(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C', H, W) with as many channels as the images have; grey ones several times the same."""
    return images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else images[:, :channels]
