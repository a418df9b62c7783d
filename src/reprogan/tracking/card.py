"""The card of a model, in Markdown: what it is, what made it, how good it is and where that ends."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reprogan.config import Parameters
from reprogan.data import hdf5
from reprogan.report.scores import ENOUGH, few, shown
from reprogan.tracking.decisions import Decision
from reprogan.tracking.made import Made

if TYPE_CHECKING:
    from reprogan.models.trained import Description

# Who made the data, and what may be done with it; of other data only their owner knows.
_LICENCES = {
    "mnist": "MNIST: Y. LeCun, C. Cortes, C. J. C. Burges; CC BY-SA 3.0.",
    "stacked mnist": "Made of MNIST: Y. LeCun, C. Cortes, C. J. C. Burges; CC BY-SA 3.0.",
    "embedded digits": "UCI Optical Recognition of Handwritten Digits, as scikit-learn brings it: CC BY 4.0.",
    "toy faces": "Drawn by the code of this repository: Apache License 2.0, nobody's photograph.",
    "ring": "Drawn by the code of this repository: Apache License 2.0.",
}
_UNKNOWN_LICENCE = "Its licence is not known here: ask who the data is from before you pass the model on."
_LONGEST = 4900  # characters: MLflow's databases hold 5,000 of a description
_DECISIONS = "\n## Decisions\n\n"
_COPIED = 0.01  # a share of samples nearer to a training image than any held-out image is: worth a word
_LEFT_OUT = 0.5  # a coverage below which half of what there is cannot be expected of the model


def grid_in_markdown(run_id: str) -> str:
    """The picture of a run's samples, for a page of the server that holds the run."""
    return f"![samples](get-artifact?path=grid.png&run_uuid={run_id})"


def model_card(
    made: Made, params: Parameters, run_id: str, tags: dict[str, str], decisions: Sequence[Decision] = ()
) -> str:
    """The card of a version, whose samples the run `run_id` shows and whose origin `tags` name.

    `decisions` are those about this version.
    """
    scores = json.loads(made.scores.read_text(encoding="utf-8"))
    parts = [
        f"# {made.variant}",
        _what(made.description, made.told_classes),
        grid_in_markdown(run_id),
        "## Data",
        _data(made, tags),
        "## Training",
        _training(made, params, tags),
        "## Scores",
        _scores(scores),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(made, scores)),
        "## Make it again",
        _again(made, tags),
    ]
    return with_decisions("\n\n".join(parts) + "\n", decisions)


def with_decisions(card: str, decisions: Sequence[Decision]) -> str:
    """A card that ends in these decisions instead of those that it has: the latest, as far as there is room."""
    card = card.partition(_DECISIONS)[0]
    lines: list[str] = []
    for decision in reversed(decisions):
        line = f"- {decision.in_words()}\n"
        if len(card) + len(_DECISIONS) + sum(map(len, [*lines, line])) > _LONGEST:
            break
        lines.insert(0, line)
    return card + "".join([_DECISIONS, *lines] if lines else [])


def _what(description: "Description", told_classes: int) -> str:
    channels, height, width = description.image_shape
    makes = {"classifier": "tells the classes of", "features": "encodes", "contrastive": "finds the captions of"}
    does = makes.get(description.system, "draws")
    told = []
    if told_classes and description.system not in makes:
        told.append(f"of the one of {told_classes:,} classes that it is asked for")
    if description.vocabulary and description.system != "contrastive":
        told.append(f"as captions of {len(description.vocabulary):,} known words say")
    if description.source_channels:
        told.append("from another image")
    what = "points of a plane" if (channels, height, width) == hdf5.POINT else f"images of {width}×{height} pixels"
    return (
        f"A model of system `{description.system}` and architecture `{description.architecture}` that {does} {what}"
        f"{', '.join(['', *told])}. Its weights are the {description.weights} ones of training."
    )


def _data(made: Made, tags: dict[str, str]) -> str:
    lines = []
    if made.data.is_file():
        data = hdf5.describe(made.data)
        lines.append(f"{data}.")
        lines += [f"Source `{name}`: sha256 `{digest}`." for name, digest in sorted(data.sources.items())]
    else:
        lines.append(f"{made.description.data}.")
    if digest := tags.get("data.md5"):
        lines.append(f"DVC knows the prepared file by md5 `{digest}`.")
    name = made.description.data
    lines.append(_LICENCES.get("ring" if name.startswith("ring of ") else name, _UNKNOWN_LICENCE))
    return "\n".join(f"- {line}" for line in lines)


def _training(made: Made, params: Parameters, tags: dict[str, str]) -> str:
    block, compute = params.variant(made.variant), params.compute
    lines = [
        f"{made.description.images_seen:,} images seen, batches of {block.training.batch_size:,}, "
        f"seed {block.training.seed}.",
        f"Computed on {compute.device} in {compute.precision}, `compute.threads` {compute.threads}, instruction set "
        f"{compute.isa}.",
    ]
    known = {
        key: value for name in ("cpu", "gpu", "torch", "cuda") if (value := tags.get(key := f"environment.{name}"))
    }
    if known:
        lines.append("There: " + ", ".join(f"{key.partition('.')[2]} {value}" for key, value in known.items()) + ".")
    if made.seeds:
        others = ", ".join(map(str, made.seeds))
        lines.append(f"Trained again from seeds {others}, for the spread of the scores.")
    return "\n".join(f"- {line}" for line in lines)


def _scores(scores: dict[str, Any]) -> str:
    rows = ["| score | value | what real images have | better |", "|---|---|---|---|"]
    for score in shown(scores):
        floor = score.floor(scores)
        rows.append(
            f"| {score.title} | {score.in_words(scores)} | {'' if floor is None else score.value(floor)} | "
            f"{score.better if score.better != 'neither' else 'as real images'} |"
        )
    said = []
    if {"extractor", "extractor_sha256", "n_real", "n_fake"} <= scores.keys():
        said.append(
            f"Against {scores['n_real']:,} held-out images, {scores['n_fake']:,} samples, in the features of "
            f"`{scores['extractor']}` (sha256 `{scores['extractor_sha256'][:12]}`)."
        )
    of = "training seeds" if "training" in scores else "sample sets" if "sets" in scores else ""
    if of:
        said.append(f"± is the standard deviation over {of}.")
    return "\n".join(rows) + ("\n\n" + " ".join(said) if said else "")


def _limits(made: Made, scores: dict[str, Any]) -> list[str]:
    found = [f"It has seen {made.description.data} alone, and knows nothing else."]
    if "extractor" in scores:
        found.append(
            "Its distances compare with those of the same extractor, data and numbers of images only, with no other "
            "project's."
        )
    if few(scores):
        found.append(
            f"There are fewer than {ENOUGH} images a feature dimension: the Fréchet distance leans on their number."
        )
    if scores.get("coverage", 1.0) < _LEFT_OUT:
        found.append(f"It covers {100 * scores['coverage']:.0f} % of the held-out images: much is never drawn.")
    copied = scores.get("memorised_share", 0.0)
    if copied > _COPIED:
        found.append(
            f"{100 * copied:.1f} % of its samples are nearer to a training image than any held-out image is: it may "
            "give away what it was trained on."
        )
    if (modes := scores.get("modes")) and scores["modes_covered"] < modes:
        found.append(f"Of {modes:,} modes it draws {scores['modes_covered']:,}.")
    return found


def _again(made: Made, tags: dict[str, str]) -> str:
    if tags.get("git.dirty") == "false":
        at = f"git checkout {tags['git.commit']}"
    else:
        at = "# no clean commit is known to hold this model: commit dvc.lock, then `reprogan publish`"
    return (
        f"```sh\n{at}\ndvc repro evaluate@{made.variant}\nreprogan verify train@{made.variant}\n```\n\n"
        f"Weights: sha256 `{made.sha256}`."
    )
