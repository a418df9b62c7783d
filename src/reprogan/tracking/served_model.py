"""The model as MLflow serves it (models-from-code): MLflow runs this file, nothing is unpickled.

A generator draws `count` images from `seed`, whatever its input, of the caption `text` if it reads captions; a
translator makes an image of each that it is given. A classifier answers images with probabilities, an encoder with
features, an autoencoder that cannot draw with their reconstructions.
"""

import base64
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from reprogan.models.trained import Trained

LARGEST_COUNT = 10000
LARGEST_SEED = 2**63 - 1
DRAW_DEFAULTS = {"seed": 1, "count": 1, "label": -1, "text": "", "format": "array"}
FORMATS = ("array", "png")


class ServedModel(PythonModel):
    """A model folder of ours behind MLflow's predict."""

    trained: "Trained"

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model; fix what its bits depend on first, if this process has not loaded torch already."""
        if "torch" not in sys.modules:
            from reprogan.blocks import parse
            from reprogan.config import Compute
            from reprogan.entry import pin_instruction_set

            pin_instruction_set(parse(Compute, context.model_config["compute"], "model configuration: compute."))
        from reprogan.models import trained

        self.trained = trained.load(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,  # MLflow reads this hint and knows it only so
        params: dict[str, Any] | None = None,
    ) -> np.ndarray[Any, Any]:
        """uint8 images (count, C, H, W) of a generator (points are float32), or float32 probabilities (N, classes).

        With the parameter format "png" a generator's images are PNG files in base64, text (count,), instead.

        `params`, for generators: seed (0 or more), count (1 to 10000) and, where it is told classes, label (-1: each in
        turn) or, where it reads captions, text. `model_input`: for classifiers, encoders and autoencoders uint8 images
        (N, C, H, W), for translators their sources (N, C', H, W); other generators need none. The same seed gives the
        same bytes. Raises MlflowException (a client's mistake, status 400) for anything else.
        """
        params = {**DRAW_DEFAULTS, **(params or {})}
        if params["format"] not in FORMATS:
            expected = ", ".join(FORMATS)
            raise MlflowException.invalid_parameter_value(f"format is {params['format']!r}; expected one of {expected}")
        as_asked = _as_png if params["format"] == "png" else np.asarray
        if self.trained.description.source_channels:
            sources = np.asarray(model_input)
            self._check(sources, self.trained.description.source_channels)
            return as_asked(self._draw(int(params["seed"]), len(sources), -1, None, sources))
        if self.trained.draws:
            text = str(params["text"]) if self.trained.description.vocabulary else None
            return as_asked(self._draw(int(params["seed"]), int(params["count"]), int(params["label"]), text, None))
        return self._answer(np.asarray(model_input))

    def _draw(
        self, seed: int, count: int, label: int, text: str | None, sources: np.ndarray[Any, Any] | None
    ) -> np.ndarray[Any, Any]:
        if not 1 <= count <= LARGEST_COUNT:
            raise MlflowException.invalid_parameter_value(f"count is {count}; expected 1 to {LARGEST_COUNT} images")
        if not 0 <= seed <= LARGEST_SEED:
            raise MlflowException.invalid_parameter_value(f"seed is {seed}; expected 0 to {LARGEST_SEED}")
        import torch

        from reprogan.data.batches import to_float
        from reprogan.errors import UserError
        from reprogan.sampling.asked import read_prompt
        from reprogan.sampling.generate import generate

        try:
            told = None if sources is None else to_float(torch.from_numpy(sources))
            if text is not None:
                told = read_prompt(self.trained, text).tokens
            blocks = list(generate(self.trained, count, seed, label=None if label == -1 else label, told=told))
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return np.concatenate([block.numpy() for block in blocks])

    def _check(self, images: np.ndarray[Any, Any], channels: int) -> None:
        expected = (channels, *self.trained.description.image_shape[1:])
        if images.dtype != np.uint8 or images.shape[1:] != expected or not 1 <= len(images) <= LARGEST_COUNT:
            raise MlflowException.invalid_parameter_value(
                f"images are {images.dtype} {images.shape}; expected uint8 (N, {', '.join(map(str, expected))}), "
                f"N from 1 to {LARGEST_COUNT}"
            )

    def _answer(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self._check(images, self.trained.description.image_shape[0])
        import torch

        from reprogan.data.batches import as_data, to_float

        networks = self.trained.networks
        with torch.no_grad():
            blocks = [to_float(block) for block in torch.from_numpy(images).split(100)]
            if "classifier" in networks:
                logits = torch.cat([networks["classifier"](block) for block in blocks])
                # Of attributes each option is a question of its own.
                each = self.trained.description.system == "features"
                return (logits.sigmoid() if each else logits.softmax(dim=1)).numpy()
            if "image_encoder" in networks:
                return torch.cat([networks["image_encoder"](block) for block in blocks]).numpy()
            return torch.cat([as_data(networks["decoder"](networks["encoder"](block))) for block in blocks]).numpy()


def _as_png(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """uint8 images (N, C, H, W), C 1 or 3, as PNG files in base64: text (N,)."""
    if images.dtype != np.uint8:
        raise MlflowException.invalid_parameter_value("format is 'png'; expected 'array': the model draws points")
    from PIL import Image

    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(buffer, "PNG")
        files.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    return np.array(files)


mlflow.models.set_model(ServedModel())
