"""The closing table of `make repro`: what came out, how fast, where to look."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprogan.config import Parameters


@dataclass(frozen=True)
class Row:
    """One variant's line; a value that is not there is an empty string."""

    variant: str
    data: str
    images_seen: str
    scores: str
    speed: str


def rows(params: Parameters, root: Path) -> list[Row]:
    """A row a variant, from `models/`, `metrics/` and, for images/s, what the last training here left behind."""
    return [_row(name, root) for name in params.variants]


def _row(name: str, root: Path) -> Row:
    metrics = _json(root / "metrics" / f"{name}.json")
    model = _json(root / "models" / name / "model.json")
    done = _json(root / ".reprogan/live" / name / "done.json")
    return Row(
        variant=name,
        data=str(model.get("data", "")),
        images_seen=f"{model['images_seen']:,}" if model else "not trained",
        scores=_scores(metrics),
        speed=f"{done['images_per_second']:,.0f}" if done and _made_here(root / "models" / name, done) else "",
    )


def _scores(metrics: dict[str, Any]) -> str:
    if "accuracy" in metrics:
        return f"accuracy {100 * metrics['accuracy']:.2f} %"
    parts = []
    if "modes_covered" in metrics:
        parts.append(f"{metrics['modes_covered']} of {metrics['modes']} modes, reverse KL {metrics['reverse_kl']:.2g}")
    if "frechet_distance" in metrics:
        parts.append(f"Fréchet {metrics['frechet_distance']:.3g} (floor {metrics['frechet_floor']:.2g})")
    if "inception_score" in metrics:
        parts.append(f"inception {metrics['inception_score']:.2f} (real {metrics['inception_score_real']:.2f})")
        parts.append(f"class entropy {metrics['class_entropy']:.2f} of {metrics['class_entropy_max']:.2f}")
    if "attribute_distance" in metrics:
        floor = metrics["attribute_distance_floor"]
        parts.append(f"attributes {100 * metrics['attribute_distance']:.0f} % apart (floor {100 * floor:.0f})")
    if "l1" in metrics:
        parts.append(f"L1 {metrics['l1']:.3f}, PSNR {metrics['psnr']:.1f} dB, SSIM {metrics['ssim']:.2f}")
    if "retrieval_accuracy" in metrics:
        among = f"{100 * metrics['retrieval_accuracy']:.1f} % of captions found among {metrics['retrieval_among']}"
        parts.append(among)
    if "named_accuracy" in metrics:
        chance = 100 * metrics["named_accuracy_chance"]
        parts.append(f"{100 * metrics['named_accuracy']:.0f} % of what they name (chance {chance:.0f})")
    if "conditional_accuracy" in metrics:
        parts.append(f"{100 * metrics['conditional_accuracy']:.1f} % of the class asked for")
    if "high_quality_share" in metrics:
        parts.append(f"{100 * metrics['high_quality_share']:.1f} % near a centre")
    if "negative_elbo" in metrics:
        parts.append(f"negative ELBO {metrics['negative_elbo']:.1f}")
    elif "reconstruction_error" in metrics:
        parts.append(f"reconstruction error {metrics['reconstruction_error']:.2g}")
    return ", ".join(parts) or "not evaluated"


def _made_here(model: Path, done: dict[str, Any]) -> bool:
    """Whether the model that is here is the one whose training took the time noted."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in model.glob("*.safetensors")]
    return done["model_sha256"] in digests


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
