"""What systems that train a generator against a discriminator have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor, nn


def generator_loss(objective: ModuleType, fake_logits: Tensor, real_logits: Callable[[], Tensor]) -> Tensor:
    """The generator's loss, a scalar, by an objective of losses/.

    A relativistic objective compares with `real_logits()`, which are computed without a graph and for no other.
    """
    if not hasattr(objective, "relativistic_generator_loss"):
        loss: Tensor = objective.generator_loss(fake_logits)
        return loss
    with torch.no_grad():
        real = real_logits()
    relativistic: Tensor = objective.relativistic_generator_loss(real, fake_logits)
    return relativistic


@contextmanager
def drawing_from(generator: nn.Module) -> Iterator[None]:
    """Draw images and no more: no graph, statistics at rest; then the generator is as it was."""
    was_training = generator.training
    generator.eval()
    with torch.no_grad():
        yield
    generator.train(was_training)
