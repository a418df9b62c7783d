"""Variants trained again from other seeds and scored as `evaluate` scores them: how far a score is luck.

Beside the pipeline, not in it: nothing here touches `models/`, `samples/` or `scores/`. What is done is kept in
`.reprogan/seeds/`, so a second call with the same parameters, data, extractor and code goes on where the first stopped.
"""

import hashlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reprogan.atomic import write_atomically
from reprogan.config import NO_UPSTREAM, Parameters, Variant
from reprogan.errors import UserError

_KEPT = Path(".reprogan/seeds")


@dataclass(frozen=True)
class Outcome:
    """One training from one seed, and its scores as in `scores/<variant>/scores.json`."""

    seed: int
    images_seen: int
    metrics: dict[str, Any]


def outcomes(params: Parameters, root: Path, name: str, seeds: Iterable[int]) -> list[Outcome]:
    """Train and score one variant from each of `seeds`, or read what an earlier call like this one made.

    Raises UserError where the data or the extractor is not there, and as training and scoring do.
    """
    variant = params.variant(name)
    needed = [root / "data/processed" / f"{variant.data}.h5", root / variant.reference]
    if variant.extractor != name:
        needed.append(root / "models" / variant.extractor / "model.json")
    if variant.upstream.model != NO_UPSTREAM:
        needed.append(root / variant.upstream.model / "model.json")
    for file in needed:
        if not file.is_file():
            raise UserError(f"{file.relative_to(root)}: not there; run `dvc repro` first")
    return [_outcome(params, root, name, seed) for seed in seeds]


def _outcome(params: Parameters, root: Path, name: str, seed: int) -> Outcome:
    variant = params.variant(name)
    again = variant.from_seed(seed)
    kept = root / _KEPT / f"{name}-{_digest(params, root, name, again)}.json"
    if not kept.is_file():
        write_atomically(kept, json.dumps(_train_and_score(params, root, name, again)))
        print(f"{name}: seed {seed} done", file=sys.stderr, flush=True)
    return Outcome(seed, **json.loads(kept.read_text()))


def _train_and_score(params: Parameters, root: Path, name: str, variant: Variant) -> dict[str, Any]:
    from reprogan.evaluation.score import score_variant
    from reprogan.sampling.sample import sample_variant
    from reprogan.training.run import train_variant

    os.environ["REPROGAN_TRACKING"] = "off"
    data = root / "data/processed" / f"{variant.data}.h5"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = folder / "models" / name
        train_variant(name, variant, params.compute, data, folder / ".reprogan", model, upstream_root=root)
        sample_variant(model, data, variant.view, variant.sampling, 1, params.compute, folder / "samples" / name)
        # What `evaluate` reads beside the samples are this checkout's own data and extractor.
        (folder / "data").symlink_to(root.resolve() / "data")
        if variant.extractor != name:
            (folder / "models" / variant.extractor).symlink_to(root.resolve() / "models" / variant.extractor)
        images_seen = json.loads((model / "model.json").read_text())["images_seen"]
        return {"images_seen": images_seen, "metrics": score_variant(name, variant, params.evaluation, folder).scores}


def _digest(params: Parameters, root: Path, name: str, variant: Variant) -> str:
    """What an outcome depends on: parameters, data, other models, torch, and all code, whatever is loaded of it."""
    import torch

    from reprogan.models.trained import main_weights

    package = Path(__file__).parents[1]
    files = [*sorted(package.rglob("*.py")), root / "data/processed" / f"{variant.data}.h5", root / variant.reference]
    if variant.extractor != name:
        files.append(main_weights(root / "models" / variant.extractor))
    if variant.upstream.model != NO_UPSTREAM:
        files += sorted((root / variant.upstream.model).glob("*.safetensors"))
    digest = hashlib.sha256(torch.__version__.encode())
    for block in (variant, params.compute, params.evaluation):
        digest.update(block.model_dump_json().encode())
    for file in files:
        with open(file, "rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def as_json(found: dict[str, list[Outcome]]) -> str:
    """All outcomes with all their scores, by variant, as JSON."""
    return json.dumps({name: [asdict(outcome) for outcome in all_seeds] for name, all_seeds in found.items()}, indent=2)


def markdown(found: dict[str, list[Outcome]]) -> str:
    """A row a variant: mean ± standard deviation over the seeds, and the least even outcome of all.

    Columns in which nothing stands are left out.
    """
    rows = [_cells(name, all_seeds) for name, all_seeds in found.items()]
    shown = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    lines = [shown, ["---"] * len(shown), *([row[heading] for heading in shown] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(name: str, all_seeds: list[Outcome]) -> dict[str, str]:
    """{heading: what stands under it}"""
    metrics = [outcome.metrics for outcome in all_seeds]

    def spread(key: str, form: str, factor: float = 1.0, unit: str = "") -> str:
        if key not in metrics[0]:
            return ""
        values = [factor * scores[key] for scores in metrics]
        deviation = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
        return f"{statistics.mean(values):{form}}{deviation}{unit}"

    shares = [share for scores in metrics for share in scores.get("class_shares", {}).values()]
    distance, floor = spread("frechet_distance", ".1f"), metrics[0].get("floors", {}).get("frechet_distance")
    accuracy = spread("accuracy", ".2f", 100, " %")
    return {
        "variant": f"`{name}`",
        "seeds": ", ".join(str(outcome.seed) for outcome in all_seeds),
        "images seen": f"{all_seeds[0].images_seen:,}",
        "Fréchet distance (floor)": f"accuracy {accuracy}"
        if accuracy
        else f"{distance} ({floor:.1f})"
        if distance
        else "",
        "inception score": spread("inception_score", ".2f"),
        "class entropy, lowest": f"{min(scores['class_entropy'] for scores in metrics):.2f}"
        if "class_entropy" in metrics[0]
        else "",
        "smallest class": f"{100 * min(shares):.1f} %" if shares else "",
        "of the class asked for": spread("conditional_accuracy", ".1f", 100, " %"),
        "attributes apart": spread("attribute_distance", ".1f", 100, " %"),
        "caption found among ten": spread("retrieval_accuracy", ".1f", 100, " %"),
        "named attributes": spread("named_accuracy", ".1f", 100, " %"),
        "L1": spread("l1", ".3f"),
        "SSIM": spread("ssim", ".3f"),
        "modes": spread("modes_covered", ".0f") + (f" of {metrics[0]['modes']}" if "modes" in metrics[0] else ""),
        "reverse KL": spread("reverse_kl", ".2g"),
    }
