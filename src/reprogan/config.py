"""Typed parameters: `params.yaml` read strictly, every mistake named in one line before any work.

What only one architecture or one system knows (its `network` and `objective` blocks) is typed beside its
code, in `models/<architecture>.py` and `systems/<system>.py`; this file holds what all of them share, so that
a new variant touches no file that another variant's stages depend on.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from reprogan.blocks import Strict, parse, read_yaml
from reprogan.errors import UserError

PARAMS_FILE = "params.yaml"
EMBEDDED = "embedded"
EXTRACTORS = ("classifier", "features")
"""The systems whose models scores are read with."""
ENCODERS = (*EXTRACTORS, "contrastive")
"""The systems whose models make no images: they are scored by what they say of held-out ones."""
INCEPTION = "inception"  # an extractor that is brought, not trained: models/inception
IMPORTED = "imported"  # the system of such a model
DATA_SETS = ("digits", "stacked", "ring", "faces", "captions")
"""What data there is beside the pairs, which have names of their own."""
NO_UPSTREAM = "data/checked"
"""The upstream model of a variant that begins with no other's: dvc.yaml asks for a path, and this never changes."""
REFERENCES = "data/references"
"""The folder of what scores are read against."""
NO_REFERENCE = "data/checked"
"""The reference of a variant that is scored without an extractor's features: the same trick."""
PREPARED_FACES = "data/processed/faces.h5"
TASKS = "src/reprogan/data/tasks"
"""Where the code is that makes sources for translation of images."""
TOY_FACES = "src/reprogan/data/toyfaces"
"""The source of faces that are drawn: by the code that is there."""

Sha256 = str


class Compute(Strict):
    """Where and how numbers are computed. All of it can change the bits of a result."""

    device: Literal["cpu", "cuda", "mps"]
    threads: int = Field(ge=1, le=256)
    isa: Literal["avx2", "native"]
    precision: Literal["float32", "tf32", "bf16"]
    channels_last: bool


class Launch(Strict):
    """In how many processes a training runs. Each draws noise of its own, so their number changes the bits."""

    launcher: Literal["none", "torchrun"]
    processes: int = Field(ge=1, le=4096, description="in all, on all nodes; each has its part of every batch")
    nodes: int = Field(ge=1, le=1024, description="machines, each with the same number of them")

    @model_validator(mode="after")
    def _fits(self) -> "Launch":
        if self.launcher == "none" and self.processes > 1:
            raise ValueError(f"processes is {self.processes} and launcher none; expected 1, or torchrun")
        if self.processes % self.nodes:
            raise ValueError(f"processes is {self.processes} on {self.nodes} nodes; expected as many on each")
        return self


class Retrain(Strict):
    """How `reprogan retrain` decides and what it keeps; no result hangs on it."""

    metric: str | None = Field(description="the score to decide by; null: the first that a variant's table has")
    count: int | None = Field(ge=100, description="images a sample set for deciding; null: sampling.count")
    checkpoint_minutes: float = Field(ge=0, description="between copies of checkpoints to DVC's remote; 0: none")


class Report(Strict):
    """What the page `report/index.html` holds of others."""

    bundle: bool = Field(description="the libraries of web/package.json: curves, and generators that run in a browser")
    explorer: tuple[str, ...] = Field(strict=False, description="the variants whose generators do")


class IdxFile(Strict):
    """One gzipped IDX file: its name under every mirror and the sha256 of the gzipped bytes."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    sha256: Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class IdxFiles(Strict):
    """The four files of a data set in MNIST's format."""

    train_images: IdxFile
    train_labels: IdxFile
    test_images: IdxFile
    test_labels: IdxFile


class IdxSet(Strict):
    """A data set in MNIST's format: where its files can be had and what its labels mean."""

    mirrors: tuple[str, ...] = Field(min_length=1, strict=False)
    classes: tuple[str, ...] = Field(min_length=1, strict=False)
    files: IdxFiles


class Digits(Strict):
    """What `prepare_digits` prepares: one of `sets` by its name, or the embedded digits of scikit-learn."""

    source: str
    sets: dict[str, IdxSet]

    @field_validator("sets")
    @classmethod
    def _names_are_folders(cls, sets: dict[str, IdxSet]) -> dict[str, IdxSet]:
        _refuse_odd_names("set", sets)
        return sets

    @model_validator(mode="after")
    def _source_is_known(self) -> "Digits":
        known = [EMBEDDED, *sorted(self.sets)]
        if self.source not in known:
            raise ValueError(f"source is {self.source!r}; expected one of {', '.join(known)}")
        return self


class Stacked(Strict):
    """What `prepare_stacked` makes of the digits: three of them in the colour channels of one image."""

    seed: int = Field(ge=0)
    train: int = Field(ge=1, description="training images")
    test: int = Field(ge=1, description="held-out images, of held-out digits")


class Ring(Strict):
    """What `prepare_ring` draws: points round the centres of Gaussians that lie on a circle of radius 1."""

    seed: int = Field(ge=0)
    modes: int = Field(ge=2, description="Gaussians on the circle")
    std: float = Field(gt=0, allow_inf_nan=False, description="standard deviation of each")
    train: int = Field(ge=1, description="training points")
    test: int = Field(ge=1, description="held-out points")


class ToyFaces(Strict):
    """How many faces are drawn, and from which seed."""

    seed: int = Field(ge=0)
    count: int = Field(ge=2)


class Faces(Strict):
    """What `prepare_faces` prepares: squares of 128×128 from pictures of the user's, or toy faces."""

    source: str = Field(min_length=1, description="an HDF5 file, a zip or a folder; or TOY_FACES")
    size: int = Field(ge=8, le=1024, description="pixels a side of the squares; toy faces have 128")
    group: str | None = Field(description="of the HDF5 file; null: the only one with pictures")
    limit: int | None = Field(ge=2, description="pictures that are read, from the first on; null: all")
    resize: Literal["none", "shorter_side"]
    on_small: Literal["error", "pad", "skip"]
    grey: Literal["repeat", "error"]
    alpha: Literal["white", "black", "error"]
    test_share: float = Field(gt=0, lt=1, description="share of the pictures that is held out, by a hash of the key")
    compression: Literal["none", "gzip"]
    toyfaces: ToyFaces


class Columns(Strict):
    """Where a table of captions has a picture's name and its caption."""

    file: str = Field(min_length=1)
    caption: str = Field(min_length=1)


class Captions(Strict):
    """What `prepare_captions` prepares: the prepared faces that have captions, and the words of these as tokens."""

    table: str = Field(min_length=1, description="the prepared faces, if they carry captions; or a CSV file")
    columns: Columns
    without: Literal["error", "skip"] = Field(description="what becomes of a picture without a caption")
    least: int = Field(ge=1, description="how often a word occurs in the training captions to be in the vocabulary")
    train: int | None = Field(ge=2, description="training images; null: all")
    test: int | None = Field(ge=1, description="held-out images; null: all")


class Pairs(Strict):
    """What `prepare_pairs` prepares under one name: images of a prepared set, and beside each its source."""

    data: Literal["digits", "stacked", "faces"]
    sources: str = Field(min_length=1, description="a file of TASKS, which makes them; or pictures, as for faces")
    options: dict[str, Any]
    train: int | None = Field(ge=2, description="training pairs; null: all")
    test: int | None = Field(ge=1, description="held-out pairs; null: all")


class Schedule(Strict):
    """Learning rate over the budget: a linear warm-up, then constant, or a cosine down to zero from `start` on."""

    kind: Literal["constant", "cosine"]
    warm_up: float = Field(ge=0, lt=1, description="share of the budget over which the rate rises from zero")
    start: float = Field(ge=0, lt=1, description="share of the budget after which the decay begins")

    @model_validator(mode="after")
    def _decays_after_warm_up(self) -> "Schedule":
        if self.kind == "cosine" and self.start < self.warm_up:
            raise ValueError(f"start is {self.start} and warm_up {self.warm_up}; expected a start not before its end")
        return self


class Training(Strict):
    """What the trainer needs to know of any system. Every interval and budget counts images seen."""

    seeds: tuple[int, ...] = Field(strict=False, min_length=1, description="the first is the model's own")
    images: int = Field(ge=1, description="budget: training images seen, repeats counted")
    batch_size: int = Field(ge=1)
    schedule: Schedule
    ema_half_life: int | None = Field(ge=1, description="images after which a weight's share in the average halves")
    log_every: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)
    milestones: tuple[int, ...] = Field(strict=False, description="images seen at which progress is drawn")

    @property
    def seed(self) -> int:
        """The seed of the model itself; those after it are trained for the spread of its scores alone."""
        return self.seeds[0]

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"seeds are {list(seeds)}; expected different whole numbers, none below 0")
        return seeds

    @field_validator("milestones")
    @classmethod
    def _milestones_rise(cls, milestones: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise ValueError(f"milestones are {list(milestones)}; expected rising numbers of images")
        if milestones and milestones[0] < 0:
            raise ValueError(f"milestones begin at {milestones[0]}; expected 0 or more images")
        return milestones


class Sampling(Strict):
    """What `sample` draws from a trained model."""

    seed: int = Field(ge=0)
    count: int = Field(ge=100, description="images drawn for scoring")


class View(Strict):
    """What a variant sees of its data: all of it as it is, some of its classes, or every image enlarged."""

    size: int | None = Field(ge=1, description="height and width that images are enlarged to; null: as prepared")
    classes: tuple[str, ...] | None = Field(strict=False, min_length=1, description="names; null: all")
    per_class: int | None = Field(ge=1, description="training images of each class; null: all")


class Upstream(Strict):
    """The model that a variant's training begins with and holds from then on; or NO_UPSTREAM."""

    model: str = Field(description="models/<variant>, or NO_UPSTREAM")
    code: str = Field(description="the file of its architecture, where it is not the variant's own, or NO_UPSTREAM")


class Reference(Strict):
    """What `reference` keeps: the real images of a prepared data set as one extractor sees them."""

    data: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="one of DATA_SETS or a name under pairs")
    size: int | None = Field(ge=1, description="images enlarged to it and reduced again, as `view` has it; null: as is")
    extractor: str
    architecture: str


class Variant(Strict):
    """One model: which system trains which architecture on which data, and with which settings."""

    system: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    architecture: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    data: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="one of DATA_SETS or a name under pairs")
    upstream: Upstream
    view: View
    reference: str = Field(description="data/references/<name>.h5, or NO_REFERENCE")
    extractor: str
    extractor_architecture: str
    network: dict[str, Any]
    objective: dict[str, Any]
    training: Training
    sampling: Sampling

    def from_seed(self, seed: int) -> "Variant":
        """The same variant, trained from one seed alone."""
        return self.model_copy(update={"training": self.training.model_copy(update={"seeds": (seed,)})})

    def seed_folders(self) -> dict[int, str]:
        """{training seed: its folder below the variant's own in models/ and samples/}, "" for the model itself."""
        return {seed: f"seeds/{seed}" if place else "" for place, seed in enumerate(self.training.seeds)}


class Evaluation(Strict):
    """How many images stand on each side of a score, the seed that chooses them, how many sample sets are scored."""

    seed: int = Field(ge=0)
    count: int = Field(ge=100)
    seeds: int = Field(ge=1, le=100, description="sample sets of each variant, from as many seeds")


class Parameters(Strict):
    """The whole of `params.yaml`."""

    profile: str
    compute: Compute
    launch: Launch
    retrain: Retrain
    report: Report
    digits: Digits
    stacked: Stacked
    ring: Ring
    faces: Faces
    captions: Captions
    pairs: dict[str, Pairs]
    evaluation: Evaluation
    references: dict[str, Reference]
    variants: dict[str, Variant]

    @field_validator("variants")
    @classmethod
    def _names_are_paths(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        _refuse_odd_names("variant", variants)
        return variants

    @field_validator("pairs")
    @classmethod
    def _pairs_are_files(cls, pairs: dict[str, Pairs]) -> dict[str, Pairs]:
        _refuse_odd_names("pairs", pairs)
        if taken := [name for name in pairs if name in DATA_SETS]:
            raise ValueError(f"pairs {taken[0]!r}: the name of other data; expected none of {', '.join(DATA_SETS)}")
        return pairs

    @field_validator("references")
    @classmethod
    def _references_are_files(cls, references: dict[str, Reference]) -> dict[str, Reference]:
        _refuse_odd_names("reference", references)
        return references

    @model_validator(mode="after")
    def _toy_faces_have_one_size(self) -> "Parameters":
        if Path(self.faces.source) == Path(TOY_FACES) and self.faces.size != 128:
            raise ValueError(f"faces.size is {self.faces.size}; toy faces are drawn at 128; expected that")
        return self

    @model_validator(mode="after")
    def _explored_ones_draw_from_latents(self) -> "Parameters":
        others = (*ENCODERS, "autoencoder", "pix2pix", "stackgan")
        known = [name for name, one in self.variants.items() if one.system not in others and one.data != "ring"]
        for name in self.report.explorer:
            if name not in known:
                raise ValueError(f"report.explorer names {name!r}; expected some of {', '.join(known) or 'none'}")
        return self

    @model_validator(mode="after")
    def _data_is_prepared(self) -> "Parameters":
        known = [*DATA_SETS, *self.pairs]
        for name, variant in self.variants.items():
            if variant.data not in known:
                raise ValueError(f"variants.{name}.data is {variant.data!r}; expected one of {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _upstreams_fit(self) -> "Parameters":
        for name, variant in self.variants.items():
            others = sorted(self._upstream_architectures(name) - {variant.architecture})
            expected = [f"src/reprogan/models/{other}.py" for other in others] or [NO_UPSTREAM]
            if [variant.upstream.code] != expected:  # dvc.yaml cannot look into another block
                raise ValueError(
                    f"variants.{name}.upstream.code is {variant.upstream.code!r}; expected "
                    f"{' and '.join(expected)}, as upstream.model is {variant.upstream.model}"
                )
        return self

    def _upstream_architectures(self, name: str) -> set[str]:
        """Those of the models that a variant's training begins with, and of what these began with."""
        seen, found = [name], set()
        while (model := self.variants[seen[-1]].upstream.model) != NO_UPSTREAM:
            before = model.removeprefix("models/")
            if before == model or before not in self.variants or before in seen:
                others = ", ".join(f"models/{other}" for other in self.variants if other not in seen)
                raise ValueError(
                    f"variants.{seen[-1]}.upstream.model is {model!r}; expected {NO_UPSTREAM} or one of {others}"
                )
            seen.append(before)
            found.add(self.variants[before].architecture)
        return found

    @model_validator(mode="after")
    def _views_fit(self) -> "Parameters":
        for name, variant in self.variants.items():
            whole = (variant.view.size, variant.view.classes, variant.view.per_class) == (None, None, None)
            if not whole and (variant.data != "digits" or variant.system in ENCODERS):
                raise ValueError(
                    f"variants.{name}.view is for generators of digits; expected size, classes and per_class null"
                )
        return self

    @model_validator(mode="after")
    def _references_fit(self) -> "Parameters":
        known = [*DATA_SETS, *self.pairs]
        for name, block in self.references.items():
            where = f"references.{name}"
            if block.data not in known:
                raise ValueError(f"{where}.data is {block.data!r}; expected one of {', '.join(known)}")
            self._check_extractor(f"{where}.extractor", block.extractor, block.data)
            extractor = self.variants.get(block.extractor)
            architecture = extractor.architecture if extractor else INCEPTION
            if block.architecture != architecture:  # dvc.yaml cannot look into another block
                raise ValueError(
                    f"{where}.architecture is {block.architecture!r}; expected {architecture!r}, the architecture of "
                    f"{block.extractor}"
                )
        return self

    def _check_extractor(self, where: str, extractor: str, data: str) -> None:
        if extractor == INCEPTION and data == "faces":
            return
        block = self.variants.get(extractor)
        if block is None or block.system not in EXTRACTORS:
            classifiers = sorted(name for name, block in self.variants.items() if block.system in EXTRACTORS)
            more = f", or for pictures of faces {INCEPTION}" if data == "faces" else ""
            raise ValueError(f"{where} is {extractor!r}; expected a classifier: {', '.join(classifiers)}{more}")

    @model_validator(mode="after")
    def _extractors_fit(self) -> "Parameters":
        for name, variant in self.variants.items():
            where = f"variants.{name}"
            if variant.system in ENCODERS or variant.data == "ring":
                wanted = {"reference": NO_REFERENCE, "extractor": name, "extractor_architecture": variant.architecture}
                why = "scored by itself"
            else:
                fitting = {
                    f"{REFERENCES}/{key}.h5": block
                    for key, block in self.references.items()
                    if (block.data, block.size) == (variant.data, variant.view.size)
                }
                if variant.reference not in fitting:
                    expected = f"one of {', '.join(fitting)}" if fitting else "one that is added under `references`"
                    raise ValueError(
                        f"{where}.reference is {variant.reference!r}; expected {expected}: of data {variant.data}, "
                        f"size {variant.view.size or 'null'}"
                    )
                reference = fitting[variant.reference]
                wanted = {"extractor": reference.extractor, "extractor_architecture": reference.architecture}
                why = f"as {variant.reference} is made with"
            for key, expected in wanted.items():  # dvc.yaml cannot look into another block
                if (found := getattr(variant, key)) != expected:
                    raise ValueError(f"{where}.{key} is {found!r}; expected {expected!r}, {why}")
        return self

    def variant(self, name: str) -> Variant:
        """The block `variants.<name>`; raises UserError for a name that is not there."""
        try:
            return self.variants[name]
        except KeyError:
            raise UserError(f"{PARAMS_FILE}: no variant {name!r}; expected one of {', '.join(self.variants)}") from None


def _refuse_odd_names(what: str, names: Iterable[str]) -> None:
    """Names become parts of paths and of stage names: raise ValueError for one that should not."""
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"{what} {name!r}; expected a lower-case letter, then lower-case letters, digits or _")


def load(path: Path = Path(PARAMS_FILE)) -> Parameters:
    """Read and validate `params.yaml`. Raises UserError naming file, key, value and what is allowed."""
    return parse(Parameters, read_yaml(path), f"{path}: ")
