"""Generators as ONNX files, which run without torch: in a browser, on a phone.

The input `z` is float32 (1, latent_size), a conditional generator's `condition` shares of the classes, float32
(1, classes); the output `images` is float32 (1, C, H, W), brightness from -1 to 1 (some architectures overshoot).
"""

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from reprogan.models.latents import classes_of, told
from reprogan.models.layers import stock
from reprogan.models.trained import load
from reprogan.sampling.generate import generator_of

if TYPE_CHECKING:
    from onnx import ModelProto

BITS = 18
"""Of the 24 of a float32: images stay within 1e-4 of torch's, a hundredth of a step of brightness."""
INPUTS = ("z", "condition")
OUTPUT = "images"


class _Told(nn.Module):
    """A generator whose condition is an input like the latent."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return told(self.generator, z, condition)


def as_onnx(folder: Path) -> bytes:
    """The generator of latents of the model in `folder`, as the bytes of an ONNX file: the same for the same weights.

    Raises UserError for a model that draws nothing, or is damaged.
    """
    generator = _plain(generator_of(load(folder)))
    classes = classes_of(generator)
    inputs = (torch.zeros(1, generator.latent_size), *([torch.eye(classes)[:1]] if classes else []))  # type: ignore[call-overload]
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Told(generator), inputs, input_names=INPUTS[: len(inputs)], output_names=[OUTPUT], dynamo=True,
            verbose=False,
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    _forget_origin(proto)
    _round(proto)
    return proto.SerializeToString(deterministic=True)


def _plain(generator: nn.Module) -> nn.Module:
    """The same with weights as they are used: spectral norms divided out, which also unmakes all copies of it."""
    for module in [module for module in generator.modules() if parametrize.is_parametrized(module)]:
        for name in list(module.parametrizations):  # type: ignore[arg-type]
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return stock(generator).eval()  # torch's own linear layers, which ONNX knows


def _round(proto: "ModelProto") -> None:
    """Weights to BITS significant bits: the last ones weigh as much in a file as the first, and no image shows them."""
    from onnx import TensorProto

    last = 24 - BITS
    for weights in proto.graph.initializer:
        if weights.data_type == TensorProto.FLOAT:
            bits = np.frombuffer(weights.raw_data, np.uint32)
            weights.raw_data = ((bits + (1 << (last - 1))) >> last << last).astype(np.uint32).tobytes()


def _forget_origin(proto: "ModelProto") -> None:
    """Take out what torch notes of where each node comes from: files and lines of this machine."""
    graph = proto.graph
    del proto.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
