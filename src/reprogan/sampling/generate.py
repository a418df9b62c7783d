"""Images drawn from a trained generator: image i is a function of (seed, i) and of its class alone."""

from collections.abc import Iterator

import h5py
import torch
from torch import Tensor, nn

from reprogan.data.batches import as_data
from reprogan.errors import UserError
from reprogan.models.latents import classes_of, draw_latents, labels_in_turn
from reprogan.models.latents import told as network_told
from reprogan.models.trained import Trained
from reprogan.progress import tracked
from reprogan.training.randomness import Randomness

BLOCK = 100  # images computed together; a kernel's sums may differ with the batch size, so it is always the same


@torch.no_grad()
def generate(
    trained: Trained, count: int, seed: int, first: int = 0, label: int | None = None, told: Tensor | None = None
) -> Iterator[Tensor]:
    """Images first .. first + count - 1 of the sequence that `seed` names, as the data is, on the CPU.

    uint8 (<= 100, C, H, W), or points float32 (<= 100, 2, 1, 1). A conditional generator draws all of class `label`, or
    without one image i of class i modulo the number of classes; the latent of image i is the same for every class. One
    that reads captions or sources is `told` M of them, tokens int64 (M, T) or float32 (M, C', H, W): image i is drawn
    from number i modulo M. Whole blocks are computed and cut, so an image has the same bytes whichever others are asked
    for with it.
    Raises UserError for a model that has no generator, a class that is not there, or fewer than one image.
    """
    generator = generator_of(trained)
    classes = classes_of(generator)
    if label is not None and not classes:
        raise UserError(
            f"{trained.description.variant}: class {label} of a model that is told no classes; expected none; "
            "choose a conditional model"
        )
    if label is not None and not 0 <= label < classes:
        raise UserError(f"{trained.description.variant}: class {label}; expected 0 to {classes - 1}")
    reads = getattr(generator, "reads", "nothing")
    if (reads == "nothing") != (told is None):
        raise UserError(
            f"{trained.description.variant}: a model that reads {reads}; told {'nothing' if told is None else 'some'}; "
            "give it what it reads"
        )
    if count < 1 or first < 0:
        raise UserError(f"{count} images from image {first} on; expected at least 1 image, from image 0 or later")
    device = next(generator.parameters()).device
    randomness = Randomness(seed, torch.device("cpu"))  # latents are the same on every device
    for block in range(first // BLOCK, (first + count - 1) // BLOCK + 1):
        source = randomness.generator("sample", block)
        z = draw_latents(generator, BLOCK, source).to(device)
        start = block * BLOCK
        labels = labels_in_turn(generator, start, BLOCK, device)
        if labels is not None and label is not None:
            labels = torch.full_like(labels, label)
        condition = labels
        if told is not None:
            condition = told[torch.arange(start, start + BLOCK) % len(told)].to(device)
        images = as_data(network_told(generator, z, condition)).cpu()
        yield images[max(first - start, 0) : first + count - start]


def sample_sets(file: h5py.File, seed: int, sets: int) -> Iterator[tuple[int, h5py.Group]]:
    """(seed, where its samples go) of each sample set of a samples file: the file itself, then groups of `sets`."""
    yield seed, file
    for later in range(seed + 1, seed + sets):
        yield later, file.create_group(f"sets/{later}")


def stream(blocks: Iterator[Tensor], count: int, file: h5py.Group) -> None:
    """Write the `count` images of the blocks to the dataset `images` of a sample set, block by block."""
    images = None
    position = 0
    for block in tracked(blocks, count, "drawing", len):
        if images is None:
            images = file.create_dataset("images", (count, *block.shape[1:]), block.numpy().dtype)
        images[position : position + len(block)] = block.numpy()
        position += len(block)


def generator_of(trained: Trained) -> nn.Module:
    """The network that draws images from latents. Raises UserError if the model has none."""
    for network in trained.networks.values():
        if hasattr(network, "latent_distribution"):
            return network
    raise UserError(
        f"{trained.description.variant}: a model of system {trained.description.system} draws no images; choose a "
        "generator"
    )
