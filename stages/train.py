"""Stage `train@<variant>`: train one model on its prepared data."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import repository_root, run_stage


def train(params: Parameters, arguments: list[str]) -> None:
    from reprogan.training import launch, ranks  # torch may load now: the instruction set is pinned
    from reprogan.training.run import train_variant

    (name,) = arguments
    variant = params.variant(name)
    data = Path("data/processed") / f"{variant.data}.h5"
    scratch = repository_root() / ".reprogan"
    if launch.is_to_be_launched(params.launch):
        launch.start(params.launch)
        return
    with ranks.joined(params.compute.device) as processes:
        train_variant(name, variant, params.compute, data, scratch, Path("models") / name, ranks=processes)


if __name__ == "__main__":
    run_stage(train)
