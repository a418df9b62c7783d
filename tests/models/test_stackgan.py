"""Both stages: shapes, what is frozen, how a caption becomes a condition, what a discriminator compares."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from reprogan.errors import UserError
from reprogan.models import architecture

CAPTIONS = {"widths": [2], "word_size": 3, "phrases": [1, 2], "features": 5}
SETTINGS = {"stage": 1, "latent_size": 4, "condition_size": 3, "filters": 1, "residual_blocks": 1}
WORDS = 9
TOKENS = torch.tensor([[3, 1, 9, 4], [7, 0, 0, 0], [1, 2, 3, 0]])


def encoders(shape: tuple[int, int, int] = (3, 64, 64)) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return architecture.build("caption_features", CAPTIONS, shape, 0, words=WORDS)


def first_stage(side: int = 64, channels: int = 3, **changes: object) -> dict[str, nn.Module]:
    shape = (channels, side, side)
    upstream = encoders(shape)
    return architecture.build("stackgan", SETTINGS | changes, shape, 0, words=WORDS, upstream=upstream)


def second_stage(side: int = 128, **changes: object) -> dict[str, nn.Module]:
    upstream = first_stage(side)
    settings = SETTINGS | {"stage": 2} | changes
    return architecture.build("stackgan", settings, (3, side, side), 0, words=WORDS, upstream=upstream)


def latents(generator: nn.Module, count: int = 3) -> Tensor:
    return torch.randn(count, generator.latent_size, generator=torch.Generator().manual_seed(2))


def given_to(module: nn.Module) -> list[Tensor]:
    """What comes into it, filled at each pass."""
    seen: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    return seen


# ---- shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_stage_makes_64x64_whatever_the_data(side, channels):
    networks = first_stage(side, channels)
    generator, discriminator = networks["generator"], networks["discriminator"]
    images = generator(latents(generator), TOKENS)
    assert images.shape == (3, channels, 64, 64) and images.dtype == torch.float32 and images.abs().max() <= 1
    assert generator.latent_size == 4 + 3 and discriminator.side == 64
    assert discriminator(images, generator.features_of(TOKENS)).shape == (3,)
    assert list(networks) == ["generator", "discriminator", "image_encoder"]


@pytest.mark.parametrize("side, channels", [(128, [4, 2, 1]), (256, [4, 2, 1, 1])])
def test_the_second_stage_makes_images_of_the_datas_size(side, channels):
    networks = second_stage(side)
    generator, discriminator = networks["generator"], networks["discriminator"]
    z, found = latents(generator, 2), given_to(generator.drawing)
    images = generator(z, TOKENS[:2])
    assert images.shape == (2, 3, side, side) and images.abs().max() <= 1
    assert generator.latent_size == 3 + (4 + 3) and discriminator.side == side
    assert discriminator(images, generator.features_of(TOKENS[:2])).shape == (2,)
    assert [tuple(x.shape) for x in found] == [(2, 4, 16, 16)]
    convolutions = [m for m in generator.drawing.modules() if isinstance(m, nn.Conv2d)]
    assert [c.in_channels for c in convolutions] == channels and convolutions[-1].out_channels == 4 * 3


def test_layers_of_the_first_stage():
    """Zhang et al. 2017, section 3.4: from 4×4 up, each pixel four times and a 3×3 convolution."""
    generator = first_stage(filters=16)["generator"]
    assert [type(m).__name__ for m in generator.layers] == [
        *("Unflatten", "ConvTranspose2d", "BatchNorm2d", "ReLU"),
        *("Upsample", "Conv2d", "BatchNorm2d", "ReLU") * 3,
        *("Upsample", "Conv2d", "Tanh"),
    ]
    convolutions = [m for m in generator.layers if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(128, 64), (64, 32), (32, 16), (16, 3)]
    assert {(m.scale_factor, m.mode) for m in generator.layers if isinstance(m, nn.Upsample)} == {(2.0, "nearest")}


# ---- conditions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [first_stage, second_stage])
def test_tokens_and_their_features_give_the_same_image(stage):
    generator = stage()["generator"].eval()
    z, text = latents(generator), generator.features_of(TOKENS)
    torch.testing.assert_close(generator(z, text), generator(z, TOKENS))
    assert torch.equal(generator.features_of(text), text)
    assert not torch.allclose(generator(z, TOKENS.flip(0)), generator(z, TOKENS), atol=1e-4)


def test_a_captions_features_are_as_long_as_those_of_normal_numbers():
    generator = first_stage()["generator"]
    found, encoded = generator.features_of(TOKENS), generator.text_encoder(TOKENS)
    for row, of_encoder in zip(found.tolist(), encoded.tolist(), strict=True):
        length = math.sqrt(sum(x * x for x in of_encoder))
        assert row == pytest.approx([math.sqrt(5) * x / length for x in of_encoder], rel=1e-5)


@torch.no_grad()
def test_conditions_are_normal_numbers_round_their_captions_mean():
    """Section 3.2: by their moments over many draws; the latents beside them are as they were drawn."""
    generator, count = first_stage()["generator"], 40_000
    generator.augmentation.layers[-1].weight.mul_(4)
    generator.layers = nn.Identity()
    text = generator.features_of(TOKENS[:1])
    z = latents(generator, count)
    made, mean, log_variance = generator.draw(z, text.expand(count, -1))
    assert torch.equal(made[:, 3:], z[:, 3:])
    condition = made[:, :3]
    assert mean.shape == log_variance.shape == (count, 3) and torch.equal(mean[0], mean[-1])
    deviation = log_variance[0].exp().sqrt()
    assert (deviation - 1).abs().max() > 0.1 and mean.abs().max() > 0.1
    for column in range(3):
        of_column = condition[:, column]
        assert of_column.mean().item() == pytest.approx(mean[0, column].item(), abs=4 * deviation[column].item() / 200)
        assert of_column.std().item() == pytest.approx(deviation[column].item(), rel=0.02)
    correlation = torch.corrcoef(made.t())
    torch.testing.assert_close(correlation, torch.eye(7), rtol=0, atol=0.03)


def test_each_caption_has_a_condition_of_its_own():
    for stage in (first_stage, second_stage):
        generator = stage()["generator"]
        _, mean, log_variance = generator.draw(latents(generator), TOKENS)
        assert (mean[0] - mean[1]).abs().max() > 1e-3 and (log_variance[0] - log_variance[1]).abs().max() > 1e-3


# ---- the second stage ---------------------------------------------------------------------------------------------


def test_the_second_stage_reads_the_firsts_image_and_the_condition():
    generator = second_stage()["generator"]
    z, text = latents(generator), generator.features_of(TOKENS)
    read, joined, augmented = (
        given_to(part) for part in (generator.reading, generator.joining, generator.augmentation)
    )
    _, mean, log_variance = generator.draw(z, TOKENS)
    assert torch.equal(read[0], generator.first(z[:, 3:], text)) and torch.equal(augmented[0], text)
    condition = mean + log_variance.exp().sqrt() * z[:, :3]
    assert joined[0].shape == (3, 4 + 3, 16, 16)
    for row in (0, 7, 15):
        torch.testing.assert_close(joined[0][:, 4:, row, 15 - row], condition.detach())


@pytest.mark.parametrize("side", [128, 256])
def test_the_second_stage_begins_with_the_firsts_image_enlarged(side):
    """Under tanh, whatever its own condition is."""
    generator = second_stage(side)["generator"]
    z = latents(generator, 2)
    images, small = generator(z, TOKENS[:2]), generator.first(z[:, 3:], TOKENS[:2])
    large = interpolate(small, (side, side), mode="bilinear", align_corners=False)
    torch.testing.assert_close(images, torch.tanh(large))
    other = torch.cat((-z[:, :3], z[:, 3:]), 1)
    torch.testing.assert_close(generator(other, TOKENS[:2]), images)
    with torch.no_grad():
        generator.drawing[-3].weight.fill_(0.3)
    assert not torch.allclose(generator(other, TOKENS[:2]), generator(z, TOKENS[:2]), atol=1e-4)


def test_four_pixels_drawn_at_a_time_are_no_chequered_pattern():
    generator = second_stage()["generator"]
    pixels = torch.randn(3 * 4, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        generator.drawing[-3].bias.copy_(pixels)  # each of the four another value, whatever is drawn
        drawn = generator.drawing(torch.randn(2, 4, 16, 16))
    means = pixels.view(4, 3).mean(0)
    torch.testing.assert_close(drawn[:, :, 1:, 1:], means[:, None, None].expand(2, 3, 127, 127))
    assert not torch.allclose(drawn[:, :, 0], means[:, None].expand(2, 3, 128))  # an edge has no neighbour beyond it


def test_the_first_stage_is_frozen_in_the_second():
    generator = second_stage()["generator"]
    before = {key: value.clone() for key, value in generator.first.state_dict().items()}
    generator.train()
    assert generator.training and generator.drawing.training
    assert not any(module.training for module in generator.first.modules())
    statistics = {key: value.clone() for key, value in generator.joining.state_dict().items()}
    generator(latents(generator), TOKENS).square().sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in generator.first.state_dict().items())
    assert not all(torch.equal(value, statistics[key]) for key, value in generator.joining.state_dict().items())
    assert all(not w.requires_grad and w.grad is None for w in generator.first.parameters())
    learned = {name for name, weight in generator.named_parameters() if weight.requires_grad}
    assert learned == {name for name, _ in generator.named_parameters() if not name.startswith("first.")}


def test_what_reads_captions_is_frozen_in_the_first():
    networks = first_stage()
    generator = networks["generator"].train()
    generator(latents(generator), TOKENS).square().sum().backward()
    frozen = {name for name, weight in generator.named_parameters() if not weight.requires_grad}
    assert frozen == {f"text_encoder.{name}" for name, _ in generator.text_encoder.named_parameters()}
    assert all(weight.grad is not None for name, weight in generator.named_parameters() if name not in frozen)
    assert not any(weight.requires_grad for weight in networks["image_encoder"].parameters())
    assert not networks["image_encoder"].training


@pytest.mark.parametrize("blocks", [0, 2])
def test_residual_blocks(blocks):
    generator = second_stage(residual_blocks=blocks)["generator"]
    found = list(generator.joining)[3:]
    assert len(found) == blocks
    for block in found:
        block.eval()
        x = torch.randn(2, 4, 5, 5)
        torch.testing.assert_close(block(x), (x + block.layers(x)).clamp(min=0))


# ---- the discriminator --------------------------------------------------------------------------------------------


def test_a_discriminator_sees_and_then_matches():
    discriminator = first_stage(filters=2)["discriminator"]
    images, text = torch.rand(3, 3, 64, 64) * 2 - 1, torch.randn(3, 5)
    seen = discriminator.see(images)
    assert seen.shape == (3, 16, 4, 4)
    logits = discriminator(images, text)
    torch.testing.assert_close(discriminator.match(seen, text), logits)
    together = discriminator.match(torch.cat((seen, seen)), torch.cat((text, text.roll(1, 0))))
    torch.testing.assert_close(together[:3], logits)
    torch.testing.assert_close(together[3:], discriminator(images, text[[2, 0, 1]]))
    assert (together[3:] - logits).abs().min() > 1e-5


def test_an_inner_product_joins_image_and_caption():
    """Miyato and Koyama 2018, Equation 3, beside what the head makes of both."""
    discriminator = first_stage(filters=2)["discriminator"].requires_grad_(False)
    images, text = torch.rand(3, 3, 64, 64) * 2 - 1, torch.randn(3, 5)
    seen, found = discriminator.see(images), discriminator(images, text)
    weight, bias = discriminator.projection.weight, discriminator.projection.bias
    for index in range(3):
        total = 0.0
        for channel in range(16):
            of_text = float(bias[channel]) + sum(float(weight[channel, i]) * float(text[index, i]) for i in range(5))
            total += of_text * float(seen[index, channel].mean())
        told = discriminator.text(text[index]).repeat(4, 4, 1).permute(2, 0, 1)
        joined = discriminator.head(torch.cat((seen[index], told))[None])
        assert found[index].item() == pytest.approx(float(joined) + total, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("by", [2, 4])
def test_larger_images_are_reduced_by_means_over_squares(by):
    discriminator = first_stage()["discriminator"]
    images, text = torch.rand(2, 3, 64 * by, 64 * by) * 2 - 1, torch.randn(2, 5)
    small = torch.stack([images[:, :, row::by, column::by] for row in range(by) for column in range(by)]).mean(0)
    torch.testing.assert_close(discriminator(images, text), discriminator(small, text))


# ---- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage, shape, least", [(1, (3, 32, 32), 64), (1, (3, 64, 128), 64), (1, (3, 96, 96), 64), (2, (3, 64, 64), 128)]
)
def test_images_of_another_size_are_one_line(stage, shape, least):
    upstream = encoders() if stage == 1 else first_stage()
    with pytest.raises(UserError) as error:
        architecture.build("stackgan", SETTINGS | {"stage": stage}, shape, 0, words=WORDS, upstream=upstream)
    assert str(error.value) == (
        f"architecture stackgan: the images are {shape[1]}×{shape[2]}; stage {stage} expects {least}×{least} "
        "or sides twice or four times that"
    )


@pytest.mark.parametrize("upstream", [None, first_stage], ids=["none", "a first stage"])
def test_the_first_stage_builds_on_encoders(upstream):
    with pytest.raises(UserError, match="stage is 1; expected an upstream model with a text_encoder, as caption_feat"):
        given = upstream() if upstream else None
        architecture.build("stackgan", SETTINGS, (3, 64, 64), 0, words=WORDS, upstream=given)


@pytest.mark.parametrize("upstream", [None, encoders, second_stage], ids=["none", "encoders", "a second stage"])
def test_the_second_stage_builds_on_a_first(upstream):
    given = upstream() if upstream else None
    with pytest.raises(UserError, match=r"network\.stage is 2; expected an upstream model whose network\.stage is 1"):
        architecture.build("stackgan", SETTINGS | {"stage": 2}, (3, 128, 128), 0, words=WORDS, upstream=given)
