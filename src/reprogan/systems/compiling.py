"""Recorded lines as a Python function, with memory of its own for what the lines make.

A small result lies at the same place in every step: its kernel need not ask for memory, and views of it are made once
instead of in every step.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

_TENSOR = re.compile(r"\b[itc]\d+\b")  # an input, a result, or a tensor that lives on; see recording.py
_SMALL = 1 << 20  # bytes; of larger results the kernels themselves take the time, and kept ones would fill memory

_aten = torch.ops.aten
_WRITERS: dict[OpOverload, tuple[Callable[..., object], str]] = {
    # The same kernels, told where to write: torch's own functions where there are some, as they are called faster.
    # Only kernels that write there at once; others make their result elsewhere and copy it.
    _aten.abs.default: (torch.abs, "out="),
    _aten.add.Tensor: (torch.add, "out="),
    _aten.addmm.default: (torch.addmm, "out="),
    _aten.bmm.default: (torch.bmm, "out="),
    _aten.cat.default: (torch.cat, "out="),
    _aten.clamp_min.default: (torch.clamp_min, "out="),
    _aten.div.Scalar: (torch.div, "out="),
    _aten.div.Tensor: (torch.div, "out="),
    _aten.exp.default: (torch.exp, "out="),
    _aten.ge.Tensor: (torch.ge, "out="),
    _aten.leaky_relu.default: (_aten.leaky_relu.out._op, "out="),
    _aten.leaky_relu_backward.default: (_aten.leaky_relu_backward.grad_input._op, "grad_input="),
    _aten.lerp.Tensor: (torch.lerp, "out="),
    _aten.linalg_vector_norm.default: (_aten.linalg_vector_norm.out._op, "out="),
    _aten.mean.default: (torch.mean, "out="),
    _aten.mean.dim: (torch.mean, "out="),
    _aten.mm.default: (torch.mm, "out="),
    _aten.mul.Scalar: (torch.mul, "out="),
    _aten.mul.Tensor: (torch.mul, "out="),
    _aten.mv.default: (torch.mv, "out="),
    _aten.neg.default: (torch.neg, "out="),
    _aten.pow.Tensor_Scalar: (torch.pow, "out="),
    _aten.relu.default: (torch.clamp_min, "0, out="),  # what relu is
    _aten.rsqrt.default: (torch.rsqrt, "out="),
    _aten.sgn.default: (torch.sgn, "out="),
    _aten.sigmoid.default: (torch.sigmoid, "out="),
    _aten.sigmoid_backward.default: (_aten.sigmoid_backward.grad_input._op, "grad_input="),
    _aten.softplus.default: (torch.nn.functional.softplus, "out="),
    _aten.softplus_backward.default: (_aten.softplus_backward.grad_input._op, "grad_input="),
    _aten.sub.Tensor: (torch.sub, "out="),
    _aten.sum.dim_IntList: (torch.sum, "out="),
    _aten.tanh.default: (torch.tanh, "out="),
    _aten.tanh_backward.default: (_aten.tanh_backward.grad_input._op, "grad_input="),
    _aten.threshold_backward.default: (_aten.threshold_backward.grad_input._op, "grad_input="),
}
_CALLED_FASTER: dict[OpOverload, Callable[..., object]] = {
    # The same kernels as torch's functions and methods, which read their arguments in two thirds of the time. Not all
    # that have a kernel's name have its defaults: binary_cross_entropy_with_logits has not.
    _aten._softmax.default: torch._softmax,
    _aten._unsafe_view.default: Tensor.view,
    _aten.add.out: torch.add,
    _aten.add_.Tensor: Tensor.add_,
    _aten.as_strided.default: torch.as_strided,
    _aten.clamp_min_.default: torch.clamp_min_,
    _aten.clone.default: torch.clone,
    _aten.constant_pad_nd.default: torch.constant_pad_nd,
    _aten.convolution.default: torch.convolution,
    _aten.copy_.default: Tensor.copy_,
    _aten.div.out: torch.div,
    _aten.div_.Tensor: Tensor.div_,
    _aten.empty_like.default: torch.empty_like,
    _aten.expand.default: Tensor.expand,
    _aten.flip.default: torch.flip,
    _aten.ge_.Scalar: Tensor.ge_,
    _aten.ge_.Tensor: Tensor.ge_,
    _aten.masked_fill_.Scalar: Tensor.masked_fill_,
    _aten.mul_.Tensor: Tensor.mul_,
    _aten.native_batch_norm.default: torch.native_batch_norm,
    _aten.native_group_norm.default: torch.native_group_norm,
    _aten.permute.default: torch.permute,
    getattr(_aten.random_, "from"): Tensor.random_,
    _aten.sigmoid_.default: torch.sigmoid_,
    _aten.split_with_sizes.default: torch.split_with_sizes,
    _aten.sub_.Tensor: Tensor.sub_,
    _aten.sum.default: torch.sum,
    _aten.t.default: torch.t,
    _aten.transpose.int: torch.transpose,
    _aten.unsqueeze.default: torch.unsqueeze,
    _aten.vdot.default: torch.vdot,
    _aten.view.default: Tensor.view,
    # Of the writers above, where a result is too large to be kept.
    **{
        kernel: writer
        for kernel, (writer, where) in _WRITERS.items()
        if where == "out=" and vars(torch).get(writer.__name__) is writer
    },
}
_COPIES = {_aten.clone.default, _aten._to_copy.default}  # in another layout or type
_FILLED = {_aten.ones_like.default: 1, _aten.zeros_like.default: 0}  # hang on no value
_SAME_EVERY_TIME = {_aten.arange.default, _aten.arange.start}  # made of numbers alone
_LEFT_OUT_UNUSED = {
    # Kernels that do nothing but make their results. Not every schema says so: BatchNorm's statistics are not in its.
    *_WRITERS,
    *_FILLED,
    *_SAME_EVERY_TIME,
    *_COPIES,
    _aten.empty.memory_format,
    _aten.convolution.default,
    _aten.convolution_backward.default,
    _aten.sum.default,
    torch.ops.mkldnn._linear_pointwise.default,
}
_WANTED = re.compile(r"\[(?:True|False), (?:True|False), (?:True|False)\]$")  # convolution_backward's last argument


class Line(NamedTuple):
    """One call: `t3 = aten_mm_default(t2, c1)`."""

    made: str  # names of the results as they stand before the call: "t3 = ", "t4, t5, = " or ""
    function: str
    arguments: str
    kernel: OpOverload | None = None  # None: any other function, called as a whole
    layout: tuple[torch.Size, tuple[int, ...], torch.dtype] | None = None  # of a result that is one new tensor

    def __str__(self) -> str:
        return f"{self.made}{self.function}({self.arguments})"

    @property
    def results(self) -> list[str]:
        """Names of the tensors made."""
        return _TENSOR.findall(self.made)

    @property
    def read(self) -> list[str]:
        """Names of the tensors handed in."""
        return _TENSOR.findall(self.arguments)


def compiled(
    lines: Sequence[Line], values: dict[str, Any], count: int, results: Sequence[str], reshaped: set[str]
) -> Callable[..., tuple[Tensor, ...]]:
    """A function of `count` inputs that runs `lines` and gives `results`.

    `values` are what names of functions, of tensors that live on and of other values stand for; `reshaped` the names of
    tensors that are given another shape in their place.
    """
    lines = _used(lines, results)
    shown = _shown(lines)  # name => that of the tensor whose memory it shows
    never_fixed = {shown.get(name, name) for name in {*results, *reshaped}}  # the caller keeps results
    changed = {
        shown.get(name, name)
        for line in lines
        for name in line.read
        if not line.kernel or line.kernel._schema.is_mutable
    }
    known = dict(values)  # what is the same in every step
    constant: set[str] = set()  # of these, what holds the same numbers in every step
    left: list[str] = []
    for line in lines:
        target = line.results[0] if len(line.results) == 1 else ""
        may_be_fixed = line.layout is not None and target not in never_fixed and _is_small(line.layout)
        is_constant = bool(line.read) and constant.issuperset(line.read) and target not in changed
        if line.kernel and line.kernel.is_view and all(name in known for name in line.read):
            _run_once(line, known)
            constant.update(line.results if is_constant else ())
        elif may_be_fixed and line.kernel is _aten.empty.memory_format:
            known[target] = _empty(line)
        elif may_be_fixed and line.kernel in _FILLED and target not in changed:
            known[target] = _empty(line).fill_(_FILLED[line.kernel])
            constant.add(target)
        elif may_be_fixed and (
            (line.kernel in _SAME_EVERY_TIME and target not in changed) or (line.kernel in _WRITERS and is_constant)
        ):
            _run_once(line, known)
            constant.add(target)
        elif may_be_fixed and line.kernel in _WRITERS:
            known[target] = _empty(line)
            writer, where = _WRITERS[line.kernel]
            known[f"into_{line.function}"] = writer
            left.append(f"into_{line.function}({line.arguments}, {where}{target})")
        elif may_be_fixed and line.kernel in _COPIES:
            known |= {target: _empty(line), "copied": Tensor.copy_}
            left.append(f"copied({target}, {line.read[0]})")
        elif line.kernel in _CALLED_FASTER:
            known[f"new_{line.function}"] = _CALLED_FASTER[line.kernel]
            left.append(f"{line.made}new_{line.function}({line.arguments})")
        else:
            left.append(str(line))
    return _function(left, known, count, results)


def _used(lines: Sequence[Line], results: Sequence[str]) -> list[Line]:
    """Without lines that only make what nobody reads, as gradients that an autograd function gives unasked."""
    needed, used = set(results), []
    for line in reversed(lines):
        is_view = line.kernel is not None and line.kernel.is_view
        if line.results and (is_view or line.kernel in _LEFT_OUT_UNUSED) and needed.isdisjoint(line.results):
            continue
        if line.kernel is _aten.convolution_backward.default:
            made = [name.strip() for name in line.made.removesuffix(" = ").rstrip(",").split(",")]
            made = [name if name in needed else "_" for name in made]
            wanted = _WANTED.sub(str([name != "_" for name in made]), line.arguments)
            line = line._replace(made=", ".join(made) + ", = ", arguments=wanted)
        needed.update(line.read)
        used.append(line)
    return used[::-1]


def _shown(lines: Sequence[Line]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for line in lines:
        if line.kernel and line.kernel.is_view and line.read:
            shown |= dict.fromkeys(line.results, shown.get(line.read[0], line.read[0]))
    return shown


def _is_small(layout: tuple[torch.Size, tuple[int, ...], torch.dtype]) -> bool:
    shape, _, dtype = layout
    return shape.numel() * dtype.itemsize <= _SMALL


def _empty(line: Line) -> Tensor:
    assert line.layout
    shape, stride, dtype = line.layout
    return torch.empty_strided(shape, stride, dtype=dtype)


def _run_once(line: Line, known: dict[str, Any]) -> None:
    with torch.no_grad():
        exec(str(line), known)


def _function(
    lines: Sequence[str], known: dict[str, Any], count: int, results: Sequence[str]
) -> Callable[..., tuple[Tensor, ...]]:
    """`lines` as a function; what one makes is freed after its last use."""
    needed, body = set(results) | known.keys(), []
    for line in reversed(lines):
        last_used = sorted({name for name in _TENSOR.findall(line) if name[0] == "t"} - needed)
        needed.update(last_used)
        body.append(f"    {line}" + (f"; del {', '.join(last_used)}" if last_used else ""))
    inputs = ", ".join(f"i{i}" for i in range(count))
    returned = "".join(f"{name}, " for name in results)
    source = "\n".join([f"def replay({inputs}):", *reversed(body), f"    return ({returned})"])
    exec(compile(source, "<recorded step>", "exec"), known)
    made_by_exec: Callable[..., tuple[Tensor, ...]] = known["replay"]
    return made_by_exec
