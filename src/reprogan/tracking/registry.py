"""Models in MLflow: the weights logged once, and one version of `reprogan-<variant>` for each sha256."""

import importlib.metadata
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.config import ENCODERS, Compute
from reprogan.tracking.curves import Point, log_points
from reprogan.tracking.decisions import Decision, commit_of, last_change
from reprogan.tracking.decisions import Model as Decided
from reprogan.tracking.run import SHA256, VARIANT
from reprogan.tracking.store import Tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from reprogan.models.trained import Description

CHALLENGER = "challenger"  # the newest version
_SINCE = "promotion.champion_since"  # tag of a version: the time of the decision that made it champion
CHAMPION = "champion"  # the one that promotions.jsonl says

OWN_FILES = "artifacts"  # below MLflow's folder for a model: where it puts the files that belong to it
_SERVED_FILE = Path(__file__).with_name("served_model.py")
_PACKAGE = Path(__file__).parents[1]
_SERVING_PACKAGES = ("mlflow", "numpy", "pillow", "pydantic", "PyYAML", "safetensors", "torch")
_PIN_FILES = ("requirements-compute.txt", "requirements.txt")
_LINKED_VERSIONS = "mlflow.modelVersions"  # the tag by which MLflow's pages lead from a logged model to its versions


def registered_name(variant: str) -> str:
    """The name of a variant's registered model."""
    return f"reprogan-{variant}"


def ensure_logged_model(
    tracking: Tracking, run: "Run", folder: Path, description: "Description", sha256: str, compute: Compute, root: Path
) -> tuple["LoggedModel", bool]:
    """The logged model of these weights with its files in place, and whether anything had to be added.

    It is found by its sha256; its files are uploaded if an upload was cut short or they are gone from the store.
    """
    from mlflow.entities import LoggedModelOutput

    client = tracking.client
    found = client.search_logged_models(
        [tracking.experiment_id],
        filter_string=f"tags.`{SHA256}` = '{sha256}' AND tags.`{VARIANT}` = '{description.variant}'",
    )
    model = found[0] if found else None
    changed = False
    if model is None:
        model = client.create_logged_model(
            tracking.experiment_id,
            name=description.variant,
            source_run_id=run.info.run_id,
            tags={SHA256: sha256, VARIANT: description.variant},
            params={"system": description.system, "architecture": description.architecture},
            model_type=description.system,
        )
    if str(model.status) != "READY" or not _has_files(tracking, model.model_id, folder):
        with tempfile.TemporaryDirectory() as temporary:
            served = Path(temporary) / "model"
            _save_served(served, folder, description, compute, root, run.info.run_id, model.model_id)
            client.log_model_artifacts(model.model_id, str(served))
        model = client.finalize_logged_model(model.model_id, "READY")
        changed = True
    if model.model_id not in {output.model_id for output in (run.outputs.model_outputs if run.outputs else [])}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=description.images_seen)])
        changed = True
    return model, changed


def link_scores(tracking: Tracking, run: "Run", model: "LoggedModel", scores: list[Point]) -> bool:
    """Show a run's `scores` with the logged model too; True if they were not there yet."""
    held = {(metric.key, metric.value) for metric in model.metrics or []}
    new = [score for score in scores if (score.key, score.value) not in held]
    if model.source_run_id != run.info.run_id or not new:
        return False  # scored again in a later run: the model keeps the scores of its own
    log_points(tracking.client, run.info.run_id, new, model.model_id)
    return True


def ensure_version(
    tracking: Tracking, run: "Run", model: "LoggedModel", variant: str, sha256: str, newest: bool = True
) -> tuple["ModelVersion", bool]:
    """The registered version of these weights, and whether it had to be made.

    One that is `newest` gets the alias `challenger`, another only where none has it.
    """
    from mlflow.exceptions import MlflowException

    client, name, source = tracking.client, registered_name(variant), f"models:/{model.model_id}"
    try:
        client.create_registered_model(
            name, description=f"Variant `{variant}` of ReproGAN; a version for each weights' sha256."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))
    version = next((held for held in versions if held.tags.get(SHA256) == sha256 and held.source == source), None)
    if version is not None:
        if version is versions[-1] and CHALLENGER not in _aliases(client, name):  # stopped before it was set
            client.set_registered_model_alias(name, CHALLENGER, version.version)
        return version, False
    version = client.create_model_version(
        name, source, run.info.run_id, tags={SHA256: sha256}, model_id=model.model_id, await_creation_for=0
    )
    if newest or CHALLENGER not in _aliases(client, name):
        client.set_registered_model_alias(name, CHALLENGER, version.version)
    linked = [*json.loads(model.tags.get(_LINKED_VERSIONS, "[]")), {"name": name, "version": int(version.version)}]
    client.set_logged_model_tags(model.model_id, {_LINKED_VERSIONS: json.dumps(linked)})
    return version, True


def ensure_version_says(client: "MlflowClient", version: "ModelVersion", card: str, tags: dict[str, str]) -> bool:
    """Give a version its card and tags; True if it had others."""
    new = {key: value for key, value in tags.items() if version.tags.get(key) != value}
    for key, value in new.items():
        client.set_model_version_tag(version.name, version.version, key, value)
    if version.description != card:
        client.update_model_version(version.name, version.version, card)
        return True
    return bool(new)


def version_of(client: "MlflowClient", variant: str, sha256: str) -> "ModelVersion | None":
    """The newest version of a variant that has these weights; None if none has."""
    found = client.search_model_versions(f"name = '{registered_name(variant)}'")
    held = [version for version in found if version.tags.get(SHA256) == sha256]
    return max(held, key=lambda version: int(version.version), default=None)


def crown(client: "MlflowClient", version: "ModelVersion", decision: Decision) -> None:
    """Move the alias `champion` to a version, as a decision says; the tag comes last, and shows that it was done."""
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    client.set_model_version_tag(version.name, version.version, _SINCE, decision.time)


def ensure_champion(tracking: Tracking, variant: str, decisions: Sequence[Decision], root: Path) -> bool:
    """Bring the alias `champion` to where the decisions have it; True if it had to be.

    That is where it is gone, as after a store was lost, or where deciding was cut short. An alias that was moved since,
    by hand in MLflow's pages, stays.
    """
    decision = last_change(decisions, variant)
    if decision is None:
        return False
    is_set = CHAMPION in _aliases(tracking.client, registered_name(variant))
    version = version_of(tracking.client, variant, decision.model.sha256)
    if version is None:
        if not is_set:
            remedy = way_back(root, decision.model, variant)
            print(f"reprogan: {variant}: its champion, {decision.model}, is not in MLflow; {remedy}", file=sys.stderr)
        return False
    if is_set and version.tags.get(_SINCE) == decision.time:
        return False
    crown(tracking.client, version, decision)
    return True


def way_back(root: Path, model: Decided, variant: str) -> str:
    """What brings a version that MLflow does not have back to it, in words."""
    commit = commit_of(root, model)
    if commit is None:
        return f"check out the commit that made it, then run `reprogan publish {variant}`"
    return f"`reprogan publish --revision {commit} {variant}` brings it back"


def _aliases(client: "MlflowClient", name: str) -> dict[str, str]:
    """{alias: version} of a registered model."""
    found: dict[str, str] = client.get_registered_model(name).aliases
    return found


def serving_requirements(root: Path) -> list[str]:
    """Exact pins of what a served model imports, from the repository's own pins, else from what is installed here."""
    pins: dict[str, str] = {}
    for path in (root / name for name in _PIN_FILES):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            if match := re.match(r"([\w.-]+)\s*==\s*([^\s;#\\]+)", line):
                pins.setdefault(_canonical(match[1]), match[2])
    return [
        f"{package}=={pins.get(_canonical(package)) or importlib.metadata.version(package)}"
        for package in _SERVING_PACKAGES
    ]


def _has_files(tracking: Tracking, model_id: str, folder: Path) -> bool:
    """Whether MLflow's folder for a logged model is there and has in it the files of the model in `folder`, whole."""
    listed = tracking.client.list_logged_model_artifacts(model_id)
    if not any(info.path.endswith("MLmodel") for info in listed):
        return False
    own = tracking.client.list_logged_model_artifacts(model_id, f"{OWN_FILES}/{folder.name}")
    held = {Path(info.path).name: info.file_size for info in own}
    return all(held.get(path.name) == path.stat().st_size for path in folder.iterdir() if path.is_file())


def _save_served(
    target: Path, folder: Path, description: "Description", compute: Compute, root: Path, run_id: str, model_id: str
) -> None:
    """Write MLflow's folder for the model in `folder`: its files, the code that runs it, pins, signature."""
    import mlflow
    from mlflow.models import Model

    signature, example = _signature(description)
    own = target.parent / "own" / folder.name  # without the models of further training seeds
    shutil.copytree(folder, own, ignore=shutil.ignore_patterns("seeds"))
    mlflow.pyfunc.save_model(
        target,
        python_model=str(_SERVED_FILE),
        artifacts={"model": str(own)},
        code_paths=[str(_PACKAGE)],
        signature=signature,
        input_example=example,
        pip_requirements=serving_requirements(root),
        model_config={"compute": compute.model_dump()},
        mlflow_model=Model(run_id=run_id, model_uuid=model_id, model_id=model_id),
    )
    for cache in list(target.rglob("__pycache__")):
        shutil.rmtree(cache)


def _signature(description: "Description") -> tuple["ModelSignature", Any]:
    """What goes in and comes out, and an example of it."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    points = description.image_shape == (2, 1, 1)
    images = Schema([TensorSpec(np.dtype("float32" if points else "uint8"), (-1, *description.image_shape))])
    drawn = images
    if description.architecture == "stackgan" and description.network["stage"] == 1:  # of a side of its own
        drawn = Schema([TensorSpec(np.dtype("uint8"), (-1, description.image_shape[0], -1, -1))])
    if description.source_channels:
        shape = (description.source_channels, *description.image_shape[1:])
        sources = Schema([TensorSpec(np.dtype("uint8"), (-1, *shape))])
        seed = ParamSchema([ParamSpec("seed", "long", 1), ParamSpec("format", "string", "array")])
        return ModelSignature(sources, images, seed), np.zeros((1, *shape), np.uint8)
    if description.system == "contrastive":
        features = Schema([TensorSpec(np.dtype("float32"), (-1, description.network["features"]))])
        return ModelSignature(images, features), np.zeros((1, *description.image_shape), np.uint8)
    if description.system == "autoencoder" or (description.system == "features" and not description.classes):
        return ModelSignature(images, images), np.zeros((1, *description.image_shape), np.uint8)
    if description.system in ENCODERS:
        probabilities = Schema([TensorSpec(np.dtype("float32"), (-1, len(description.classes)))])
        return ModelSignature(images, probabilities), np.zeros((1, *description.image_shape), np.uint8)
    example: dict[str, Any] = {"seed": 1, "count": 4}
    params = [ParamSpec("seed", "long", 1), ParamSpec("count", "long", 1), ParamSpec("format", "string", "array")]
    if description.vocabulary:
        params.append(ParamSpec("text", "string", ""))
        example["text"] = " ".join(description.vocabulary[:4])
    else:
        params.append(ParamSpec("label", "long", -1))
    return ModelSignature(None, drawn, ParamSchema(params)), ([0], example)  # the input itself plays no part


def _canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
