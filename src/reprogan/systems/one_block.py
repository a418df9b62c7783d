"""Several tensors as one: kernels that treat every number alike take longer for ten small tensors than for one."""

from collections.abc import Sequence

from torch import Tensor

_MOST = 1 << 18  # numbers: of larger networks the numbers themselves take the time


def move_together(tensors: Sequence[Tensor]) -> Tensor | None:
    """Give these tensors memory of one block, each laid out as it was; the block, one-dimensional.

    None, and nothing is done, for what would gain nothing or cannot be moved: one tensor, many numbers, another device
    than the CPU, tensors of several types, or some whose numbers do not lie side by side or lie in a block already,
    which somebody else relies on.
    """
    count = sum(tensor.numel() for tensor in tensors)
    one_kind = len({(tensor.dtype, tensor.device) for tensor in tensors}) == 1
    if len(tensors) < 2 or count > _MOST or not one_kind or not tensors[0].is_cpu:
        return None
    if not all(is_dense(tensor) and _has_memory_of_its_own(tensor) for tensor in tensors):
        return None
    block, first = tensors[0].new_empty(count), 0
    for tensor in tensors:
        there = block[first : first + tensor.numel()]
        there.copy_(in_memory(tensor))
        tensor.data = there.as_strided(tensor.shape, tensor.stride())
        first += tensor.numel()
    return block


def in_memory(tensor: Tensor) -> Tensor:
    """The numbers of a dense tensor in the order in which they lie, one-dimensional, sharing its memory."""
    return tensor.detach().as_strided((tensor.numel(),), (1,))


def is_dense(tensor: Tensor) -> bool:
    """Whether a tensor's numbers lie side by side, in whatever order."""
    sizes = sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)
    expected = 1
    for stride, size in sizes:
        if stride != expected:
            return False
        expected *= size
    return tensor.numel() > 0


def _has_memory_of_its_own(tensor: Tensor) -> bool:
    return tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def joined(tensors: Sequence[Tensor]) -> Tensor | None:
    """Tensors that lie one after the other in one block, as one; None if they do not."""
    if len(tensors) < 2 or not all(map(is_dense, tensors)) or len({tensor.dtype for tensor in tensors}) > 1:
        return None
    start = tensors[0].storage_offset()
    storage = tensors[0].untyped_storage().data_ptr()
    at = start
    for tensor in tensors:
        if tensor.untyped_storage().data_ptr() != storage or tensor.storage_offset() != at:
            return None
        at += tensor.numel()
    return tensors[0].detach().as_strided((at - start,), (1,), start)
