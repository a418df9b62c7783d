"""One variant's training from parameters to files: what the stage `train` calls."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from reprogan.atomic import write_atomically
from reprogan.config import ENCODERS, NO_UPSTREAM, PARAMS_FILE, Compute, Variant
from reprogan.data import hdf5, view
from reprogan.data.batches import Batch, TrainingImages, to_float
from reprogan.errors import UserError
from reprogan.models import architecture, trained
from reprogan.models.latents import classes_of
from reprogan.models.layers import lay_out
from reprogan.systems import system as systems
from reprogan.training import digests
from reprogan.training.checkpoint import Checkpoints
from reprogan.training.device import kernels, memory_format, set_up_device, threads_of
from reprogan.training.ema import WeightAverage
from reprogan.training.environment import environment, packages, resources_used
from reprogan.training.fingerprint import fingerprint
from reprogan.training.follower import Follower
from reprogan.training.history import History
from reprogan.training.randomness import Randomness
from reprogan.training.ranks import ALONE, Ranks
from reprogan.training.trainer import Run, train

_HELD_OUT = 16  # images that progress is shown on, where it is shown on images


def train_variant(
    name: str,
    variant: Variant,
    compute: Compute,
    data: Path,
    scratch: Path,
    out: Path,
    upstream_root: Path = Path("."),
    ranks: Ranks = ALONE,
) -> None:
    """Train variant `name` on the prepared file `data` and write its model to the folder `out`.

    From each of its further seeds a model of its own, in `out`/seeds/<seed>. Checkpoints and what a follower reads lie
    below `scratch`; the path of an upstream model begins at `upstream_root`. `ranks` are the processes that train it
    together; the first of them writes. Raises UserError for what the user can mend.
    """
    done = []  # all checkpoints stay until the last model is: a process that is killed before finds each where it was
    for seed, folder in variant.seed_folders().items():
        if folder and ranks.is_first:
            print(f"{name}: again from seed {seed}", file=sys.stderr)
        one = variant.from_seed(seed)
        done.append(_train_from_one_seed(name, one, compute, data, scratch, out, folder, upstream_root, ranks))
    if ranks.is_first:
        for checkpoints in done:
            checkpoints.clear()


def _train_from_one_seed(
    name: str,
    variant: Variant,
    compute: Compute,
    data: Path,
    scratch: Path,
    variant_out: Path,
    folder: str,
    upstream_root: Path,
    ranks: Ranks,
) -> Checkpoints:
    """Train from the one seed that `variant` has and write the model to `variant_out`/`folder`."""
    out = variant_out / folder
    training = variant.training
    device = set_up_device(compute)
    where = f"{PARAMS_FILE}: variants.{name}."
    description = hdf5.describe(data)
    image_shape = view.image_shape(description, variant.view, where)
    train_split = view.choose(hdf5.read(data, "train"), description, variant.view, where, limit=True)
    if training.batch_size > len(train_split.labels):
        raise UserError(
            f"{where}training.batch_size is {training.batch_size}; {data} holds "
            f"{len(train_split.labels)} training images; lower it"
        )
    part = ranks.part(training.batch_size, where)
    if part < (least := systems.least_batch(variant.system)):
        raise UserError(
            f"{where}training.batch_size is {training.batch_size}, of which each of {ranks.size} processes has {part}; "
            f"expected {least * ranks.size} or more"
        )

    # Networks and system, from the seed alone.
    randomness = Randomness(training.seed, device)
    torch.manual_seed(training.seed)
    randomness.seed_layers(-1)
    classes, labels = description.classes, train_split.labels
    if variant.system == "features" and not classes:
        classes, labels = description.answers, hdf5.answers_of(train_split, description)
    if train_split.tokens is not None:
        labels = train_split.tokens
    if variant.system in ENCODERS:
        _check_answers(variant, description, where)
    upstream = (
        None if variant.upstream.model == NO_UPSTREAM else trained.load(upstream_root / variant.upstream.model, device)
    )
    _check_upstream(upstream, description, image_shape, where)
    networks = architecture.build(
        variant.architecture,
        variant.network,
        image_shape,
        len(classes),
        where,
        words=len(description.vocabulary),
        source_channels=description.source_channels,
        upstream=upstream.networks if upstream else None,
    )
    if variant.view.classes is not None and any(classes_of(network) for network in networks.values()):
        raise UserError(
            f"{where}view.classes is {list(variant.view.classes)}; a conditional model is asked for every class of its "
            "data; expected null"
        )
    torch.set_num_threads(threads_of(networks.values(), compute))
    for network in networks.values():
        lay_out(network.to(device), memory_format(compute)).train()
        ranks.synchronise(network)
    system = systems.build(variant.system, networks, variant.objective, where, training.images)
    for optimiser in system.optimisers.values():
        optimiser.agree = ranks.mean if ranks.size > 1 else None
    averages = {}
    if training.ema_half_life is not None:
        averages = {key: WeightAverage(networks[key], training.ema_half_life) for key in system.averaged}

    # What the bytes depend on names the checkpoints.
    settings = variant.model_dump(mode="json", exclude={"sampling", "reference", "extractor", "extractor_architecture"})
    identity = fingerprint(
        {"variant": settings, "compute": compute.model_dump(mode="json"), "kernels": kernels(compute)}, data
    )
    if ranks.size > 1:
        identity += f"-{ranks.size}"  # each process draws noise of its own
        ranks.expect_one_training(f"{name} {identity}", name)
    checkpoints = Checkpoints(scratch / "checkpoints" / name / identity, identity)
    follower = None
    if ranks.is_first:
        _say_whose_checkpoints_do_not_fit(name, checkpoints, ranks)
        follower = _follower(name, variant, compute, scratch, folder, identity, description.name)
    live = follower.folder if follower else None

    images = TrainingImages(
        train_split.images,
        labels,
        device,
        randomness.permutation,
        variant.view.size,
        train_split.sources,
        memory_format(compute),
    )
    del train_split  # its images are laid out anew
    run = Run(
        averages=averages,
        totals=torch.zeros(len(system.losses), device=device),
        steps=0,
        history=History(system.losses, live and live / "history.csv"),
        digests=digests.Digests(live and live / digests.FILE),
        previews={},
    )
    held_out = _held_out(data, description, variant.view.size, device)
    own = Randomness(training.seed, device, ranks.rank)
    result = train(name, system, images, training, compute, own, checkpoints, run, held_out, ranks)
    if follower is None:
        return checkpoints

    if result.previews:
        counts = sorted(result.previews)
        progress = {
            "images": torch.stack([result.previews[count] for count in counts]).contiguous(),
            "images_seen": torch.tensor(counts, dtype=torch.int64),
        }
        write_atomically(out / "progress.safetensors", safetensors.torch.save(progress))
    write_atomically(out / "history.csv", run.history.text())
    write_atomically(out / digests.FILE, run.digests.text())
    trained.save(
        out,
        trained.Description(
            variant=name,
            system=variant.system,
            architecture=variant.architecture,
            network=variant.network,
            image_shape=image_shape,
            classes=classes,
            data=description.name,
            weights="average" if averages else "last",
            images_seen=result.images_seen,
            vocabulary=description.vocabulary,
            source_channels=description.source_channels,
            upstream=upstream.description if upstream else None,
        ),
        result.networks,
    )
    follower.finish(
        {
            "model_sha256": hashlib.sha256(trained.main_weights(out).read_bytes()).hexdigest(),
            "images_seen": result.images_seen,
            "seconds": result.seconds,
            "images_per_second": result.images_per_second,
            **resources_used(compute),
        }
    )
    return checkpoints


def _follower(
    name: str, variant: Variant, compute: Compute, scratch: Path, folder: str, identity: str, data: str
) -> Follower:
    return Follower(
        scratch / "live" / name / folder,
        {
            "variant": name,
            "fingerprint": identity,
            "params": {**variant.model_dump(mode="json"), "compute": compute.model_dump(mode="json")},
            "tags": {"data": data},
            "environment": environment(compute),
            "packages": packages(),
        },
        followed=not folder,  # the runs of further seeds are published once they are done
    )


def _say_whose_checkpoints_do_not_fit(name: str, checkpoints: Checkpoints, ranks: Ranks) -> None:
    """Say on stderr if this training was begun by another number of processes, whose noise was another."""
    if not checkpoints.folder.is_dir():
        of_one = checkpoints.fingerprint.partition("-")[0]
        for other in sorted(checkpoints.folder.parent.glob(f"{of_one}*/*.ckpt")):
            _, _, size = other.parent.name.partition("-")
            print(
                f"reprogan: variants.{name}: {other} is of {size or 1} processes and does not fit {ranks.size}, which "
                "draw other noise; beginning anew",
                file=sys.stderr,
            )
            return


def _held_out(data: Path, description: hdf5.Description, size: int | None, device: torch.device) -> Batch:
    """The first few held-out images, as training sees its own."""
    split = hdf5.read(data, "test", np.arange(min(_HELD_OUT, description.counts["test"])))
    labels = split.labels if split.tokens is None else split.tokens
    return Batch(
        view.enlarge(to_float(torch.from_numpy(split.images).to(device)), size),
        torch.from_numpy(labels).to(device),
        None if split.sources is None else to_float(torch.from_numpy(split.sources).to(device)),
    )


def _check_upstream(
    upstream: trained.Trained | None, description: hdf5.Description, image_shape: tuple[int, int, int], where: str
) -> None:
    """Raise UserError if the model that training begins with was made for other data."""
    if upstream is None:
        return
    made = upstream.description
    for what, found, expected in (
        ("data set", made.data, description.name),
        ("image shape", made.image_shape, image_shape),
        ("vocabulary", made.vocabulary, description.vocabulary),
    ):
        if found != expected:
            raise UserError(
                f"{where}upstream.model: models/{made.variant}: its {what}: {str(found)[:60]}; expected "
                f"{str(expected)[:60]}; run `dvc repro train@{made.variant}`"
            )


def _check_answers(variant: Variant, description: hdf5.Description, where: str) -> None:
    """Raise UserError if the system is not the one for what is known of the images."""
    if variant.system == "classifier" and not description.classes:
        raise UserError(f"{where}system is 'classifier'; {description.name} has no classes; expected 'features'")
    if variant.system == "contrastive" and not description.vocabulary:
        raise UserError(f"{where}system is 'contrastive'; {description.name} has no captions; expected data: captions")
    if variant.system == "features" and description.classes:
        raise UserError(f"{where}system is 'features'; {description.name} has classes; expected 'classifier'")
