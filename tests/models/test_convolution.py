"""Our convolutions and BatchNorm against torch's own in double precision: results, first and second derivatives."""

import copy

import pytest
import torch
from torch import Tensor, nn

from reprogan.models.convolution import BatchNorm2d, Conv2d, ConvTranspose2d
from reprogan.models.layers import spectral_norm, stock

LAYERS = {
    "strided": (Conv2d(5, 6, 4, 2, 1), (3, 5, 10, 12)),
    "of one channel": (Conv2d(1, 6, 4, 2, 1, bias=False), (3, 1, 12, 10)),
    "of three channels, kernel 8": (Conv2d(3, 6, 8, 2), (2, 3, 20, 20)),
    "of three channels, with pixels left over": (Conv2d(3, 6, 4, 2), (2, 3, 11, 13)),
    "of an odd kernel": (Conv2d(3, 4, 3, 2, 1), (2, 3, 9, 9)),
    "of kernel 5": (Conv2d(2, 4, 5, 2, 2), (2, 2, 9, 12)),
    "grouped": (Conv2d(8, 8, 3, 1, 1, groups=4), (3, 8, 7, 7)),
    "of a position": (Conv2d(6, 4, 1), (2, 6, 5, 5)),
    "of the whole image": (Conv2d(6, 4, 5), (3, 6, 5, 5)),
    "of the whole image, each channel alone": (Conv2d(6, 6, 5, groups=6, bias=False), (3, 6, 5, 5)),
    "transposed": (ConvTranspose2d(6, 5, 4, 2, 1), (3, 6, 5, 6)),
    "transposed, from a position": (ConvTranspose2d(6, 5, 4), (3, 6, 1, 1)),
    "transposed, from a position, without bias": (ConvTranspose2d(6, 5, 4, bias=False), (3, 6, 1, 1)),
    "transposed to one channel": (ConvTranspose2d(6, 1, 4, 2, 1), (3, 6, 5, 6)),
    "transposed to three channels, kernel 8": (ConvTranspose2d(6, 3, 8, 2, padding=1), (2, 6, 7, 7)),
    "transposed to three channels, odd kernel": (ConvTranspose2d(6, 3, 3, 2, 1), (2, 6, 4, 4)),
    "transposed, torch's own way": (ConvTranspose2d(6, 3, 3, 2, 1, output_padding=1), (2, 6, 4, 4)),
    "dilated, torch's own way": (Conv2d(3, 4, 3, dilation=2), (2, 3, 9, 9)),
}


def gradients(network: nn.Module, x: Tensor, direction: Tensor) -> list[Tensor]:
    """The result; its first derivatives; those of a penalty on the first one, as R1 is."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = network(x)
    first = torch.autograd.grad((y * direction).sum(), [x, *network.parameters()], create_graph=True)
    curved = torch.nn.functional.softplus(network(x))  # a second derivative with respect to x, too
    (slope,) = torch.autograd.grad(curved.sum(), x, create_graph=True)
    second = torch.autograd.grad(slope.square().sum(), [x, *network.parameters()])
    return [y, *first, *second]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("name", LAYERS)
def test_a_convolution_and_its_derivatives(name, layout):
    torch.manual_seed(1)
    layer, shape = LAYERS[name]
    ours = copy.deepcopy(layer).to(memory_format=layout)
    theirs = stock(copy.deepcopy(ours)).double()
    assert type(theirs) in (nn.Conv2d, nn.ConvTranspose2d)
    x = torch.randn(shape).to(memory_format=layout)
    direction = torch.randn(theirs(x.double()).shape)
    found = gradients(ours, x, direction)
    wanted = gradients(theirs, x.double(), direction.double())
    for mine, exact in zip(found, wanted, strict=True):
        assert mine.shape == exact.shape
        torch.testing.assert_close(mine.double(), exact, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["strided", "of one channel", "grouped", "transposed", "transposed to one channel"])
def test_derivatives_to_the_third(name):
    """None is wrong, though training asks for two."""
    torch.manual_seed(1)
    layer, shape = LAYERS[name]
    layer = copy.deepcopy(layer)

    def third(network: nn.Module, dtype: torch.dtype) -> list[Tensor]:
        x = torch.linspace(-1, 1, torch.Size(shape).numel(), dtype=dtype).view(shape).requires_grad_()
        (first,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(3).sum(), x, create_graph=True)
        return list(torch.autograd.grad(second.square().sum(), [x, *network.parameters()]))

    found = third(layer, torch.float32)
    wanted = third(stock(copy.deepcopy(layer)).double(), torch.float64)
    for mine, exact in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.double(), exact, rtol=1e-3, atol=1e-3 * float(exact.abs().max()))


def test_a_kernel_of_more_than_one_channel_is_torchs_own_where_the_type_is_another():
    layer = Conv2d(3, 4, 4, 2, 1).double()
    assert layer(torch.randn(2, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert Conv2d(3, 4, 4, 2, 1)(torch.randn(2, 3, 8, 8)).dtype == torch.bfloat16


def test_stock_reaches_what_is_derived_from_ours():
    layer = stock(spectral_norm(Conv2d(6, 4, 5)))
    assert "ProductBackward" not in str(layer(torch.randn(2, 6, 5, 5)).grad_fn)
    assert layer.is_stock


@pytest.mark.parametrize("channels", [3, 8, 16])
def test_batch_norm_and_its_derivatives(channels):
    torch.manual_seed(1)
    ours = BatchNorm2d(channels)
    theirs = stock(copy.deepcopy(ours)).double()
    assert type(theirs) is nn.BatchNorm2d
    x = torch.randn(4, channels, 6, 6).to(memory_format=torch.channels_last)
    assert ours(x).is_contiguous(memory_format=torch.channels_last)
    theirs(x.double())
    direction = torch.randn_like(x)
    for mine, exact in zip(
        gradients(ours, x, direction), gradients(theirs, x.double(), direction.double()), strict=True
    ):
        torch.testing.assert_close(mine.double(), exact, rtol=1e-4, atol=1e-4)
    for mine, exact in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine.double(), exact.double(), rtol=1e-5, atol=1e-5)
