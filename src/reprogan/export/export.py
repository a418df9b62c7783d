"""What the stage `export` writes of each model that is there, for the report and for other programs.

`exports/<variant>.json` has `operations` (for one image) and, of a generator that is in the explorer, its `latents`
(those of the first images of its grid), their `distribution`, and `classes`; `<variant>.onnx` is that generator.
With attention, `<variant>.attention.png` are images and `<variant>.attention.<side>.png` where their points look.
"""

import json
from pathlib import Path
from typing import Any

import torch

from reprogan.atomic import write_atomically
from reprogan.config import Parameters, Variant
from reprogan.export.attention import attention_of
from reprogan.export.costs import operations
from reprogan.export.generators import as_onnx
from reprogan.models import trained
from reprogan.models.latents import classes_of, draw_latents
from reprogan.progress import tracked
from reprogan.sampling.attention import has_attention
from reprogan.sampling.generate import BLOCK, generator_of
from reprogan.sampling.pictures import save_png
from reprogan.training.randomness import Randomness

EXPORTS = Path("exports")
_LATENTS = 12
_DIGITS = 6  # of a latent's numbers: to a hundred-thousandth, which no image shows


def export(params: Parameters, root: Path) -> None:
    """Write exports of all models below `root`; of those that are not trained yet there are none."""
    torch.set_num_threads(params.compute.threads)
    out = root / EXPORTS
    out.mkdir(exist_ok=True)
    names = [name for name in params.variants if (root / "models" / name / trained.DESCRIPTION).is_file()]
    for name in tracked(names, len(names), "exporting"):
        _export(root / "models" / name, params.variant(name), name in params.report.explorer, out / name)


def _export(folder: Path, variant: Variant, explored: bool, path: Path) -> None:
    model = trained.load(folder)
    about: dict[str, Any] = {"operations": operations(model)}
    if explored:
        generator = generator_of(model)
        source = Randomness(variant.sampling.seed, torch.device("cpu")).generator("sample", 0)
        latents = draw_latents(generator, BLOCK, source)[:_LATENTS]  # as `generate` draws them
        write_atomically(path.with_suffix(".onnx"), as_onnx(folder))
        about |= {
            "classes": list(model.description.classes[: classes_of(generator)]),
            "distribution": generator.latent_distribution,
            "latents": [[float(f"{number:.{_DIGITS}g}") for number in z] for z in latents.tolist()],
        }
    if has_attention(model):
        attention = attention_of(model, variant.sampling.seed)
        save_png(attention.images, path.with_suffix(".attention.png"))
        for side, maps in attention.layers.items():
            save_png(maps, path.with_suffix(f".attention.{side}.png"))
    write_atomically(path.with_suffix(".json"), json.dumps(about, sort_keys=True) + "\n")
