"""What the pipeline made of one variant, read from its files: what publishing shows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.config import Parameters
from reprogan.tracking.provenance import sha256

if TYPE_CHECKING:
    from reprogan.models.trained import Description


@dataclass(frozen=True)
class Made:
    """One variant's files, what names them, and what its training said of itself.

    `told_classes` is how many classes the generator can be asked for. `live` is what training left in the scratch
    folder of the machine it ran on: how long it took and its environment; None where another, or none, ran here.
    """

    variant: str
    description: "Description"
    told_classes: int
    model: Path
    samples: Path
    scores: Path
    data: Path
    sha256: str
    scores_sha256: str
    live: dict[str, Any] | None
    seeds: dict[int, Path]
    """{training seed: folder} of the models that were trained for the spread of the scores alone."""


def missing(root: Path, name: str) -> str:
    """The first of a variant's outputs that is not there ("" if all are)."""
    wanted = (f"models/{name}/model.json", f"samples/{name}/grid.png", f"scores/{name}/scores.json")
    return next((path for path in wanted if not (root / path).is_file()), "")


def read_made(params: Parameters, root: Path, name: str, scratch: Path) -> Made:
    """What was made of a variant of the repository `root`, whose scratch folder is `scratch`.

    Raises UserError for a model that is damaged: it is refused, not registered.
    """
    from reprogan.models.latents import classes_of
    from reprogan.models.trained import load, main_weights

    model, scores = root / "models" / name, root / "scores" / name / "scores.json"
    digest, trained = sha256(main_weights(model)), load(model)
    return Made(
        variant=name,
        description=trained.description,
        told_classes=max(map(classes_of, trained.networks.values())),
        model=model,
        samples=root / "samples" / name,
        scores=scores,
        data=root / "data/processed" / f"{params.variant(name).data}.h5",
        sha256=digest,
        scores_sha256=sha256(scores),
        live=_live(scratch / "live" / name, digest),
        seeds={
            seed: model / folder
            for seed, folder in params.variant(name).seed_folders().items()
            if folder and (model / folder / "model.json").is_file()
        },
    )


def _live(folder: Path, digest: str) -> dict[str, Any] | None:
    """What the training of these weights left in its live folder; None if it was another or there is nothing."""
    try:
        done: dict[str, Any] = json.loads((folder / "done.json").read_text(encoding="utf-8"))
        begun: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        done |= {"fingerprint": begun["fingerprint"], "began": (folder / "run.json").stat().st_mtime}
        done |= {key: begun[key] for key in ("environment", "packages") if key in begun}
    except (OSError, ValueError, KeyError):
        return None
    return done if done.get("model_sha256") == digest else None
