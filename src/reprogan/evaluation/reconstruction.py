"""How well an autoencoder gives held-out images back, and for a variational one the evidence lower bound."""

from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from reprogan.config import View
from reprogan.data import hdf5
from reprogan.data.view import choose, reduce
from reprogan.evaluation.extractors import BLOCK
from reprogan.evaluation.inputs import there_and_back


def reconstruction_scores(samples: h5py.File, data_path: Path, view: View) -> dict[str, Any]:
    """From the group `held_out` of a samples file, if there is one: means over the held-out images that are there.

    `reconstruction_error` is the mean square error of a pixel, black 0, white 1. With `log_variance` there are also
    `reconstruction_nats`, -log p(x | z) with pixels as coins, `kl_nats`, the divergence of the codes from the standard
    normal distribution, and their sum `negative_elbo`, an upper bound of -log p(x) (Kingma and Welling 2014).
    """
    group = samples.get("held_out")
    if group is None:
        return {}
    description = hdf5.describe(data_path)
    images = choose(hdf5.read(data_path, "test"), description, view, f"{data_path}: ", limit=False).images
    made = group["reconstructions"]
    scores = {"reconstruction_error": _error(made, torch.from_numpy(images[: len(made)]), view)}
    if "log_variance" in group:
        mean = torch.from_numpy(group["codes"][()]).to(torch.float64)
        log_variance = torch.from_numpy(group["log_variance"][()]).to(torch.float64)
        kl = float((mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()) / 2
        nats = float(torch.from_numpy(group["nats"][()]).to(torch.float64).mean())
        scores |= {"reconstruction_nats": nats, "kl_nats": kl, "negative_elbo": nats + kl}
    return scores


def _error(made: h5py.Dataset, images: Tensor, view: View) -> float:
    """Mean square error of a pixel, black 0, white 1; in blocks, for many large images fill any memory."""
    height, width = images.shape[2:]
    squares = 0  # whole numbers: no order of adding changes their sum
    for start in range(0, len(images), BLOCK):
        originals = there_and_back(images[start : start + BLOCK], view.size)
        restored = reduce(torch.from_numpy(made[start : start + BLOCK]), height, width)
        squares += int((restored.to(torch.int64) - originals).square().sum())
    return squares / images.numel() / 255**2
