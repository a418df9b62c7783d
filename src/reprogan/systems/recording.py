"""The recording of a training step: the kernels that ran, in lines that can be run again."""

import itertools
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from reprogan.errors import UserError
from reprogan.systems.compiling import Line, compiled

OFF = "REPROGAN_REPLAY"  # set to "off": every step runs through autograd

Inputs = tuple[Tensor | None, ...]
Step = Callable[..., tuple[Tensor, ...]]

current: "Recording | None" = None
"""The recording that runs."""


class Recording(TorchDispatchMode):
    """The kernels that ran, as lines of Python: `t3 = aten_mm_default(t2, c1)`.

    Names begin with i for an input, t for a result, c for a tensor that lives on and k for any other value.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled; True has torch import its compiler, a second and a half a stage

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self._inputs = inputs
        self._lines: list[Line] = []
        self._values: dict[str, Any] = {}  # what a line's c, k and function names stand for
        self._names: dict[int, str] = {}  # id of a tensor => its name
        self._at: dict[int, tuple[object, ...]] = {}  # id of a tensor => where it lies and how
        self._places: dict[tuple[object, ...], str] = {}  # where a tensor lies and how => the name of the first such
        self._kept: list[Tensor] = []  # no id or address is given out twice while all are kept
        self._results: list[str] = []
        self._reshaped: set[str] = set()  # names of what was given another shape in its place
        self._paused = False
        self._generator = _generator_state()
        for i, tensor in enumerate(inputs):
            if tensor is not None:
                self._call_it(tensor, f"i{i}")

    def run(self, step: Step) -> tuple[Tensor, ...]:
        """Record `step` of the inputs, and give what it gives."""
        global current
        current, drawn = self, _drawn_outside_torch()
        try:
            with self:
                results = step(*self._inputs)
        finally:
            current = None
        if drawn != _drawn_outside_torch():
            raise refusal("random numbers were drawn in the step by random or numpy; draw before it")
        self._results = [self._name(tensor) for tensor in results]
        for tensor in self._kept:
            self._refuse_moved(tensor)
        self._kept.clear()  # what a line made; `_values` goes on holding what lives on
        self._inputs = (None,) * len(self._inputs)
        return results

    def __torch_dispatch__(
        self, kernel: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._paused and self._generator != _generator_state():
            raise refusal("torch's generator was seeded or set in the step, as gradient checkpointing does")
        result = kernel(*args, **kwargs)
        self._generator = _generator_state()
        if not self._paused and kernel.namespace != "profiler":
            self._record(kernel, args, kwargs, result)
        return result

    def call(self, function: Callable[..., object], tensors: Sequence[Tensor]) -> None:
        """Run `function` and record it as a whole."""
        names = ", ".join(map(self._name, tensors))
        self._paused = True
        try:
            function(*tensors)
        finally:
            self._paused = False
        self._lines.append(Line("", self._constant(function), names))

    def difference(self, other: "Recording") -> str | None:
        """In which kernel, value or tensor that lives on the two differ; None if in nothing."""
        for mine, theirs in itertools.zip_longest(self._lines, other._lines):
            if str(mine) != str(theirs):
                return f"two steps ran different kernels: {_shown(theirs)}, then {_shown(mine)}"
        for name, value in self._values.items():
            theirs = other._values[name]
            if isinstance(value, Tensor):
                # By place: each recording makes its own views of what lives on.
                if _place(value) != _place(theirs):
                    return f"a tensor of shape {list(value.shape)} is another in each step; keep it, or hand it in"
            elif repr(value) != repr(theirs) and value != theirs:
                return f"two steps ran with different values: {theirs}, then {value}"
        return None if self._results == other._results else "two steps gave different ones of their tensors"

    def compiled(self) -> Step:
        """The recording as a function of the inputs."""
        return compiled(self._lines, self._values, len(self._inputs), self._results, self._reshaped)

    def _record(self, kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if torch.Tag.data_dependent_output in kernel.tags:
            raise refusal(f"{kernel} reads a number back from a tensor (.item(), bool(), equal() and the like)")
        tensors = [value for value in _flat([args, kwargs]) if isinstance(value, Tensor)]
        if kernel._schema.is_mutable:
            for tensor in tensors:
                self._follow(tensor)
        whole = kernel is torch.ops.aten.index.Tensor and not any(
            t.dtype in (torch.bool, torch.uint8) for t in tensors[1:]
        )
        if torch.Tag.dynamic_output_shape in kernel.tags and not whole:
            raise refusal(f"the shape of what {kernel} gives hangs on numbers in a tensor")
        if kernel.is_view and isinstance(result, Tensor):
            if (known := self._places.get(_place(result))) is not None:
                self._call_it(result, known)  # a view of all, or there and back
                return
            if all(self._name(tensor).startswith("c") for tensor in tensors):
                self._name(result)  # lives on as what it shows does
                return
        handed = [self._text(value) for value in args] + [f"{key}={self._text(value)}" for key, value in kwargs.items()]
        outs = list(result) if isinstance(result, tuple | list) else [result]
        made = [self._made(value) for value in outs]
        if isinstance(result, tuple | list):
            target = "".join(f"{name}, " for name in made)
        else:
            target = "" if made == ["_"] else made[0]
        name = re.sub(r"\W", "_", str(kernel))
        self._values[name] = kernel._op  # what calling `kernel` comes to, without the layer above
        is_new = isinstance(result, Tensor) and made != ["_"]
        layout = (result.shape, result.stride(), result.dtype) if is_new else None
        self._lines.append(Line(f"{target.rstrip()} = " if target else "", name, ", ".join(handed), kernel, layout))

    def _made(self, value: Any) -> str:
        """A new name for a result, or a name that is thrown away for one that is not new."""
        if not isinstance(value, Tensor) or id(value) in self._names:
            return "_"
        name = f"t{len(self._names)}"
        self._call_it(value, name)
        return name

    def _name(self, tensor: Tensor) -> str:
        if id(tensor) not in self._names:
            self._call_it(tensor, self._constant(tensor))
        else:
            self._refuse_moved(tensor)
        return self._names[id(tensor)]

    def _refuse_moved(self, tensor: Tensor) -> None:
        if _place(tensor) != self._at[id(tensor)]:
            now = f"a tensor that is now of shape {list(tensor.shape)}"
            raise refusal(f"{now} was given other memory (.data = …) or another shape")

    def _follow(self, tensor: Tensor) -> None:
        """Note the new shape of a result that a kernel has just given another in its place (`unsqueeze_`)."""
        place, before = _place(tensor), self._at.get(id(tensor))
        name = self._names.get(id(tensor), "c")
        is_alone = list(self._names.values()).count(name) == 1
        if before is not None and before != place and before[0] == place[0] and name.startswith("t") and is_alone:
            self._places.pop(before, None)
            self._places.setdefault(place, name)
            self._at[id(tensor)] = place
            self._reshaped.add(name)

    def _call_it(self, tensor: Tensor, name: str) -> None:
        place = self._at[id(tensor)] = _place(tensor)
        self._names[id(tensor)] = name
        self._places.setdefault(place, name)
        self._kept.append(tensor)

    def _constant(self, value: Any) -> str:
        name = f"{'c' if isinstance(value, Tensor) else 'k'}{len(self._values)}"
        self._values[name] = value
        return name

    def _text(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self._name(value)
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(self._text, value)) + "]"
        if isinstance(value, torch.Generator):
            raise refusal("a random draw in the step has a generator of its own; draw before the step and hand it in")
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and value - value == 0):
            return repr(value)
        return self._constant(value)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return _flat(list(value.values()))
    return [one for part in value for one in _flat(part)] if isinstance(value, list | tuple) else [value]


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor lies, and how it is read there."""
    if tensor.layout is not torch.strided:
        raise refusal(f"a tensor has the layout {tensor.layout}")
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.is_conj(), tensor.is_neg()


def _generator_state() -> bytes:
    return torch.default_generator.get_state().numpy().tobytes()


def _drawn_outside_torch() -> tuple[object, ...]:
    of_numpy = _flat(np.random.get_state(legacy=False))
    return random.getstate(), *(part.tobytes() if isinstance(part, np.ndarray) else part for part in of_numpy)


def _shown(line: Line | None) -> str:
    return "nothing more" if line is None else str(line)


def refusal(what: str) -> UserError:
    """Why a step cannot be recorded, in one line."""
    return UserError(f"the training step cannot be recorded: {what}; {OFF}=off runs every step through autograd")
