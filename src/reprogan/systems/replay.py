"""A step of training recorded as a list of kernels, and from then on replayed without autograd.

Small networks wait for what surrounds their kernels: modules, the graph of a step and the walk back through it are the
same at every step. A replayed step runs the same kernels in the same order, so it gives the same bits.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from reprogan.systems import recording
from reprogan.systems.recording import OFF, Inputs, Recording, Step, refusal

_TRIES = 4  # calls by which two recordings in a row must be the same: what is made at first use is made by then
_PERIOD = 3989  # a prime, so that it meets whatever happens every so many steps; see `_is_due`


class Replayed:
    """`step(*inputs)`, a function of tensors that may change tensors which live on: weights, averages, statistics.

    The first calls are recorded while they run; once two in a row ran the same kernels, later calls replay them. Only
    tensors that were handed in or live on may come into a step. Numbers that change belong into tensors or, like an
    optimiser's rates, into `as_one`; attributes, counters and global settings are read while a step is recorded, no
    more. Now and then a call is recorded again, and a step that has changed is refused. Inputs of another shape or
    layout make a recording of their own. On devices other than the CPU, for inputs that share memory, and where the
    environment says REPROGAN_REPLAY=off, nothing is recorded or replayed.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._is_off = os.environ.get(OFF) == "off"
        self._kinds: dict[tuple[object, ...], _Kind] = {}

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """What `step` gives, without a graph. Raises UserError if the step cannot be replayed."""
        elsewhere = any(t is not None and not t.is_cpu for t in inputs)
        if self._is_off or elsewhere or recording.current:  # the one that runs records this step too
            return self._step(*inputs)
        layouts = [None if t is None else (t.shape, t.stride(), t.dtype) for t in inputs]
        of = (torch.is_autocast_enabled("cpu"), *layouts)
        if (kind := self._kinds.get(of)) is None:
            kind = self._kinds[of] = _Kind()
        kind.calls += 1
        if kind.replay is not None and not _is_due(kind.calls):
            with torch.no_grad():
                if not of[0]:
                    return kind.replay(*inputs)
                with _without_autocast():  # each kernel was recorded with what autocast made of its inputs
                    return kind.replay(*inputs)
        return self._step(*inputs) if _overlap(inputs) else self._recorded(kind, inputs)

    def _recorded(self, kind: "_Kind", inputs: Inputs) -> tuple[Tensor, ...]:
        replay, kind.replay = kind.replay, None  # never again, if this call is refused
        found = Recording(inputs)
        results = found.run(self._step)
        difference = found.difference(kind.recording) if kind.recording else None
        if difference and replay:
            raise refusal(f"{difference}; steps since the last recording may be wrong: remove .reprogan/checkpoints")
        if difference and kind.calls >= _TRIES:
            raise refusal(difference)
        if kind.recording and not difference:
            kind.replay = replay or found.compiled()
        kind.recording = found
        return results


@dataclass
class _Kind:
    """What is known of the step with inputs of one layout."""

    calls: int = 0
    recording: Recording | None = None
    replay: Step | None = None


def _is_due(calls: int) -> bool:
    """Whether a call is recorded though it could be replayed: 1, 2, 4, 64, 1024 and so on, and every 3989th."""
    is_four_times_a_power_of_sixteen = calls.bit_count() == 1 and calls.bit_length() % 4 == 3
    return calls <= 2 or is_four_times_a_power_of_sixteen or calls % _PERIOD == 0


def as_one(function: Callable[..., object], tensors: Sequence[Tensor]) -> None:
    """`function(*tensors)`, which a recording keeps as one call instead of the kernels in it."""
    with _without_autocast():
        if recording.current is None:
            function(*tensors)
        else:
            recording.current.call(function, tensors)


def _overlap(inputs: Inputs) -> bool:
    """Whether two inputs share memory: then a recording cannot tell which of them a kernel was given."""
    tensors = [tensor for tensor in inputs if tensor is not None and tensor.numel()]
    spans = sorted((t.data_ptr(), t.data_ptr() + _extent(t) * t.element_size()) for t in tensors)
    return any(later < end for (_, end), (later, _) in itertools.pairwise(spans))


def _extent(tensor: Tensor) -> int:
    """Elements from a tensor's first to its last, both counted."""
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _without_autocast() -> AbstractContextManager[object]:
    return torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else nullcontext()
