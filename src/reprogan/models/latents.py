"""Latents and labels: where a generator's images come from."""

from typing import cast

import torch
from torch import Tensor, nn


def draw_latents(network: nn.Module, count: int, source: torch.Generator) -> Tensor:
    """`count` latents for the generator `network`, float32 (count, network.latent_size), on the source's device.

    `network.latent_distribution` says where from: "normal" is N(0, 1), "uniform" U(-1, 1).
    """
    z = torch.empty(count, cast(int, network.latent_size), device=source.device)
    if network.latent_distribution == "uniform":
        return z.uniform_(-1, 1, generator=source)
    return z.normal_(generator=source)


def classes_of(network: nn.Module) -> int:
    """How many classes the generator or discriminator `network` is told of; 0 for one that takes no labels."""
    return cast(int, getattr(network, "classes", 0))


def draw_labels(network: nn.Module, count: int, source: torch.Generator) -> Tensor | None:
    """`count` labels int64 (count,), each class as likely, for a conditional generator; None for any other."""
    classes = classes_of(network)
    return torch.randint(classes, (count,), generator=source, device=source.device) if classes else None


def labels_in_turn(network: nn.Module, first: int, count: int, device: torch.device) -> Tensor | None:
    """Labels first, first + 1, … modulo the classes, int64 (count,), for a conditional generator; else None."""
    classes = classes_of(network)
    return torch.arange(first, first + count, device=device) % classes if classes else None


def told(network: nn.Module, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """What `network` makes of `inputs`, told the labels where there are any."""
    return network(inputs) if labels is None else network(inputs, labels)


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Labels int64 (N,) as rows of 0 with a 1 at the label, (N, classes); a label outside the classes has none.

    Shares of the classes, float (N, classes), are such rows already. `torch.nn.functional.one_hot` looks at the labels'
    values, for which every step would have to wait.
    """
    if labels.is_floating_point():
        return labels.to(dtype)
    return (labels[:, None] == torch.arange(classes, device=labels.device)).to(dtype)
