"""What an autoencoder makes of held-out images: reconstructions, codes, and pictures of both."""

from dataclasses import dataclass

import h5py
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from reprogan.data.batches import as_data, to_float
from reprogan.data.hdf5 import Arrays
from reprogan.data.view import enlarge
from reprogan.models.trained import Trained
from reprogan.sampling.generate import BLOCK
from reprogan.sampling.pictures import grid, scatter
from reprogan.training.randomness import Randomness

_COLUMNS = 10
_PAIRS = 5


@dataclass(frozen=True)
class Reconstructed:
    """Held-out images (N, C, H, W) uint8, their reconstructions, and codes float32 (N, D).

    Of a variational autoencoder codes are means, `log_variance` (N, D) goes with them, and `nats` (N,) is
    -log p(x | z) for one z of each image, pixels as coins.
    """

    images: Tensor
    labels: Tensor
    reconstructions: Tensor
    codes: Tensor
    log_variance: Tensor | None
    nats: Tensor | None


@torch.no_grad()
def reconstruct(model: Trained, split: Arrays, size: int | None, seed: int) -> Reconstructed:
    """Encode and decode the images of `split`, enlarged to `size` as in training; `seed` draws the z of `nats`."""
    encoder, decoder = model.networks["encoder"], model.networks["decoder"]
    device = next(decoder.parameters()).device
    variational = hasattr(decoder, "latent_distribution")
    randomness = Randomness(seed, torch.device("cpu"))
    found: dict[str, list[Tensor]] = {key: [] for key in ("images", "reconstructions", "codes", "log_variance", "nats")}
    for start in range(0, len(split.labels), BLOCK):
        images = enlarge(to_float(torch.from_numpy(split.images[start : start + BLOCK]).to(device)), size)
        codes = encoder(images)
        if variational:
            codes, log_variance = codes.chunk(2, dim=1)
            noise = torch.randn(codes.shape, generator=randomness.generator("reconstruction", start)).to(device)
            logits = decoder.logits(codes + noise * (log_variance / 2).exp())  # type: ignore[operator]
            nats = binary_cross_entropy_with_logits(logits, (images + 1) / 2, reduction="none").flatten(1).sum(1)
            found["log_variance"].append(log_variance.cpu())
            found["nats"].append(nats.cpu())
        found["images"].append(as_data(images).cpu())
        found["reconstructions"].append(as_data(decoder(codes)).cpu())
        found["codes"].append(codes.cpu())
    joined = {key: torch.cat(parts) if parts else None for key, parts in found.items()}
    return Reconstructed(labels=torch.from_numpy(split.labels), **joined)  # type: ignore[arg-type]


def store(file: h5py.File, made: Reconstructed) -> None:
    """Keep what scores are computed from in the group `held_out` of a samples file; images in the data's order."""
    group = file.create_group("held_out")
    group.create_dataset("reconstructions", data=made.reconstructions.numpy())
    group.create_dataset("codes", data=made.codes.numpy())
    if made.log_variance is not None and made.nats is not None:
        group.create_dataset("log_variance", data=made.log_variance.numpy())
        group.create_dataset("nats", data=made.nats.numpy())


def reconstruction_grid(made: Reconstructed, scale: int) -> Image.Image:
    """Rows in pairs: held-out images, and under each its reconstruction."""
    rows: list[Tensor] = []
    columns = min(_COLUMNS, len(made.images))
    for start in range(0, min(len(made.images) // columns, _PAIRS) * columns, columns):  # whole rows
        rows += [made.images[start : start + columns], made.reconstructions[start : start + columns]]
    return grid(torch.cat(rows), columns, scale)


def latent_scatter(made: Reconstructed) -> Image.Image:
    """Each held-out image's code as a dot coloured by class: the two axes along which codes vary most."""
    plane = made.codes if made.codes.shape[1] == 2 else _principal(made.codes)
    extent = float(plane.abs().max()) or 1.0
    return scatter(plane / extent, made.labels)


def _principal(codes: Tensor) -> Tensor:
    """Codes (N, D) => (N, 2): centred, on their first two principal axes; the larger end of an axis is positive."""
    centred = (codes - codes.mean(0)).to(torch.float64)
    if centred.shape[1] == 1:
        return torch.cat((centred, torch.zeros_like(centred)), 1).to(torch.float32)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -2:].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return (centred @ axes).to(torch.float32)
