"""Stage `evaluate@<variant>`: score one variant's samples, or a classifier's answers, on held-out images."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def evaluate(params: Parameters, arguments: list[str]) -> None:
    from reprogan.evaluation import score  # torch may load now: the instruction set is pinned

    (name,) = arguments
    variant = params.variant(name)
    data = Path("data/processed") / f"{variant.data}.h5"
    if variant.system == "classifier":
        metrics = score.score_classifier(Path("models") / name, data, params.evaluation)
    else:
        samples, extractor = Path("samples") / name / "samples.h5", Path("models") / variant.extractor
        metrics = score.score_generator(samples, data, extractor, params.evaluation)
    score.write_metrics(Path("metrics") / f"{name}.json", metrics)


if __name__ == "__main__":
    run_stage(evaluate)
