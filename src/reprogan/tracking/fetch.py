"""A model of MLflow by its URI: the folder with its description and weights, where it lies or downloaded."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from reprogan.errors import UserError
from reprogan.models.trained import DESCRIPTION, main_weights
from reprogan.tracking.provenance import sha256
from reprogan.tracking.registry import OWN_FILES
from reprogan.tracking.run import SHA256
from reprogan.tracking.store import Tracking, connect, expect_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_NAMED = 40  # models that a line names


@contextmanager
def fetched(root: Path, uri: str) -> Iterator[Path]:
    """The folder of the model that `uri` names in the tracking store of the repository `root`, until the block ends.

    `uri` is models:/NAME@ALIAS, models:/NAME/VERSION or models:/NAME/latest. Nothing of the model is run or unpickled.
    Raises UserError for a URI of another form, what the store does not hold and weights that are not those published,
    TrackingFailed if MLflow fails.
    """
    _parsed(uri)
    expect_store(root)
    with tempfile.TemporaryDirectory() as temporary:
        with connect(root) as tracking:
            version = find_version(tracking, uri)
            folder = _files(tracking, uri, version, Path(temporary))
        expected = version.tags.get(SHA256)
        if expected and (found := sha256(main_weights(folder))) != expected:
            raise UserError(
                f"{uri}: {folder}: weights of sha256 {found}; expected {expected}, those that were published"
            )
        yield folder


def find_version(tracking: Tracking, uri: str) -> "ModelVersion":
    """The version that `uri` names, as for `fetched`. Raises UserError where there is no such model or version."""
    return _version(tracking, uri, *_parsed(uri))


def _parsed(uri: str) -> tuple[str, str | None, str | None]:
    """Name, alias and number."""
    named = re.fullmatch(r"models:/([^/@\n]+)(?:@([^/@\n]+)|/([0-9]{1,9}|latest))", uri)
    if named is None:
        raise UserError(f"{uri!r}: expected models:/NAME@ALIAS or models:/NAME/VERSION, as models:/reprogan-dcgan/1")
    return named[1], named[2], named[3]


def _version(tracking: Tracking, uri: str, name: str, alias: str | None, number: str | None) -> "ModelVersion":
    registered = _registered(tracking, uri, name)
    versions = {int(version.version): version for version in tracking.client.search_model_versions(f"name = '{name}'")}
    numbers = ", ".join(map(str, sorted(versions))) or "none"
    if alias is not None:
        aliases = {key: int(value) for key, value in registered.aliases.items()}
        if alias not in aliases:
            known = ", ".join(f"{key} (version {value})" for key, value in sorted(aliases.items())) or "none"
            raise UserError(f"{uri}: no alias {alias!r}; expected one of {known}; the versions are {numbers}")
        return versions[aliases[alias]]
    wanted = max(versions, default=0) if number == "latest" else int(number or 0)
    if wanted not in versions:
        raise UserError(f"{uri}: no version {number}; expected one of {numbers}")
    return versions[wanted]


def _registered(tracking: Tracking, uri: str, name: str) -> "RegisteredModel":
    from mlflow.exceptions import MlflowException

    try:
        return tracking.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    known = sorted(model.name for model in tracking.client.search_registered_models(max_results=_NAMED))
    raise UserError(
        f"{uri}: no model {name!r}; expected one of {', '.join(known) or 'none'}; `reprogan publish` adds what was made"
    )


def _files(tracking: Tracking, uri: str, version: "ModelVersion", temporary: Path) -> Path:
    """The folder of `model.json`: `OWN_FILES` of the version's own files holds it (see `registry`)."""
    location = tracking.client.get_model_version_download_uri(version.name, version.version)
    parsed = urlparse(location)
    if parsed.scheme in ("", "file"):
        artifacts = Path(url2pathname(parsed.path)) / OWN_FILES
    else:
        import mlflow

        artifacts = Path(
            mlflow.artifacts.download_artifacts(
                f"{location}/{OWN_FILES}", dst_path=str(temporary), tracking_uri=tracking.uri
            )
        )
    found = sorted(artifacts.glob(f"*/{DESCRIPTION}"))
    if not found:
        raise UserError(
            f"{uri}: no */{DESCRIPTION} in {artifacts}; expected a model of ours; `reprogan publish` puts back what is "
            "gone"
        )
    return found[0].parent
