"""The report: `report/index.html`, a pure function of parameters, models, samples, exports, scores and libraries."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from reprogan.atomic import write_atomically
from reprogan.comparison import estimate
from reprogan.config import ENCODERS, Parameters
from reprogan.report.contents import Contents, read_contents
from reprogan.report.curves import charts_of
from reprogan.report.defaults import changed_since, flat
from reprogan.report.formulas import formula
from reprogan.report.libraries import Libraries, pack_numbers, read_libraries
from reprogan.report.pictures import embed, embed_exactly, embed_film
from reprogan.report.scores import SCORES, Score, count, few, figure, percent, short, shown

# What is scored; of other systems, what generators draw.
_KINDS = {"autoencoder": "Reconstructions", "pix2pix": "Translations", "stackgan": "Images of captions"}
TEMPLATES = Path(__file__).with_name("templates")
REPORT = Path("report/index.html")
_NOT_IN_TABLES = (
    "frechet_relative", "density", "diversity", "class_entropy", "nearer_than_half", "noise_spread", "modes_covered",
    "reverse_kl",
)  # fmt: skip
_DISTANCE = next(score for score in SCORES if score.key == "frechet_distance")
_WIDEST, _FRAME, _FILM = 840, 400, 280  # pixels: a picture, a grid of the progress, a frame of a walk


@dataclass(frozen=True)
class League:
    """Generators whose scores may be compared: one data set, size and extractor, equal counts. Best first."""

    title: str
    scale: dict[str, Any]  # the scores that all of them share: data, extractor, counts, floors
    rows: list[Contents]

    @property
    def few(self) -> bool:
        """Whether there are too few images for the features' number of dimensions."""
        return few(self.scale)

    @property
    def columns(self) -> list[Score]:
        """The scores that stand in the table: those that all have, but for the ones that few look for."""
        shared = set.intersection(*({score.key for score in shown(row.scores or {})} for row in self.rows))
        return [score for score in SCORES if score.key in shared and score.key not in _NOT_IN_TABLES]

    def best(self, score: Score, row: Contents) -> bool:
        """Whether no other row has a better value, and some a worse one."""
        values = [score.headline(one.scores or {}) for one in self.rows]
        if score.better == "neither" or min(values) == max(values):
            return False
        return score.headline(row.scores or {}) == (min if score.better == "lower" else max)(values)


def write_report(params: Parameters, root: Path) -> Path:
    """Write the page of all variants below the folder `root` and return its path.

    What is not there yet is left out, and the page says so. Raises UserError for a damaged file, and where libraries
    that are to be bundled are not installed.
    """
    libraries = read_libraries(root) if params.report.bundle else None
    contents = [read_contents(name, variant, root) for name, variant in params.variants.items()]
    path = root / REPORT
    write_atomically(path, render(params.profile, contents, changed_since(params, root), libraries))
    return path


def render(
    profile: str, contents: list[Contents], changed: dict[str, dict[str, Any]], libraries: Libraries | None
) -> str:
    """The page as HTML, with everything that it shows inside it. `changed` is what `changed_since` gives."""
    generators = [row for row in contents if row.variant.system not in ENCODERS]
    by_modes = [row for row in generators if "modes_covered" in (row.scores or {})]
    classifiers = [row for row in contents if row.variant.system in ENCODERS]
    leagues = _leagues(row for row in generators if "frechet_distance" in (row.scores or {}) and row not in by_modes)
    mode_leagues = _mode_leagues(by_modes)
    classifiers.sort(key=lambda row: -(row.scores or {}).get("accuracy", -1.0))  # stable: else as in params.yaml
    unscored = [row for row in generators if not row.scores]
    rows = [
        *(row for league in leagues for row in league.rows),
        *(row for rows in mode_leagues for row in rows),
        *unscored,
        *classifiers,
    ]
    charts = {row.name: charts_of(row.history) if row.history else [] for row in rows}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "figure": figure, "digits": count, "percent": percent, "short": short, "shown": shown,
        "embed": embed, "exactly": embed_exactly, "film": lambda content: embed_film(content, _FILM),
        "interval": _interval, "formula": formula, "pack_numbers": pack_numbers, "parameter": _parameter,
    }  # fmt: skip
    return environment.get_template("page.html.jinja").render(
        profile=profile,
        leagues=leagues,
        mode_leagues=mode_leagues,
        unscored=unscored,
        classifiers=classifiers,
        rows=rows,
        explored=[row for row in rows if row.generator and row.exported and "latents" in row.exported],
        count=len(contents),
        data=sorted({source["data"] for row in contents if (source := row.scores or row.model)}),
        charts=charts,
        curves={
            row.name: [chart.as_data(row.history.images_seen) for chart in charts[row.name]]
            for row in rows
            if row.history
        },
        captions={row.name: _caption(row) for row in contents},
        parameters={row.name: list(flat(row.variant.model_dump(mode="json"))) for row in contents},
        changed=changed,
        libraries=libraries,
        widest=_WIDEST,
        frame=_FRAME,
    )


def _leagues(scored: Iterable[Contents]) -> list[League]:
    """Group by what makes scores comparable, and order by the distance."""
    groups: dict[tuple[Any, ...], list[Contents]] = {}
    for row in scored:
        scores = row.scores or {}
        shared = tuple(scores[key] for key in ("data", "extractor", "extractor_sha256", "n_real", "n_fake"))
        groups.setdefault(
            (_KINDS.get(row.variant.system, "Generators"), row.variant.view.size or 0, shared), []
        ).append(row)
    return [
        League(
            _title(*key[:2]),
            rows[0].scores or {},
            sorted(rows, key=lambda row: _DISTANCE.headline(row.scores or {})),
        )
        for key, rows in sorted(groups.items())
    ]


def _title(kind: str, size: int) -> str:
    """What the scores of a league are of."""
    return kind + (f" at {size}×{size}" if size else "")


def _mode_leagues(scored: Iterable[Contents]) -> list[list[Contents]]:
    """Group by data set, and order by modes covered, then by the evenness of the samples."""
    groups: dict[str, list[Contents]] = {}
    for row in scored:
        groups.setdefault((row.scores or {})["data"], []).append(row)
    return [
        sorted(rows, key=lambda row: (-(row.scores or {})["modes_covered"], (row.scores or {})["reverse_kl"]))
        for _, rows in sorted(groups.items())
    ]


def _caption(row: Contents) -> str:
    """What a variant's grid shows."""
    if row.variant.system == "contrastive":
        return "Held-out images, and under each the held-out caption that lies nearest to it"
    if row.variant.system == "pix2pix":
        return "Held-out sources, what is made of them, and the truth"
    if row.variant.system == "stackgan":
        return "Drawn from held-out captions, which stand under them; the same latents in each row"
    if row.variant.system in ENCODERS and "accuracy" in (row.scores or {"accuracy": None}):
        return "The held-out images it is least sure of, worst first"
    if row.variant.system in ("autoencoder", *ENCODERS):
        return "Held-out images, and under each its reconstruction"
    if row.variant.data == "ring":
        return "The points it draws"
    if (row.scores or {}).get("conditional_accuracy") is not None:
        return "A row a class, the same latents in each"
    return "Drawn from fixed latents"


def _interval(score: Score, scores: dict[str, Any]) -> tuple[float, float] | None:
    """The 95 % interval of a score's mean over training seeds or, of one, over its sample sets; None of one set."""
    for of in ("training", "sets"):
        if len(values := scores.get(of, {}).get(score.key, [])) > 1:
            found = estimate(values)
            assert found.low is not None and found.high is not None
            return found.low, found.high
    return None


def _parameter(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_parameter, value)) or "none"
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
