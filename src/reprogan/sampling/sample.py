"""One variant's samples from its model to files: what the stage `sample` calls."""

from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reprogan.config import Compute, Sampling, View
from reprogan.data import hdf5
from reprogan.data.batches import to_float
from reprogan.data.hdf5 import POINT, Arrays
from reprogan.data.view import choose, enlarge
from reprogan.errors import UserError
from reprogan.models import trained
from reprogan.models.latents import classes_of
from reprogan.sampling import attention, autoencoder, captioned, translation
from reprogan.sampling.generate import BLOCK, generate, generator_of, sample_sets, stream
from reprogan.sampling.pictures import POINTS_EXTENT, grid, progress_strip, save_gif, save_png, scatter
from reprogan.sampling.walk import ROUND_TRIP, walk
from reprogan.training.device import set_up_device

_MAGNIFIED = 48  # images with longer sides are shown as they are
_LARGE = 96  # of images with longer sides fewer are shown


def sample_variant(
    model: Path, data: Path, view: View, sampling: Sampling, sets: int, compute: Compute, out: Path
) -> None:
    """Draw from the model in the folder `model` and write pictures and images to the folder `out`.

    What is scored are `sets` sample sets of samples.h5, from `sampling.seed` and the seeds after it: the first is the
    file itself, another the group `sets/<seed>`, which is laid out the same.
    A generator gives samples.h5 (streamed), grid.png, progress.png and, unless it draws points, walk.png and walk.gif;
    with attention layers also attention.png. An autoencoder gives what it makes of the held-out images of the file
    `data`, a variational one images from its prior too; a classifier grid.png, the held-out images, 36 or 100, of whose
    class it is least sure.
    """
    device = set_up_device(compute)
    model_trained = trained.load(model, device)
    description = hdf5.describe(data)

    def read_held_out() -> Arrays:
        return choose(hdf5.read(data, "test"), description, view, f"variant {model.name}: ", limit=False)

    side = model_trained.description.image_shape[1]
    scale, columns = 1 if side > _MAGNIFIED else 2, 6 if side > _LARGE else 10
    if "classifier" in model_trained.networks:
        held_out = read_held_out()
        least_sure = _least_sure(model_trained, held_out, hdf5.answers_of(held_out, description), view.size)
        save_png(grid(least_sure[: columns**2], columns, scale), out / "grid.png")
        return

    if "text_encoder" in model_trained.networks:
        with hdf5.create(out / "samples.h5") as file:
            captioned.compare(model_trained, read_held_out(), hdf5.read_strings(data, "test", "captions"), file, out)
        return

    progress = _progress(model / "progress.safetensors")
    with hdf5.create(out / "samples.h5") as file:
        file.attrs["seed"] = sampling.seed
        file.attrs["variant"] = model_trained.description.variant
        if captioned.reads_captions(model_trained):
            captions = hdf5.read_strings(data, "test", "captions")
            captioned.draw(model_trained, sampling, sets, scale, read_held_out(), captions, file, out)
        elif translation.has_sources(model_trained):
            translation.draw(model_trained, sampling, sets, scale, read_held_out(), file, out)
        elif "encoder" not in model_trained.networks:
            _draw(model_trained, sampling, sets, columns, scale, file, out)
        else:
            held_out = read_held_out()
            if model_trained.description.system == "features":
                held_out = Arrays(held_out.images[: sampling.count], held_out.labels[: sampling.count])
            made = autoencoder.reconstruct(model_trained, held_out, view.size, sampling.seed)
            autoencoder.store(file, made)
            pairs = autoencoder.reconstruction_grid(made, scale)
            save_png(autoencoder.latent_scatter(made), out / "latents.png")
            if made.log_variance is not None:
                _draw(model_trained, sampling, sets, columns, scale, file, out)
                save_png(pairs, out / "reconstructions.png")
            else:  # draws nothing by itself: its reconstructions are scored
                file["images"] = made.reconstructions[: sampling.count].numpy()
                save_png(pairs, out / "grid.png")
    if progress:
        save_png(progress_strip(progress["images"], progress["images_seen"]), out / "progress.png")


def _draw(
    model: trained.Trained, sampling: Sampling, sets: int, columns: int, scale: int, file: h5py.File, out: Path
) -> None:
    """Stream the sample sets to `file` and write pictures of the first."""
    generator = generator_of(model)
    classes = classes_of(generator)
    for seed, group in sample_sets(file, sampling.seed, sets):
        stream(generate(model, sampling.count, seed), sampling.count, group)
        if classes:
            group["asked_for"] = torch.arange(sampling.count).remainder(classes).numpy()
    if model.description.image_shape == POINT:
        points = torch.from_numpy(file["images"][()]).flatten(1)
        save_png(scatter(points, extent=POINTS_EXTENT), out / "grid.png")
        return
    if classes:  # a row a class, the same latents in every row
        shown = [next(generate(model, columns, sampling.seed, label=label)) for label in range(min(classes, columns))]
    else:
        shown = list(generate(model, columns**2, sampling.seed))
    save_png(grid(torch.cat(shown), columns, scale), out / "grid.png")
    walked = walk(model, sampling.seed, scale)
    save_png(walked.strip, out / "walk.png")
    save_gif(walked.frames, out / "walk.gif", ROUND_TRIP)
    if attention.has_attention(model):
        save_png(attention.attention_picture(model, sampling.seed), out / "attention.png")


def _progress(path: Path) -> dict[str, Tensor] | None:
    """The previews of training's milestones, if it had any. Raises UserError if the file is damaged."""
    if not path.is_file():
        return None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); run `dvc repro -f train@{path.parent.name}`") from None


@torch.no_grad()
def _least_sure(model: trained.Trained, held_out: Arrays, answers: np.ndarray, size: int | None) -> Tensor:
    """The held-out images, uint8, of whose truth the classifier is least sure, worst first.

    That is the probability of their class or, where `answers` are (N, A), the logit of the least likely true one.
    """
    images, truth = torch.from_numpy(held_out.images), torch.from_numpy(answers)
    classifier = model.networks["classifier"]
    device = next(classifier.parameters()).device
    sure = []
    for start in range(0, len(images), BLOCK):
        logits = classifier(enlarge(to_float(images[start : start + BLOCK].to(device)), size)).cpu()
        of_block = truth[start : start + BLOCK]
        if truth.dim() == 1:
            sure.append(logits.log_softmax(1).gather(1, of_block[:, None]).flatten())
        else:
            sure.append(logits.gather(1, of_block).amin(1))
    return images[torch.cat(sure).argsort(stable=True)]
