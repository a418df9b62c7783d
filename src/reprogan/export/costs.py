"""What an image costs: floating-point operations, by torch's own counter."""

import copy

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from reprogan.models.latents import classes_of, told
from reprogan.models.layers import stock
from reprogan.models.trained import Trained
from reprogan.sampling.generate import generator_of


@torch.no_grad()
def operations(model: Trained) -> int:
    """Floating-point operations for one image: to draw it or, for a model that draws none, to read it.

    Those of products and convolutions, a multiplication and an addition counted as two; what stands between them
    (activations, normalisation) takes little beside them. Reading a caption is not counted.
    """
    model = Trained(model.description, {name: stock(copy.deepcopy(one)) for name, one in model.networks.items()})
    with FlopCounterMode(display=False) as counter:
        if model.draws:
            generator = generator_of(model)
            told(generator, torch.zeros(1, generator.latent_size), _condition(model))  # type: ignore[call-overload]
        else:
            images = torch.zeros(1, *model.description.image_shape)
            for name in ("classifier", "image_encoder", "encoder", "decoder"):
                if name in model.networks:
                    images = model.networks[name](images)
        counted = counter.get_total_flops()
    return counted


def _condition(model: Trained) -> Tensor | None:
    """Something that the generator can be told, of one image."""
    generator = generator_of(model)
    reads = getattr(generator, "reads", "nothing")
    if reads == "sources":
        return torch.zeros(1, model.description.source_channels, *model.description.image_shape[1:])
    if reads == "captions":
        with FlopCounterMode(display=False):  # which takes these from the one outside
            return generator.features_of(torch.ones(1, 1, dtype=torch.int64))  # type: ignore[operator]
    classes = classes_of(generator)
    return torch.eye(classes)[:1] if classes else None
