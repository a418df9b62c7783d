"""Penalties on a discriminator's gradients against finite differences, in float64."""

import pytest
import torch
from torch import Tensor, nn

from reprogan.losses import relativistic, wasserstein

COUNT, SHAPE = 5, (2, 3, 3)
STEP = 1e-6


@pytest.fixture(autouse=True)
def double():
    """Numbers exact enough for differences."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def discriminator() -> nn.Sequential:
    """A smooth one: (N, 2, 3, 3) => (N,)."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0))


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Real and generated images that require gradients, as the system hands them over."""
    source = torch.Generator().manual_seed(2)
    real, fake = (torch.rand(COUNT, *SHAPE, generator=source) * 2 - 1 for _ in range(2))
    return real.requires_grad_(), fake.requires_grad_()


def gradient_norms(discriminator: nn.Module, images: Tensor) -> Tensor:
    """|∇D| at each image, by central differences of one pixel at a time."""
    norms = []
    for image in images.detach():
        squares = 0.0
        for pixel in range(image.numel()):
            shift = torch.zeros(image.numel())
            shift[pixel] = STEP
            shift = shift.view(1, *SHAPE)
            with torch.no_grad():
                slope = (discriminator(image + shift) - discriminator(image - shift)).item() / (2 * STEP)
            squares += slope**2
        norms.append(squares**0.5)
    return torch.tensor(norms)


def places(seed: int) -> Tensor:
    return torch.rand(COUNT, 1, 1, 1, generator=torch.Generator().manual_seed(seed))


def penalty(loss, discriminator: nn.Module, pair: tuple[Tensor, Tensor], seed: int = 3) -> tuple[Tensor, Tensor]:
    logits = discriminator(torch.cat(pair))
    return loss.penalty(discriminator, *pair, logits, places(seed))


def test_the_gradient_penalty(discriminator, pair):
    real, fake = (images.detach() for images in pair)
    norms = gradient_norms(discriminator, real + places(3) * (fake - real))
    value, mean_norm = penalty(wasserstein, discriminator, pair)
    assert value.item() == pytest.approx((norms - 1).square().mean().item(), rel=1e-7)
    assert mean_norm.item() == pytest.approx(norms.mean().item(), rel=1e-7)
    assert value.requires_grad and not mean_norm.requires_grad


def test_r1_and_r2(discriminator, pair):
    of_real, of_fake = (gradient_norms(discriminator, images) for images in pair)
    value, mean_norm = penalty(relativistic, discriminator, pair)
    by_hand = of_real.square().mean() / 2 + of_fake.square().mean() / 2
    assert value.item() == pytest.approx(by_hand.item(), rel=1e-7)
    assert mean_norm.item() == pytest.approx(torch.cat((of_real, of_fake)).mean().item(), rel=1e-7)
    assert value.requires_grad and not mean_norm.requires_grad


def test_both_judged_as_one_tensor(discriminator, pair):
    joined = torch.cat([images.detach() for images in pair]).requires_grad_()
    found = relativistic.penalty(discriminator, *pair, discriminator(joined), None, joined)
    torch.testing.assert_close(found, penalty(relativistic, discriminator, pair))


@pytest.mark.parametrize("loss", [wasserstein, relativistic], ids=["gradient penalty", "R1 and R2"])
def test_the_penaltys_own_gradient(discriminator, pair, loss):
    for layer in (discriminator[0], discriminator[3]):
        (found,) = torch.autograd.grad(penalty(loss, discriminator, pair)[0], layer.weight)
        for index in (0, layer.weight.numel() // 2, layer.weight.numel() - 1):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    layer.weight.view(-1)[index] += sign * STEP
                values.append(penalty(loss, discriminator, pair)[0].item())
                with torch.no_grad():
                    layer.weight.view(-1)[index] -= sign * STEP
            slope = (values[0] - values[1]) / (2 * STEP)
            assert abs(slope) > 1e-4
            assert found.flatten()[index].item() == pytest.approx(slope, rel=1e-5)


def judged_places(pair: tuple[Tensor, Tensor], discriminator: nn.Module, seed: int) -> Tensor:
    """Where the penalty looks: how far each pixel of what is judged lies from real to fake, (N, pixels)."""
    judged = []

    def spy(images: Tensor) -> Tensor:
        judged.append(images.detach())
        return discriminator(images)

    real, fake = pair
    wasserstein.penalty(spy, real, fake, torch.empty(0), places(seed))
    (between,) = judged
    return ((between - real) / (fake - real)).detach().flatten(1)


def test_each_image_is_judged_at_one_place_between_real_and_fake(discriminator, pair):
    found = judged_places(pair, discriminator, 3)
    torch.testing.assert_close(found, places(3).flatten(1).expand_as(found))
    assert (found > 0).all() and (found < 1).all()
    assert len(found[:, 0].unique()) == COUNT
    assert not torch.allclose(judged_places(pair, discriminator, 4), found)


@pytest.mark.parametrize("loss", [wasserstein, relativistic], ids=["gradient penalty", "R1 and R2"])
def test_identical_images_and_a_flat_discriminator_give_finite_gradients(discriminator, pair, loss):
    twice = (pair[0], pair[0].detach().clone().requires_grad_())
    flat = nn.Sequential(nn.Flatten(), nn.Linear(18, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
    with torch.no_grad():
        flat[1].bias.fill_(-100.0)
    for network, norm in ((discriminator, None), (flat, 0.0)):
        value, mean_norm = penalty(loss, network, twice)
        gradients = torch.autograd.grad(value, list(network.parameters()), allow_unused=True)
        assert all(torch.isfinite(gradient).all() for gradient in gradients if gradient is not None)
        assert norm is None or mean_norm.item() == norm
        assert norm is None or value.item() == (1.0 if loss is wasserstein else 0.0)
