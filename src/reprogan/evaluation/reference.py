"""What scores are read against: the real images of a data set as one extractor sees them, computed once.

The file holds what the extractor makes of every training and held-out image and, for the images that `evaluation`
chooses, what many comparisons share: the balls of the held-out ones, how near each of them comes to a training image,
and the floors: the scores of training images.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from reprogan.config import IMPORTED, Evaluation, View
from reprogan.data import hdf5
from reprogan.errors import UserError
from reprogan.evaluation.extractors import Extracted, Extractor, blocks_of, extract
from reprogan.evaluation.inputs import ALL, chosen_rows, extractor_for, rows_seen, there_and_back
from reprogan.evaluation.neighbours import Balls, nearest, on_sphere
from reprogan.evaluation.quality import Real, quality, real_side
from reprogan.progress import tracked


@dataclass(frozen=True)
class Reference:
    """The real side of a score: `real` held-out images, and training images.

    `floor_side` are as many training images as `evaluation` chooses. Of all of them, `train` (N, D) lie on the unit
    sphere and `train_rows` (N,) are their rows in the prepared file. `apart` (M,) are the squared distances of the real
    images to their nearest training images; `logits` (…, K) the extractor's for every image of the file, in its order.
    """

    real: Real
    floor_side: Extracted
    train: Tensor
    train_rows: Tensor
    apart: Tensor
    logits: dict[hdf5.Split, Tensor]
    seed: int
    known_floors: dict[str, Any] | None = None

    def floors(self, count: int) -> dict[str, Any]:
        """The scores of `count` training images against the real ones: what a perfect generator would have."""
        if self.known_floors is not None and count == len(self.floor_side.features):
            return self.known_floors
        return _floors(self.floor_side[:count], self.real, self.seed)


def _floors(found: Extracted, real: Real, seed: int) -> dict[str, Any]:
    scores = quality(found, real, seed, "training images")
    return {key: value for key, value in scores.items() if isinstance(value, float) and not key.endswith("_max")}


def write_reference(size: int | None, data_path: Path, folder: Path, evaluation: Evaluation, out: Path) -> None:
    """Read the prepared file with the extractor in `folder`, images enlarged to `size` and reduced again.

    Raises UserError if a file is missing, damaged, or of images or classes unlike the extractor's.
    """
    extractor, data = extractor_for(folder, data_path)
    found = {split: _all_of(extractor, data_path, split, size) for split in hdf5.SPLITS}
    reference = _choose(found, extractor, data_path, data, evaluation)
    with hdf5.create(out) as file:
        file.attrs["extractor"] = extractor.description.variant
        file.attrs["extractor_sha256"] = extractor.sha256
        file.attrs["data"] = data.name
        file.attrs["evaluation"] = [evaluation.seed, evaluation.count]
        file.attrs["floors"] = json.dumps(reference.floors(len(reference.floor_side.features)))
        file.attrs["diversity"] = reference.real.balls.diversity
        for split in hdf5.SPLITS:
            file[f"{split}/features"] = found[split].features.numpy()
            file[f"{split}/logits"] = found[split].logits.numpy()
        file["radii"] = reference.real.balls.radii.numpy()
        file["apart"] = reference.apart.numpy()


def load_reference(
    path: Path, extractor: Extractor, data_path: Path, evaluation: Evaluation, view: View = ALL
) -> Reference:
    """Read what `write_reference` wrote; with a view of some classes, of their images alone.

    Raises UserError for a file that is missing or damaged, or was made of other data, by another extractor or for
    another evaluation.
    """
    data, name = hdf5.describe(data_path), path.stem
    try:
        with h5py.File(path) as file:
            made_of = (str(file.attrs["data"]), str(file.attrs["extractor_sha256"])[:12])
            made_for = [int(value) for value in file.attrs["evaluation"]]
            found = {
                split: Extracted(*(torch.from_numpy(file[f"{split}/{key}"][()]) for key in ("features", "logits")))
                for split in hdf5.SPLITS
            }
            radii, apart = (torch.from_numpy(file[key][()]) for key in ("radii", "apart"))
            diversity, floors = float(file.attrs["diversity"]), json.loads(file.attrs["floors"])
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `dvc repro reference@{name}`") from None
    except PermissionError:
        raise
    except (OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(
            f"{path}: damaged ({reason}); expected the features of real images; run `dvc repro -f reference@{name}`"
        ) from None
    wanted_of, wanted_for = (data.name, extractor.sha256[:12]), [evaluation.seed, evaluation.count]
    counts = {split: len(found[split].features) for split in hdf5.SPLITS}
    for what, is_so, expected in (
        ("data and extractor", made_of, wanted_of),
        ("numbers of images", counts, data.counts),
        ("evaluation.seed and count", made_for, wanted_for),
    ):
        if is_so != expected:
            raise UserError(f"{path}: {what}: {is_so}; expected {expected}; run `dvc repro reference@{name}`")
    if view.classes is not None:
        return _choose(found, extractor, data_path, data, evaluation, view)
    return _choose(found, extractor, data_path, data, evaluation, known=(radii, diversity, apart, floors))


def _choose(
    found: dict[hdf5.Split, Extracted],
    extractor: Extractor,
    data_path: Path,
    data: hdf5.Description,
    evaluation: Evaluation,
    view: View = ALL,
    known: tuple[Tensor, float, Tensor, dict[str, Any]] | None = None,
) -> Reference:
    """The reference of the images that the evaluation chooses among those of the view's classes."""
    test, train = (chosen_rows(data_path, split, data, evaluation, view) for split in ("test", "train"))
    train_rows = torch.from_numpy(rows_seen(data_path, "train", data, view))
    held_out, on_train = found["test"][test], on_sphere(found["train"].features[train_rows])
    balls = None if known is None else Balls(on_sphere(held_out.features), known[0], known[1])
    classes, attributes = _told_by(extractor, data)
    real = real_side(held_out, f"{data_path}: test", classes, attributes, balls)
    return Reference(
        real,
        found["train"][train],
        on_train,
        train_rows,
        nearest(real.balls.points, on_train)[0] if known is None else known[2],
        {split: found[split].logits for split in hdf5.SPLITS},
        evaluation.seed,
        None if known is None else known[3],
    )


def _told_by(extractor: Extractor, data: hdf5.Description) -> tuple[tuple[str, ...], hdf5.Options | None]:
    """The classes or the attributes that the extractor's answers are of; neither where it gives no such answers."""
    if extractor.stacked or not extractor.description.classes or extractor.description.system == IMPORTED:
        return (), None
    return (data.classes, None) if data.classes else ((), data.attributes)


def _all_of(extractor: Extractor, data_path: Path, split: hdf5.Split, size: int | None) -> Extracted:
    """What the extractor makes of every image of a split; no more than a block of them is in memory."""
    with h5py.File(data_path) as file:
        images = file[f"{split}/images"]
        blocks = (there_and_back(block, size) for block in blocks_of(images))
        return extract(extractor, tracked(blocks, len(images), f"reading {split} images", len))
