"""Stage `prepare_pairs@<name>`: images of a prepared set, and beside each the source that it is a translation of."""

from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def work(params: Parameters, arguments: list[str]) -> None:
    from reprogan.data.pairs import prepare

    (name,) = arguments
    pairs = params.pairs[name]
    out = Path("data/processed") / f"{name}.h5"
    print(f"{out}: {prepare(name, pairs, params.faces, Path('data/processed') / f'{pairs.data}.h5', out)}")


if __name__ == "__main__":
    run_stage(work)
