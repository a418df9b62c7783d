"""Stage `publish`: show in MLflow what the pipeline made. MLflow's failures are a warning, never the pipeline's."""

import sys
from pathlib import Path

import this_checkout  # noqa: F401
from reprogan.config import Parameters
from reprogan.entry import run_stage


def publish(params: Parameters, arguments: list[str]) -> None:
    from reprogan.tracking.publish import publish as publish_variants
    from reprogan.tracking.store import TrackingFailed

    try:
        for published in publish_variants(params, Path.cwd(), arguments or None):
            print(published)
    except TrackingFailed as error:
        print(f"reprogan: warning: not published: {error}; `reprogan publish` does it later", file=sys.stderr)


if __name__ == "__main__":
    run_stage(publish)
