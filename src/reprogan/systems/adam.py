"""Adam for one network: the loss's gradients straight into torch's fused kernel.

`torch.optim.Adam(fused=True)` runs the same kernel and gives the same bits; for small networks on a CPU its Python
around the kernel takes several times as long as the kernel itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from reprogan.blocks import Strict
from reprogan.systems.replay import as_one

_EPSILON = 1e-8

Beta = Annotated[float, Field(ge=0, lt=1)]
"""How much of Adam's running averages stays at each step."""


class AdamParameters(Strict):
    """One network's optimiser (Kingma and Ba 2015)."""

    learning_rate: float = Field(gt=0)
    betas: tuple[Beta, Beta] = Field(strict=False)


class Adam:
    """Adam (Kingma and Ba 2015), with `weight_decay` AdamW (Loshchilov and Hutter 2019), over fixed weights.

    Fused: one kernel for all weights, and the only form whose square root is the same on every CPU.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
    ) -> None:
        self.weights: list[Tensor] = list(weights)
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.rate_factor = 1.0  # what a schedule multiplies the learning rate with
        self.agree: Callable[[Sequence[Tensor]], tuple[Tensor, ...]] | None = None  # on gradients, with other processes
        self._means = [torch.zeros_like(weight) for weight in self.weights]
        self._squares = [torch.zeros_like(weight) for weight in self.weights]
        self._steps = torch.zeros((), device=self.weights[0].device)
        self._one = torch.ones_like(self._steps)
        self._strides = [weight.stride() for weight in self.weights]
        self._in_memory = [
            [_in_memory(one) for one in of_each] for of_each in (self.weights, self._means, self._squares)
        ]
        self._steps_of_each = [self._steps] * len(self.weights)

    def descend(self, loss: Tensor, some_rest: bool = False) -> None:
        """One step down the gradient of the scalar `loss`; gradients of other weights are not computed.

        With `some_rest` the loss need not hang on every weight: for one that it does not the gradient is zero.
        """
        gradients = torch.autograd.grad(loss, self.weights, materialize_grads=some_rest)
        if self.agree is not None:
            gradients = self.agree(gradients)
        with torch.no_grad():
            self.step(*gradients)

    def step(self, *gradients: Tensor) -> None:
        """One step with one gradient a weight; to be called where torch records no graph."""
        laid_out: list[Tensor] = [
            # A gradient must lie as its weight does.
            _in_memory(gradient if gradient.stride() == stride else torch.empty_like(weight).copy_(gradient))
            for gradient, stride, weight in zip(gradients, self._strides, self.weights, strict=True)
        ]
        as_one(self._descend, laid_out)  # the rates of today, not those of the recording

    def _descend(self, *gradients: Tensor) -> None:
        self._steps += self._one
        weights, means, squares = self._in_memory
        torch._fused_adamw_(
            weights,
            gradients,
            means,
            squares,
            [],
            self._steps_of_each,
            lr=self.learning_rate * self.rate_factor,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """The running averages and the number of steps."""
        return {"means": self._means, "squares": self._squares, "steps": self._steps}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for mine, saved in zip([*self._means, *self._squares], [*state["means"], *state["squares"]], strict=True):
            mine.copy_(saved)
        self._steps.copy_(state["steps"])


def _in_memory(tensor: Tensor) -> Tensor:
    """The numbers of a dense tensor in the order in which they lie: the kernel takes any other order for scattered."""
    return tensor if tensor.is_contiguous() else tensor.detach().as_strided((tensor.numel(),), (1,))
