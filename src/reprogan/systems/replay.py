"""A step of training recorded as a list of kernels, and from then on replayed without autograd.

Small networks wait for what surrounds their kernels: modules, the graph of a step and the walk back through it are the
same at every step. The recording keeps the kernels alone, in their order, so a replayed step gives the same bits.
"""

import itertools
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from reprogan.errors import UserError

OFF = "REPROGAN_REPLAY"  # set to "off": every step runs through autograd

_AGAIN = 1000  # calls after which a step is recorded anew, to see that it is still the same

Inputs = tuple[Tensor | None, ...]
Step = Callable[..., tuple[Tensor, ...]]


class Replayed:
    """`step(*inputs)`, a function of tensors that may change tensors which live on: weights, averages, statistics.

    The first two calls are recorded while they run; if both ran the same kernels, later calls replay them. Only tensors
    that were handed in or live on may come into a step: numbers that change belong into tensors or, like an optimiser's
    rates, into `as_one`. Inputs of another shape or layout make a recording of their own. On devices other than the
    CPU, and where the environment says REPROGAN_REPLAY=off, nothing is recorded or replayed.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._recordings: dict[tuple[object, ...], _Recording] = {}
        self._replays: dict[tuple[object, ...], Step] = {}
        self._calls = 0

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        """What `step` gives, without a graph. Raises UserError if the step cannot be replayed."""
        if os.environ.get(OFF) == "off" or any(t is not None and t.device.type != "cpu" for t in inputs):
            return self._step(*inputs)
        self._calls += 1
        kind = tuple(None if t is None else (t.shape, t.stride(), t.dtype) for t in inputs)
        if kind in self._replays and self._calls % _AGAIN:
            with torch.no_grad():
                return self._replays[kind](*inputs)
        recording = _Recording(inputs)
        results = recording.run(self._step)
        if kind not in self._recordings:
            self._recordings[kind] = recording
        else:
            recording.expect_same(self._recordings[kind])
            self._replays.setdefault(kind, self._recordings[kind].compiled())
        return results


def as_one(function: Callable[..., object], tensors: Sequence[Tensor]) -> None:
    """`function(*tensors)`, which a recording keeps as one call instead of the kernels in it."""
    if _current is None:
        function(*tensors)
    else:
        _current.call(function, tensors)


_current: "_Recording | None" = None


class _Recording(TorchDispatchMode):
    """The kernels that ran, as lines of Python: `t3 = aten_mm_default(t2, c1)`.

    Names begin with i for an input, t for a result, c for a tensor that lives on and k for any other value.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled; True has torch import its compiler, a second and a half a stage

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self._inputs = inputs
        self._lines: list[tuple[str, str]] = []  # (names of the results, call)
        self._values: dict[str, Any] = {}  # what a line's c, k and function names stand for
        self._names: dict[int, str] = {}  # id of a tensor => its name
        self._places: dict[tuple[object, ...], str] = {}  # where a tensor lies and how => the name of the first such
        self._kept: list[Tensor] = []  # no id or address is given out twice while all are kept
        self._results: list[str] = []
        self._paused = False
        for i, tensor in enumerate(inputs):
            if tensor is not None:
                self._call_it(tensor, f"i{i}")

    def run(self, step: Step) -> tuple[Tensor, ...]:
        """Record `step` of the inputs, and give what it gives."""
        global _current
        _current = self
        try:
            with self:
                results = step(*self._inputs)
        finally:
            _current = None
        self._results = [self._name(tensor) for tensor in results]
        self._kept.clear()  # what a line made; `_values` goes on holding what lives on
        return results

    def __torch_dispatch__(
        self, kernel: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = kernel(*args, **kwargs)
        if not self._paused:
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
        self._lines.append(("", f"{self._constant(function)}({names})"))

    def expect_same(self, other: "_Recording") -> None:
        """Raise UserError unless the two hold the same kernels, with the same tensors that live on."""
        for mine, theirs in itertools.zip_longest(self._lines, other._lines):
            if mine != theirs:
                raise _refusal(f"two steps ran different kernels: {_shown(theirs)}, then {_shown(mine)}")
        for name, value in self._values.items():
            if isinstance(value, Tensor):
                # By place: each recording makes its own views of what lives on.
                if _place(value) != _place(other._values[name]):
                    raise _refusal(f"a tensor of shape {list(value.shape)} was made before the step, anew for each")
            elif value != other._values[name]:
                raise _refusal(f"two steps ran with different values: {other._values[name]}, then {value}")

    def compiled(self) -> Step:
        """The recording as a function of the inputs; what a line makes is freed after its last use."""
        needed, body = set(self._results), []
        for made, call in reversed(self._lines):
            last_used = sorted(set(re.findall(r"\bt\d+\b", f"{made} {call}")) - needed)
            needed.update(last_used)
            body.append(f"    {made}{call}" + (f"; del {', '.join(last_used)}" if last_used else ""))
        parameters = ", ".join(f"i{i}" for i in range(len(self._inputs)))
        results = "".join(f"{name}, " for name in self._results)
        source = "\n".join([f"def replay({parameters}):", *reversed(body), f"    return ({results})"])
        made_by_exec: dict[str, Any] = dict(self._values)
        exec(compile(source, "<recorded step>", "exec"), made_by_exec)
        return made_by_exec["replay"]

    def _record(self, kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if kernel is torch.ops.aten._local_scalar_dense.default:
            raise _refusal("a number was read back from a tensor (.item(), bool() or float() of one)")
        tensors = [value for value in _flat([args, kwargs]) if isinstance(value, Tensor)]
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
        self._lines.append((f"{target.rstrip()} = " if target else "", f"{name}({', '.join(handed)})"))

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
        return self._names[id(tensor)]

    def _call_it(self, tensor: Tensor, name: str) -> None:
        self._names[id(tensor)] = name
        self._places.setdefault(_place(tensor), name)
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
            raise _refusal("a random draw in the step has a generator of its own; draw before the step and hand it in")
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and value - value == 0):
            return repr(value)
        return self._constant(value)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return _flat(list(value.values()))
    return [one for part in value for one in _flat(part)] if isinstance(value, list | tuple) else [value]


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _shown(line: tuple[str, str] | None) -> str:
    return "nothing more" if line is None else "".join(line)


def _refusal(what: str) -> UserError:
    return UserError(f"the training step cannot be recorded: {what}; {OFF}=off runs every step through autograd")
