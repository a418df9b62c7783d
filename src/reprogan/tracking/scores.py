"""Scores as MLflow can show them: single numbers, with the spread of those that were computed several times."""

import statistics
from typing import Any

from reprogan.comparison import estimate

_SETS, _SEEDS = "sets", "training"
_OVER = {_SETS: "over sample sets", _SEEDS: "over training seeds"}


def for_mlflow(scores: dict[str, Any]) -> dict[str, Any]:
    """All of scores.json but the lists; of these mean, standard deviation and the ends of the 95 % interval."""
    shown = {key: value for key, value in scores.items() if key not in _OVER}
    for kind, words in _OVER.items():
        several = {key: values for key, values in scores.get(kind, {}).items() if key != "seeds" and len(values) > 1}
        if not several:
            continue
        intervals = {key: estimate(values) for key, values in several.items()}
        shown |= {
            f"mean {words}": {key: found.mean for key, found in intervals.items()},
            f"deviation {words}": {key: statistics.stdev(values) for key, values in several.items()},
            f"95 low {words}": {key: found.low for key, found in intervals.items()},
            f"95 high {words}": {key: found.high for key, found in intervals.items()},
        }
    return shown


def of_training_seed(scores: dict[str, Any], seed: int) -> dict[str, Any]:
    """The scores of the model that was trained from one of several seeds; {} where it was not scored."""
    known = scores.get(_SEEDS, {})
    if seed not in known.get("seeds", []):
        return {}
    place = known["seeds"].index(seed)
    return {key: float(values[place]) for key, values in known.items() if key != "seeds"}
