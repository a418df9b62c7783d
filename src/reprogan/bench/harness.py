"""Both sides of each comparison in turn, medians and spread, as JSON and a Markdown table."""

import json
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from reprogan.config import Parameters
from reprogan.errors import UserError

_IMAGES = {  # a measurement; ours should take several seconds
    "fully_connected": 192_000,
    "cgan": 96_000,
    "autoencoder": 96_000,
    "multilayer": 400_000,
    "cnn_classifier": 48_000,
    "dcgan64": 3_200,
    "r3gan": 6_400,
}
_DEFAULT_IMAGES = 12_800


@dataclass(frozen=True)
class Comparison:
    """Ours against the plain loop for one variant: medians of the rounds, and the ratio of each round."""

    variant: str
    isa: str
    batch_size: int
    ours: float  # images/s
    plain: float  # images/s
    ratio: float
    ratios: list[float]
    ours_mib: float
    plain_mib: float


def run_benchmarks(
    params: Parameters, root: Path, variants: tuple[str, ...], images: int | None, rounds: int, isas: tuple[str, ...]
) -> list[Comparison]:
    """Time every variant (or those named) at each of `isas`, ours and plain in turn, `rounds` times.

    Raises UserError if the data is not prepared yet.
    """
    for data in sorted({params.variant(name).data for name in variants or params.variants}):
        if not (root / f"data/processed/{data}.h5").is_file():
            raise UserError(f"data/processed/{data}.h5: not there; run `dvc repro prepare_{data}` first")
    results = []
    for isa in isas:
        for name in variants or tuple(params.variants):
            variant = params.variant(name)
            count = images or _IMAGES.get(variant.architecture, _DEFAULT_IMAGES)
            pairs = [(_measure("ours", name, isa, count), _measure("plain", name, isa, count)) for _ in range(rounds)]
            results.append(_comparison(name, isa, variant.training.batch_size, pairs))
            print(_row(results[-1]), file=sys.stderr, flush=True)
    return results


def markdown(results: list[Comparison], params: Parameters, command: str) -> str:
    """The results as a table with what made them: commit, machine, torch version, command."""
    import torch

    from reprogan.training.device import cpu_name

    head = (
        f"`{command}` at commit {_commit()}, {cpu_name()}, {params.compute.threads} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}; medians of {len(results[0].ratios)} rounds, "
        "the ratio's range over the rounds in brackets.\n\n"
        "| variant | isa | batch | ours, images/s | plain loop, images/s | ratio | peak memory, ours / plain |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(_row(result) for result in results) + "\n"


def as_json(results: list[Comparison]) -> str:
    """The results as JSON."""
    return json.dumps([asdict(result) for result in results], indent=2)


def _measure(side: str, variant: str, isa: str, images: int) -> dict[str, float]:
    command = [sys.executable, "-m", "reprogan.bench.side", side, variant, isa, str(images)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise UserError(f"bench: {side} {variant} {isa} failed: {run.stderr.strip().splitlines()[-1]}")
    return json.loads(run.stdout.splitlines()[-1])


def _comparison(
    variant: str, isa: str, batch_size: int, pairs: list[tuple[dict[str, float], dict[str, float]]]
) -> Comparison:
    def middle(side: int, key: str) -> float:
        return statistics.median(pair[side][key] for pair in pairs)

    ratios = [ours["images_per_second"] / plain["images_per_second"] for ours, plain in pairs]
    return Comparison(
        variant=variant,
        isa=isa,
        batch_size=batch_size,
        ours=middle(0, "images_per_second"),
        plain=middle(1, "images_per_second"),
        ratio=statistics.median(ratios),
        ratios=ratios,
        ours_mib=middle(0, "peak_mib"),
        plain_mib=middle(1, "peak_mib"),
    )


def _row(result: Comparison) -> str:
    return (
        f"| {result.variant} | {result.isa} | {result.batch_size} | {result.ours:,.0f} | {result.plain:,.0f} "
        f"| {result.ratio:.2f} ({min(result.ratios):.2f}–{max(result.ratios):.2f}) "
        f"| {result.ours_mib:.0f} / {result.plain_mib:.0f} MiB |"
    )


def _commit() -> str:
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return run.stdout.strip() or "unknown"
