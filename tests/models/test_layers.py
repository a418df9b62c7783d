"""Our linear and dropout layers against torch's; norms against what they promise."""

import copy

import pytest
import torch
from torch import nn

from reprogan.models import product as products
from reprogan.models.layers import Dropout, Linear, Shrink, Tanh, norm_layer, shrunk, spectral_norm, stock


@pytest.fixture(params=["oneDNN", "torch"])
def product(request, monkeypatch) -> str:
    """Both ways that a linear layer computes."""
    monkeypatch.delenv("MKL_CBWR", raising=False)
    monkeypatch.setattr(products, "_is_intel", lambda: request.param == "torch")
    monkeypatch.setattr(products, "_LEAST", 0)
    return request.param


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows, inputs, outputs", [(64, 784, 100), (1, 20, 100), (128, 100, 1), (3, 5, 7)])
def test_a_linear_layer_and_its_gradients(product, rows, inputs, outputs, bias):
    torch.manual_seed(1)
    ours = Linear(inputs, outputs, bias=bias)
    theirs = stock(copy.deepcopy(ours)).double()
    assert type(theirs) is nn.Linear
    x = torch.randn(rows, inputs, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    y, expected = ours(x), theirs(exact)
    if product == "oneDNN":
        assert "ProductBackward" in str(y.grad_fn)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)
    slope = torch.randn_like(y)
    found = torch.autograd.grad(y, [x, *ours.parameters()], slope)
    wanted = torch.autograd.grad(expected, [exact, *theirs.parameters()], slope.double())
    for gradient, exact_gradient in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-4)


def test_it_can_be_differentiated_twice(product):
    """As a penalty on gradients does."""
    torch.manual_seed(1)
    ours = nn.Sequential(Linear(6, 5), nn.Tanh(), Linear(5, 1))
    theirs = stock(copy.deepcopy(ours)).double()
    x = torch.randn(4, 6)

    def penalty(network: nn.Module, at: torch.Tensor) -> list[torch.Tensor]:
        at = at.requires_grad_()
        (slope,) = torch.autograd.grad(network(at).sum(), at, create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), list(network.parameters()), allow_unused=True))

    for found, wanted in zip(penalty(ours, x.clone()), penalty(theirs, x.double()), strict=True):
        if wanted is not None:
            torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


def test_other_shapes_and_types_go_torchs_way(product):
    layer = Linear(4, 3)
    assert layer(torch.randn(2, 5, 4)).shape == (2, 5, 3)
    assert layer.double()(torch.randn(2, 4, dtype=torch.float64)).dtype == torch.float64


def test_an_empty_batch(product):
    assert Linear(4, 3)(torch.empty(0, 4)).shape == (0, 3)


@pytest.mark.parametrize(
    "held, intel, rows, is_onednns",
    [
        (True, True, 8, True),
        (True, True, 7, False),
        (False, False, 32, True),
        (False, False, 31, False),
        (False, True, 1000, False),
    ],
)
def test_which_library_multiplies(held, intel, rows, is_onednns, monkeypatch):
    """oneDNN where MKL is held back, or holds itself back, and the product is large enough to be worth its call."""
    if held:
        monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    else:
        monkeypatch.delenv("MKL_CBWR", raising=False)
    monkeypatch.setattr(products, "_is_intel", lambda: intel)
    assert products.onednn_is_faster(torch.empty(rows, 256), 512) is is_onednns
    a, b = torch.randn(rows, 256), torch.randn(512, 256)
    torch.testing.assert_close(products.product(a, b).double(), a.double() @ b.double().t(), rtol=1e-4, atol=1e-4)


def test_tanh_and_its_derivatives():
    x = torch.linspace(-12, 12, 9001, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    y, expected = Tanh()(x), torch.tanh(exact)
    assert float((y - expected).detach().abs().max()) < 2e-7
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (wanted,) = torch.autograd.grad(expected.sum(), exact, create_graph=True)
    assert float((first - wanted).detach().abs().max()) < 4e-7
    (second,) = torch.autograd.grad(first.square().sum(), x)
    (wanted,) = torch.autograd.grad(wanted.square().sum(), exact)
    assert float((second - wanted).abs().max()) < 2e-6
    assert type(stock(Tanh())) is nn.Tanh


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_leaves_out_a_small_share_as_exactly_in_any_type(dtype):
    torch.manual_seed(1)
    y = Dropout(0.001)(torch.ones(1000, 1000, dtype=dtype))
    assert y.dtype == dtype
    assert float((y == 0).float().mean()) == pytest.approx(0.001, rel=0.2)


def test_dropout_leaves_out_the_share_and_keeps_the_mean():
    torch.manual_seed(1)
    layer = Dropout(0.3)
    x = torch.ones(400, 500, requires_grad=True)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())


def test_dropout_draws_from_the_seeded_generator_and_rests_in_eval_mode():
    layer, x = Dropout(0.5), torch.randn(8, 8)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)
    assert layer.eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 4), nn.Linear(6, 9), nn.ConvTranspose2d(4, 3, 2)], ids=str)
def test_the_largest_singular_value_becomes_one(layer):
    torch.manual_seed(1)
    layer = spectral_norm(copy.deepcopy(layer))
    rows = (lambda w: w.transpose(0, 1).flatten(1)) if isinstance(layer, nn.ConvTranspose2d) else lambda w: w.flatten(1)
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(7.0)
        for _ in range(300):
            weight = layer.weight
    assert torch.linalg.svdvals(rows(weight))[0].item() == pytest.approx(1.0, rel=1e-4)
    original = layer.parametrizations.weight.original.detach()
    torch.testing.assert_close(weight, original / torch.linalg.svdvals(rows(original))[0], rtol=1e-3, atol=1e-4)


def test_a_pass_is_one_power_iteration_and_eval_mode_is_none():
    torch.manual_seed(1)
    layer, x = spectral_norm(nn.Linear(6, 9, bias=False)), torch.randn(2, 6)
    inner, weight = layer.parametrizations.weight[0], layer.parametrizations.weight.original.detach()
    u, v = inner._u.clone(), inner._v.clone()
    y = layer(x)
    u = nn.functional.normalize(weight @ v, dim=0)
    v = nn.functional.normalize(weight.t() @ u, dim=0)
    torch.testing.assert_close((inner._u, inner._v), (u, v))
    torch.testing.assert_close(y.detach(), x @ weight.t() / (u @ weight @ v))
    torch.testing.assert_close(layer.eval()(x), y)
    assert torch.equal(inner._u, layer.parametrizations.weight[0]._u) and torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("norm, over", [("batch", (0, 2, 3)), ("instance", (2, 3)), ("layer", (1, 2, 3))])
def test_what_a_norm_takes_mean_and_variance_over(norm, over):
    torch.manual_seed(1)
    x = 3 * torch.randn(4, 6, 5, 5) + torch.arange(6.0).view(6, 1, 1)
    centred = x - x.mean(over, keepdim=True)
    expected = centred / (centred.square().mean(over, keepdim=True) + 1e-5).sqrt()
    layer = norm_layer(norm, 6)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)
    assert {key: weight.shape for key, weight in layer.named_parameters()} == {"weight": (6,), "bias": (6,)}


@pytest.mark.parametrize("norm", ["spectral", "none"])
def test_without_a_norm_of_activations_nothing_is_changed(norm):
    x = torch.randn(2, 3, 4, 4)
    assert norm_layer(norm, 3)(x) is x


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("by, shape", [(1, (2, 3, 6, 8)), (2, (2, 3, 6, 8)), (4, (2, 1, 8, 12)), (3, (2, 3, 6, 9))])
def test_shrunk_images_and_their_derivatives(by, shape, layout):
    torch.manual_seed(1)
    images = torch.randn(shape).contiguous(memory_format=layout).requires_grad_()
    exact = images.detach().double().requires_grad_()

    def all_of(x, small):
        (first,) = torch.autograd.grad(small.pow(3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        return [small, first, second]

    wanted = all_of(exact, nn.functional.avg_pool2d(exact, by))
    for mine, theirs in zip(all_of(images, shrunk(images, by)), wanted, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-5)


def test_pixels_left_over_are_not_looked_at():
    images = torch.randn(2, 3, 9, 7)
    torch.testing.assert_close(shrunk(images, 2), nn.functional.avg_pool2d(images, 2))
    assert torch.equal(Shrink(4)(images), shrunk(images, 4))
    assert type(stock(Shrink(4))) is nn.AvgPool2d
