"""Images drawn from a trained generator: image i is a function of (seed, i) alone."""

from collections.abc import Iterator

import torch
from torch import Tensor

from reprogan.data.batches import to_uint8
from reprogan.errors import UserError
from reprogan.models.latents import draw_latents
from reprogan.models.trained import Trained
from reprogan.training.randomness import Randomness

BLOCK = 100  # images computed together; a kernel's sums may differ with the batch size, so it is always the same


@torch.no_grad()
def generate(trained: Trained, count: int, seed: int, first: int = 0) -> Iterator[Tensor]:
    """Images first .. first + count - 1 of the sequence that `seed` names, as uint8 (<= 100, C, H, W) on the CPU.

    Whole blocks are computed and cut, so an image has the same bytes whichever others are asked for with it.
    Raises UserError for a model that has no generator, or fewer than one image.
    """
    if "generator" not in trained.networks:
        raise UserError(
            f"{trained.description.variant}: a {trained.description.system} draws no images; choose a generator"
        )
    if count < 1 or first < 0:
        raise UserError(f"{count} images from image {first} on; expected at least 1 image, from image 0 or later")
    generator = trained.networks["generator"]
    device = next(generator.parameters()).device
    randomness = Randomness(seed, torch.device("cpu"))  # latents are the same on every device
    for block in range(first // BLOCK, (first + count - 1) // BLOCK + 1):
        source = randomness.generator("sample", block)
        z = draw_latents(generator, BLOCK, source)
        images = to_uint8(generator(z.to(device))).cpu()
        start = block * BLOCK
        yield images[max(first - start, 0) : first + count - start]
