"""From a model back to everything that made it: version, run, commit, stages, parameters, code, data, environment."""

import json
import re
import shlex
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprogan.blocks import parse_yaml
from reprogan.config import Parameters
from reprogan.errors import UserError
from reprogan.tracking import provenance
from reprogan.tracking import run as runs
from reprogan.tracking.fetch import find_version
from reprogan.tracking.provenance import COMMIT, DIRTY, LOCK_FILE, LockedStage
from reprogan.tracking.store import Tracking, connect, expect_store

if TYPE_CHECKING:
    from mlflow.entities import Run

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_CODE = ("src/", "stages/", "requirements")


@dataclass(frozen=True)
class Link:
    """One stage of the chain, as dvc.lock has it; md5 by path, what another stage of the chain made left to that."""

    stage: str
    command: str
    params: dict[str, Any]
    code: dict[str, str]
    data: dict[str, str]
    outs: dict[str, str]


@dataclass(frozen=True)
class Lineage:
    """The chain of what was asked for, its oldest stage first.

    `lock` says where the chain is read from; `commit` is None while no clean commit is known to hold the model.
    `version` and `run` are empty for what MLflow was not asked of, or does not hold.
    """

    asked: str
    version: dict[str, Any]
    run: dict[str, Any]
    sha256: str | None
    commit: str | None
    lock: str
    stages: list[Link]
    environment: dict[str, str]
    commands: list[str]

    def as_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=2)


def lineage(params: Parameters, root: Path, tracking_root: Path, asked: str) -> Lineage:
    """The lineage of `asked` in the repository `root`, whose runs are kept for `tracking_root`.

    `asked` is a model of MLflow (models:/NAME@ALIAS or models:/NAME/VERSION), a run's id, a file of weights, a variant
    or a stage. Raises UserError for what is none of these or leads nowhere, TrackingFailed if MLflow fails.
    """
    if asked.startswith("models:") or _RUN_ID.fullmatch(asked):
        expect_store(tracking_root)
        with connect(tracking_root) as tracking:
            return _of_mlflow(tracking, root, asked)
    if (root / asked).is_file():
        return _of_file(root, tracking_root, asked)
    stage = f"train@{asked}" if asked in params.variants else asked
    stages = provenance.locked_stages(root)
    if stage not in stages:
        raise UserError(
            f"{asked}: no stage in {LOCK_FILE}, no variant, no file; expected one of these, a run's id or models:/NAME@"
            f"ALIAS; stages are {', '.join(sorted(stages)[:6]) or 'none'}, …"
        )
    return _of_stage(root, asked, stage, stages)


def _of_mlflow(tracking: Tracking, root: Path, asked: str) -> Lineage:
    version: dict[str, Any] = {}
    run_id = asked
    if asked.startswith("models:"):
        found = find_version(tracking, asked)
        run_id = str(found.run_id)
        aliases = tracking.client.get_registered_model(found.name).aliases  # a version that was searched for has none
        version = {
            "name": found.name,
            "version": int(found.version),
            "aliases": sorted(alias for alias, number in aliases.items() if int(number) == int(found.version)),
            "source": found.source,
        }
    run = _run(tracking, run_id)
    tags = run.data.tags
    stage, sha256 = tags.get("dvc.stage"), tags.get(runs.SHA256)
    if stage is None:
        raise UserError(f"{asked}: run {run_id} names no stage; expected a run that was published; `reprogan publish`")
    where, stages = _lock_of(tracking, root, run, stage)
    shown = {"id": run_id, "name": run.info.run_name, "status": run.info.status}
    environment = runs.environment_of(run)
    commit = tags.get(COMMIT) if tags.get(DIRTY) == "false" else None
    return _finish(asked, version, shown, sha256, commit, where, stages, stage, environment)


def _run(tracking: Tracking, run_id: str) -> "Run":
    from mlflow.exceptions import MlflowException

    try:
        return tracking.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(f"{run_id}: no such run in MLflow; expected one that its pages show") from None


def _lock_of(tracking: Tracking, root: Path, run: "Run", stage: str) -> tuple[str, dict[str, LockedStage]]:
    """The dvc.lock that holds a run's model, and where it was found: at its commit, here, or kept with the run."""
    tags, out = run.data.tags, run.data.tags.get("dvc.out_md5")
    tried = []
    if tags.get(DIRTY) == "false" and (text := provenance.file_at(root, tags[COMMIT], LOCK_FILE)):
        tried.append((f"{LOCK_FILE} at commit {tags[COMMIT]}", provenance.parse_lock(parse_yaml(text, LOCK_FILE))))
    tried.append((f"{LOCK_FILE} of the workspace", provenance.locked_stages(root)))
    for where, stages in tried:
        if stage in stages and out is not None and out in stages[stage].outs.values():
            return where, stages
    with tempfile.TemporaryDirectory() as folder:
        kept = {info.path for info in tracking.client.list_artifacts(run.info.run_id, "pipeline")}
        if f"pipeline/{LOCK_FILE}" in kept:
            path = tracking.client.download_artifacts(run.info.run_id, f"pipeline/{LOCK_FILE}", folder)
            stages = provenance.parse_lock(parse_yaml(Path(path).read_text(encoding="utf-8"), LOCK_FILE))
            if stage in stages:
                return f"{LOCK_FILE} kept with run {run.info.run_id}", stages
    raise UserError(
        f"run {run.info.run_id}: no {LOCK_FILE} holds its model: not its commit's, not this one, none kept with it; "
        "`reprogan publish` after `dvc repro` adds it"
    )


def _of_file(root: Path, tracking_root: Path, asked: str) -> Lineage:
    """The lineage of a file of weights: by dvc.lock if it lies where that says and is that, else by its sha256."""
    path = (root / asked).resolve()
    stages = provenance.locked_stages(root)
    for name, stage in stages.items():
        for out, md5 in stage.outs.items():
            if path.is_relative_to((root / out).resolve()) and provenance.md5(root / out) == md5:
                found = _of_stage(root, asked, name, stages)
                return replace(found, sha256=provenance.sha256(path))
    digest = provenance.sha256(path)
    expect_store(tracking_root)
    with connect(tracking_root) as tracking:
        held = runs.search(tracking, {runs.SHA256: digest, runs.KIND: runs.MODEL})
        if not held:
            raise UserError(
                f"{asked}: {LOCK_FILE} does not name it, and MLflow knows no weights of sha256 {digest[:12]}; expected "
                "the main weights of a model that was published"
            )
        found = _of_mlflow(tracking, root, held[0].info.run_id)
    return replace(found, asked=asked)


def _of_stage(root: Path, asked: str, stage: str, stages: dict[str, LockedStage]) -> Lineage:
    """The lineage of a stage of the workspace."""
    commit = provenance.git_commit(root)
    clean = commit.get(COMMIT) if commit.get(DIRTY) == "false" else None
    return _finish(asked, {}, {}, None, clean, f"{LOCK_FILE} of the workspace", stages, stage, {})


def _finish(
    asked: str,
    version: dict[str, Any],
    run: dict[str, Any],
    sha256: str | None,
    commit: str | None,
    where: str,
    stages: dict[str, LockedStage],
    stage: str,
    environment: dict[str, str],
) -> Lineage:
    at = [f"git checkout {commit}"] if commit else ["# no clean commit is known: commit dvc.lock and publish again"]
    again = [*at, f"dvc repro {shlex.quote(stage)}", f"reprogan verify {shlex.quote(stage)}"]
    return Lineage(asked, version, run, sha256, commit, where, chain(stages, stage), environment, again)


def chain(stages: dict[str, LockedStage], last: str) -> list[Link]:
    """The stages that `last` was made by, each after those that it needs, and `last` itself."""
    made_by = {out: name for name, stage in stages.items() for out in stage.outs}
    found: dict[str, Link] = {}

    def visit(name: str) -> None:
        stage = stages[name]
        code, data = {}, {}
        for path, md5 in stage.deps.items():
            maker = made_by.get(path)
            if maker is not None:
                if maker not in found and maker != name:
                    visit(maker)
            elif path.startswith(_CODE):
                code[path] = md5
            else:
                data[path] = md5
        found[name] = Link(name, stage.command, stage.params, code, data, stage.outs)

    visit(last)
    return list(found.values())
