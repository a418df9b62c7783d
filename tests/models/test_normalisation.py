"""Our normalisation over an image against torch's own in double precision, to the third derivative."""

import copy

import pytest
import torch
from torch import nn

from reprogan.models.layers import stock
from reprogan.models.normalisation import LayerNorm2d


def pair(channels: int) -> tuple[LayerNorm2d, nn.Module]:
    """Ours with weights unlike those it begins with, and torch's with the same."""
    torch.manual_seed(1)
    ours = LayerNorm2d(channels)
    for weights in ours.parameters():
        nn.init.normal_(weights)
    theirs = stock(copy.deepcopy(ours)).double()
    assert type(theirs) is nn.GroupNorm
    return ours, theirs


@pytest.mark.parametrize("scale", [1.0, 1e-3], ids=["", "where eps counts"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_norm_and_its_derivatives(layout, scale):
    ours, theirs = pair(6)
    x = (torch.randn(4, 6, 5, 3) * scale + 0.1 * scale).contiguous(memory_format=layout)
    g = torch.randn(4, 6, 5, 3)

    def all_of(norm, x, g):
        x, g = x.requires_grad_(), g.requires_grad_()
        y = norm(x)
        of = [x, *norm.parameters()]
        first = torch.autograd.grad((y * g).sum() + y.pow(3).sum(), of, create_graph=True)
        slopes = sum(one.square().sum() for one in first)  # of the weights, too
        second = torch.autograd.grad(slopes, [g, *of], create_graph=True)
        third = torch.autograd.grad(second[1].square().sum(), [g, *of])
        once = torch.autograd.grad((norm(x) * g).sum(), of)  # nothing is differentiated again
        return [y, *first, *second, *third, *once]

    found = all_of(ours, x.clone(memory_format=torch.preserve_format), g.clone())
    wanted = all_of(theirs, x.double(), g.double())
    for mine, exact in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.double(), exact, rtol=1e-3, atol=1e-4 * float(exact.abs().max()))


@pytest.mark.parametrize("wanted", ["x", "weights", "slope"])
def test_the_derivative_of_a_gradient_by_one_of_what_it_hangs_on(wanted):
    """As a penalty has it: only the gradient with respect to x is there, and differentiated without a graph."""
    ours, theirs = pair(3)
    x, g = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)

    def penalty(norm, x, g):
        x, g = x.requires_grad_(), g.requires_grad_()
        (slope,) = torch.autograd.grad(norm(x), x, g, create_graph=True)
        of = {"x": x, "slope": g, "weights": next(norm.parameters())}[wanted]
        return torch.autograd.grad(slope.square().sum(), of)[0]

    found, exact = penalty(ours, x.clone(), g.clone()), penalty(theirs, x.double(), g.double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))


def test_other_types_and_shapes_go_torchs_way():
    assert LayerNorm2d(3).double()(torch.randn(2, 3, 4, 4, dtype=torch.float64)).dtype == torch.float64
    assert LayerNorm2d(3)(torch.randn(2, 3, 4)).shape == (2, 3, 4)
