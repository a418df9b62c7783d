"""A few training steps and a small evaluation in one process, printed as digests. Run natively and under emulation.

Argument: an empty folder to work in. Every number that a result can hang on goes through
the project's own code.
"""

import gc
import hashlib
import json
import sys
from pathlib import Path

from reprogan.config import (
    NO_UPSTREAM,
    TASKS,
    TOY_FACES,
    Captions,
    Columns,
    Compute,
    Evaluation,
    Faces,
    Pairs,
    Ring,
    ToyFaces,
    Variant,
)
from reprogan.entry import pin_instruction_set

COMPUTE = Compute(device="cpu", threads=1, isa="avx2", precision="float32", channels_last=True)
CLASSES = tuple("0123456789")
SCHEDULE = {"kind": "cosine", "warm_up": 0.2, "start": 0.25}
RATES = {side: {"learning_rate": 1e-3, "betas": [0.5, 0.999]} for side in ("generator", "discriminator")}
GAME = {"n_critic": 1, "penalty": 0.0, "clip": None, "burn_in": None, **RATES}
FACES = Faces(
    source=TOY_FACES,
    size=128,
    group=None,
    limit=None,
    resize="none",
    on_small="error",
    grey="repeat",
    alpha="white",
    test_share=0.2,
    compression="none",
    toyfaces=ToyFaces(seed=1, count=24),
)
SEEN_WHOLE = {"size": None, "classes": None, "per_class": None}


def variant(
    system: str,
    architecture: str,
    network: dict,
    objective: dict,
    images: int,
    half_life: int | None,
    data: str = "digits",
    size: int | None = None,
    upstream: str = NO_UPSTREAM,
    batch: int = 16,
) -> Variant:
    training = {
        "seeds": [1],
        "images": images,
        "batch_size": batch,
        "schedule": SCHEDULE,
        "ema_half_life": half_life,
        "log_every": min(32, images),
        "checkpoint_every": 48,
        "milestones": [0, min(32, images)] if system in ("gan", "pix2pix", "stackgan") else [],
    }
    return Variant.model_validate(
        {
            "system": system,
            "architecture": architecture,
            "data": data,
            "upstream": {
                "model": upstream,
                "code": NO_UPSTREAM if upstream == NO_UPSTREAM else "src/reprogan/models/caption_features.py",
            },
            "view": SEEN_WHOLE | {"size": size},
            "reference": "data/references/digits.h5",
            "extractor": "digit_features",
            "extractor_architecture": "digit_features",
            "network": network,
            "objective": objective,
            "training": training,
            "sampling": {"seed": 1, "count": 100},
        }
    )


LATENTS = {"latent_size": 20, "init_std": 0.02}
CONVOLUTIONS = LATENTS | {"latent_distribution": "normal", "filters": 8}
VARIANTS = {
    "digit_features": variant(
        "classifier",
        "digit_features",
        {},
        {"loss": "cross_entropy", "learning_rate": 4e-3, "betas": [0.9, 0.99], "weight_decay": 1e-2, "shift": 2},
        96,
        None,
    ),
    "gan": variant(
        "gan",
        "fully_connected",
        LATENTS | {"latent_distribution": "uniform", "hidden": 100, "dropout": 0.5, "init_std": None},
        {"loss": "non_saturating", **GAME},
        96,
        40,
    ),
    "dcgan": variant(
        "gan",
        "dcgan",
        CONVOLUTIONS | {"discriminator_norm": "batch", "condition": "none"},
        {"loss": "non_saturating", **GAME},
        64,
        40,
    ),
    "wgan_gp": variant(
        "gan",
        "dcgan",
        CONVOLUTIONS | {"discriminator_norm": "layer", "condition": "none"},
        {"loss": "wasserstein", **GAME, "n_critic": 2, "penalty": 10.0},
        64,
        None,
    ),
    "dcgan_conditional": variant(
        "gan",
        "dcgan",
        CONVOLUTIONS | {"discriminator_norm": "spectral", "condition": "projection"},
        {"loss": "hinge", **GAME},
        32,
        40,
    ),
    "cgan": variant(
        "gan",
        "cgan",
        {"latent_size": 20, "latent_distribution": "normal", "hidden": 40, "init_std": None},
        {"loss": "non_saturating", **GAME},
        32,
        None,
    ),
    "sagan": variant(
        "gan",
        "dcgan64",
        {
            **CONVOLUTIONS,
            "filters": 4,
            "discriminator_norm": "spectral",
            "generator_spectral": True,
            "generator_attention": [8, 16],
            "discriminator_attention": [8],
        },
        {"loss": "hinge", **GAME},
        16,
        40,
        size=64,
        batch=8,
    ),
    "r3gan": variant(
        "gan",
        "r3gan",
        {
            "latent_size": 20,
            "latent_distribution": "normal",
            "widths": [16, 8, 8],
            "blocks": [1, 1, 1],
            "expansion": 2,
            "group_size": 8,
            "patch": 2,
        },
        {
            "loss": "relativistic",
            **GAME,
            "penalty": 1.0,
            "burn_in": {"share": 0.5, "penalty": 2.0, "beta_2": 0.9},
        },
        32,
        40,
    ),
    "dcgan128": variant(
        "gan",
        "dcgan128",
        LATENTS | {"latent_distribution": "normal", "width": 4},
        {"loss": "non_saturating", **GAME},
        8,
        40,
        size=128,
        batch=4,
    ),
    "progan": variant(
        "gan",
        "progan",
        {"latent_size": 20, "latent_distribution": "normal", "widths": [16, 16, 8, 8]},
        {"loss": "wasserstein", **GAME, "penalty": 10.0, "growth": {"stable": [4] * 3, "fade": [6] * 3}},
        48,
        40,
        size=32,
        batch=8,
    ),
    "face_features": variant(
        "features",
        "face_features",
        {"widths": [8, 8, 16, 16], "features": 16},
        {"loss": "features", "learning_rate": 4e-3, "betas": [0.9, 0.99], "weight_decay": 1e-2, "noise": 0.3},
        64,
        None,
        data="faces",
    ),
    "vae": variant(
        "vae",
        "autoencoder",
        {"layers": "fully_connected", "latent_size": 8, "width": 32, "variational": True},
        {"loss": "bernoulli", "kl_weight": 1.0, "learning_rate": 1e-3, "betas": [0.9, 0.999]},
        64,
        None,
    ),
    "ring_gan": variant(
        "gan",
        "multilayer",
        {"latent_size": 2, "latent_distribution": "normal", "hidden": 32, "layers": 2},
        {"loss": "relativistic", **GAME, "penalty": 0.1},
        64,
        None,
        data="ring",
    ),
    "pix2pix": variant(
        "pix2pix",
        "unet",
        {
            "width": 4,
            "levels": 6,
            "dropout": 0.5,
            "norm": "instance",
            "patch": 70,
            "patch_width": 4,
            "patch_norm": "instance",
            "init_std": 0.02,
        },
        {"loss": "non_saturating", "adversarial": 1.0, "l1": 100.0, **RATES},
        8,
        40,
        data="edges",
        batch=4,
    ),
    "caption_features": variant(
        "contrastive",
        "caption_features",
        {"widths": [8, 8, 8, 8], "word_size": 8, "phrases": [1, 2], "features": 16},
        {
            "loss": "contrastive",
            "learning_rate": 4e-3,
            "betas": [0.9, 0.99],
            "weight_decay": 1e-2,
            "temperature": 0.1,
        },
        64,
        None,
        data="captions",
    ),
    "stackgan_1": variant(
        "stackgan",
        "stackgan",
        {"stage": 1, "latent_size": 8, "condition_size": 8, "filters": 4, "residual_blocks": 0},
        {"loss": "relativistic", "penalty": 1.0, "kl_weight": 0.1, **RATES},
        8,
        40,
        data="captions",
        upstream="models/caption_features",
        batch=4,
    ),
    "stackgan": variant(
        "stackgan",
        "stackgan",
        {"stage": 2, "latent_size": 8, "condition_size": 8, "filters": 4, "residual_blocks": 1},
        {"loss": "non_saturating", "penalty": 0.0, "kl_weight": 0.1, **RATES},
        8,
        40,
        data="captions",
        upstream="models/stackgan_1",
        batch=4,
    ),
}


def digests(folder: Path) -> dict[str, str]:
    """Train, sample and score in `folder`: {file: sha256} of all that comes out."""
    import numpy as np
    import torch

    from reprogan.data import captions, embedded, hdf5, pairs, ring
    from reprogan.data.faces.prepare import prepare
    from reprogan.evaluation import score
    from reprogan.evaluation.reference import write_reference
    from reprogan.evaluation.retrieval import retrieval_accuracy
    from reprogan.evaluation.translation import translation_scores
    from reprogan.models import trained
    from reprogan.sampling.generate import generate
    from reprogan.training.run import train_variant

    random = np.random.default_rng(1)
    small = random.integers(0, 17, (300, 8, 8), dtype=np.uint8)
    arrays = hdf5.Arrays(embedded.enlarge(small), np.arange(300, dtype=np.int64) % len(CLASSES))
    held_out = hdf5.Arrays(arrays.images[:, :, ::-1], arrays.labels)
    data = folder / "digits.h5"
    hdf5.write(data, name="noise", classes=CLASSES, sources={}, train=arrays, test=held_out)
    ring.prepare(Ring(seed=1, modes=8, std=0.02, train=300, test=100), folder / "ring.h5")
    faces = folder / "faces.h5"
    prepare(FACES, faces)
    columns = Columns(file="file", caption="caption")
    told = Captions(table=str(faces), columns=columns, without="error", least=1, train=None, test=None)
    captions.prepare(told, faces, folder / "captions.h5")
    edges = Pairs(data="faces", sources=f"{TASKS}/edges.py", options={"sigma": 1.0}, train=None, test=None)
    pairs.prepare("edges", edges, FACES, faces, folder / "edges.h5")
    for name, block in VARIANTS.items():
        prepared = folder / f"{block.data}.h5"
        train_variant(name, block, COMPUTE, prepared, folder / "scratch", folder / "models" / name, folder)
    evaluation = Evaluation(seed=1, count=100, seeds=1)
    reference = folder / "references/digits.h5"
    write_reference(None, data, folder / "models/digit_features", evaluation, reference)
    for name in ("gan", "dcgan"):
        samples = folder / "samples" / f"{name}.h5"
        with hdf5.create(samples) as file:
            blocks = list(generate(trained.load(folder / "models" / name), 100, seed=1))
            file.create_dataset("images", data=np.concatenate([block.numpy() for block in blocks]))
        scored = score.score_generator(samples, data, folder / "models/digit_features", reference, evaluation)
        score.write_scored(scored, folder / "metrics" / f"{name}.json", folder / "scores" / name)
    with hdf5.create(folder / "samples/translations.h5") as file:
        file.create_dataset("images", data=random.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8))
        file.create_dataset("again", data=random.integers(0, 256, (4, 3, 3, 32, 32), dtype=np.uint8))
        truths = torch.from_numpy(random.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8))
        score.write_json(folder / "metrics/translations.json", translation_scores(file, truths))
    near, texts = (torch.from_numpy(random.normal(size=(40, 16)).astype(np.float32)) for _ in range(2))
    found = retrieval_accuracy(near, torch.arange(40), texts, torch.arange(40)[:, None], seed=1)
    score.write_json(folder / "metrics/retrieval.json", {"retrieval_accuracy": found})
    accuracy = score.score_classifier(folder / "models/digit_features", data, evaluation)
    score.write_json(folder / "metrics/digit_features.json", accuracy)
    files = [
        data,
        *(folder / f"{name}.h5" for name in ("faces", "captions", "edges", "ring")),
        *(
            path
            for name in ("models", "references", "samples", "metrics", "scores")
            for path in sorted((folder / name).rglob("*"))
        ),
    ]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()
    }


if __name__ == "__main__":
    gc.set_threshold(200_000)  # looking for garbage among all that is imported takes long under emulation
    pin_instruction_set(COMPUTE)
    print(json.dumps(digests(Path(sys.argv[1])), indent=1))
