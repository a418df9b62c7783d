"""The run of the pipeline as a whole: parent of the runs that it made, and a table of all that it holds."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reprogan.config import Parameters
from reprogan.report.scores import shown
from reprogan.tracking import provenance
from reprogan.tracking import run as runs
from reprogan.tracking.curves import Point
from reprogan.tracking.made import Made
from reprogan.tracking.store import Tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

STATE = "reprogan.state"
"""The tag that names a state of the pipeline: sha256 of all its models and scores."""
_LONGEST = 7900  # characters: MLflow takes 8,000 of a tag
_HELD = "reprogan.holds"  # {variant: [run, version]} as JSON


def ensure_pipeline_run(
    tracking: Tracking, params: Parameters, root: Path, made: Mapping[str, Made], commit: dict[str, str]
) -> "Run":
    """The run of what `root` holds now, with its files and headline scores; it is found by the hash of these."""
    client = tracking.client
    holds = {name: [one.sha256, one.scores_sha256] for name, one in sorted(made.items())}
    state = hashlib.sha256(json.dumps(holds).encode()).hexdigest()
    run, _ = runs.search_or_restore(tracking, {STATE: state, runs.KIND: runs.PIPELINE})
    tags = {STATE: state, runs.KIND: runs.PIPELINE, "profile": params.profile, "mlflow.source.name": "dvc repro"}
    if run is None:
        run = runs.create(tracking, f"pipeline {state[:8]}", tags)
    tags |= provenance.commit_tags(commit, run.data.tags, _is_locked(root, made))
    flat = runs.flatten(
        {
            "profile": params.profile,
            "compute": params.compute.model_dump(mode="json"),
            "launch": params.launch.model_dump(mode="json"),
            "evaluation": params.evaluation.model_dump(mode="json"),
            "variants": len(made),
        }
    )
    runs.add(client, run, flat, tags)
    runs.add_points(client, run, [point for one in made.values() for point in _headlines(one)])
    files = {name: root / name for name in provenance.PIPELINE_FILES}
    runs.add_artifacts(client, run, {name: path for name, path in files.items() if path.is_file()})
    runs.finish(client, run, f"pipeline {state[:8]}")
    return run


def note_children(tracking: Tracking, parent: "Run", published: Mapping[str, tuple[str, str]]) -> None:
    """Write into the parent's description where each variant is: {variant: (run id, version)}, added to those known."""
    holds = json.loads(parent.data.tags.get(_HELD, "{}")) | {name: list(where) for name, where in published.items()}
    rows = ["| variant | run | version |", "|---|---|---|"]
    for name, (run_id, version) in sorted(holds.items()):
        link = f"#/experiments/{tracking.experiment_id}/runs/{run_id}"
        rows.append(f"| {name} | [{run_id[:8]}]({link}) | {version} |")
    while len(note := "\n".join(rows)) > _LONGEST:
        rows.pop()
    tags = {_HELD: json.dumps(holds), "mlflow.note.content": note}
    runs.add(tracking.client, parent, {}, tags)


def _headlines(made: Made) -> list[Point]:
    scores = json.loads(made.scores.read_text(encoding="utf-8"))
    step = made.description.images_seen
    return [Point(f"{made.variant}/{score.key}", float(scores[score.key]), step) for score in shown(scores)]


def _is_locked(root: Path, made: Mapping[str, Made]) -> bool:
    """Whether dvc.lock names all of the models."""
    lock = provenance.locked_stages(root)
    outs = {path: md5 for stage in lock.values() for path, md5 in stage.outs.items()}
    return all(outs.get(f"models/{name}") == provenance.md5(one.model) for name, one in made.items())
