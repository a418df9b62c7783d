"""Stage `evaluate@<variant>`: score one variant's samples, or a classifier's answers, on held-out images."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage
from reprogan.memory import keep_freed_memory


def evaluate(params: Parameters, arguments: list[str]) -> None:
    from reprogan.evaluation import score  # torch may load now: the instruction set is pinned

    (name,) = arguments
    keep_freed_memory()
    scored = score.score_variant(name, params.variant(name), params.evaluation, Path("."))
    score.write_scored(scored, Path("metrics") / f"{name}.json", Path("scores") / name)


if __name__ == "__main__":
    run_stage(evaluate)
