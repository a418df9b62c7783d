"""One variant's samples from its model to files: what the stage `sample` calls."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reprogan.config import Compute, Sampling
from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.errors import UserError
from reprogan.models import trained
from reprogan.sampling.generate import BLOCK, generate
from reprogan.sampling.pictures import grid, progress_strip, save_png
from reprogan.training.device import set_up_device

_GRID_IMAGES = 100
_GRID_COLUMNS = 10
_SCALE = 2


def sample_variant(model: Path, data: Path, sampling: Sampling, compute: Compute, out: Path) -> None:
    """Draw from the model in the folder `model` and write pictures and images to the folder `out`.

    A generator gives samples.h5 (streamed), grid.png and progress.png; a classifier gives grid.png, the hundred
    held-out images of the file `data` of whose class it is least sure.
    """
    device = set_up_device(compute)
    model_trained = trained.load(model, device)
    if "generator" in model_trained.networks:
        progress = _progress(model / "progress.safetensors")
        _write_samples(model_trained, sampling, out / "samples.h5")
        shown = torch.cat(list(generate(model_trained, _GRID_IMAGES, sampling.seed)))
        if progress:
            save_png(progress_strip(progress["images"], progress["images_seen"]), out / "progress.png")
    else:
        shown = _least_sure(model_trained, data)
    save_png(grid(shown, _GRID_COLUMNS, _SCALE), out / "grid.png")


def _progress(path: Path) -> dict[str, Tensor] | None:
    """The previews of training's milestones, if it had any. Raises UserError if the file is damaged."""
    if not path.is_file():
        return None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); run `dvc repro -f train@{path.parent.name}`") from None


def _write_samples(model: trained.Trained, sampling: Sampling, path: Path) -> None:
    """Stream the images for scoring to an HDF5 file: `images` uint8 (count, C, H, W)."""
    with hdf5.create(path) as file:
        file.attrs["seed"] = sampling.seed
        file.attrs["variant"] = model.description.variant
        images = file.create_dataset("images", (sampling.count, *model.description.image_shape), "uint8")
        position = 0
        for block in generate(model, sampling.count, sampling.seed):
            images[position : position + len(block)] = block.numpy()
            position += len(block)


@torch.no_grad()
def _least_sure(model: trained.Trained, data: Path) -> Tensor:
    """The held-out images to whose own class the classifier gives the least probability, worst first: uint8."""
    split = hdf5.read(data, "test")
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    classifier = model.networks["classifier"]
    device = next(classifier.parameters()).device
    sure = []
    for start in range(0, len(images), BLOCK):
        logits = classifier(to_float(images[start : start + BLOCK].to(device))).cpu()
        sure.append(logits.log_softmax(1).gather(1, labels[start : start + BLOCK, None]).flatten())
    return images[torch.cat(sure).argsort(stable=True)[:_GRID_IMAGES]]
