"""The encoders of captions and images: words read by loops, padding that says nothing, images reduced."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from reprogan.errors import UserError
from reprogan.models import architecture

SETTINGS = {"widths": [3, 4], "word_size": 4, "phrases": [1, 2, 3], "features": 5}
WORDS = 9
TOKENS = torch.tensor([[3, 1, 9, 4, 0, 0], [7, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]])


def built(shape: tuple[int, int, int] = (3, 16, 16), words: int = WORDS, **changes: object) -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return architecture.build("caption_features", SETTINGS | changes, shape, 0, words=words)


def by_loops(encoder: nn.Module, tokens: list[int]) -> list[float]:
    """A caption's features: word by word, phrase by phrase, number by number (Kim 2014, Equations 1 and 2)."""
    state = {key: value.tolist() for key, value in encoder.state_dict().items()}
    words = [token for token in tokens if token]
    read: list[float] = []
    for number, length in enumerate(SETTINGS["phrases"]):
        weight, bias = state[f"phrases.{number}.weight"], state[f"phrases.{number}.bias"]
        for channel in range(SETTINGS["word_size"]):
            total = 0.0
            for first in range(len(words)):
                value = bias[channel]
                for place, token in enumerate(words[first : first + length]):
                    vector = state["words.weight"][token]
                    value += sum(weight[channel][i][place] * vector[i] for i in range(len(vector)))
                total += max(0.0, value)
            read.append(total / len(words))
    head = zip(state["head.weight"], state["head.bias"], strict=True)
    return [bias + sum(w * x for w, x in zip(row, read, strict=True)) for row, bias in head]


def test_captions_against_loops():
    encoder = built()["text_encoder"].double()
    found = encoder(TOKENS)
    assert found.shape == (3, 5) and encoder.features == 5
    for row, tokens in zip(found.tolist(), TOKENS.tolist(), strict=True):
        assert row == pytest.approx(by_loops(encoder, tokens), rel=1e-6)


@pytest.mark.parametrize("more", [1, 2, 20])
def test_padding_says_nothing(more):
    encoder = built()["text_encoder"]
    torch.testing.assert_close(encoder(pad(TOKENS, (0, more))), encoder(TOKENS))
    torch.testing.assert_close(encoder(TOKENS[:2, :4]), encoder(TOKENS)[:2])
    torch.testing.assert_close(encoder(TOKENS[1:2, :1]), encoder(TOKENS)[1:2])


def test_padding_stays_0_while_words_are_learned():
    encoder = built()["text_encoder"]
    encoder(TOKENS).square().sum().backward()
    gradient = encoder.words.weight.grad
    assert not gradient[0].any() and not encoder.words.weight[0].any()
    assert gradient[1:8].any(1).all() and gradient[9].any() and not gradient[8].any()


def test_the_order_of_words_matters_where_they_are_read_together():
    swapped = TOKENS[:, [1, 0, 2, 3, 4, 5]]
    rows = [0, 2]
    together, alone = built()["text_encoder"], built(phrases=[1])["text_encoder"]
    assert not torch.allclose(together(swapped)[rows], together(TOKENS)[rows], atol=1e-3)
    torch.testing.assert_close(alone(swapped)[rows], alone(TOKENS)[rows])


def test_a_caption_without_a_known_word_has_features():
    encoder = built()["text_encoder"]
    assert torch.equal(encoder(torch.zeros(1, 4, dtype=torch.int64))[0], encoder.head.bias)


def test_layers_of_the_image_encoder():
    encoder = built(widths=[3, 4, 6])["image_encoder"]
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(3, 3), (3, 4), (4, 6)]
    assert [c.kernel_size[0] for c in convolutions] == [5, 3, 3] and {c.stride for c in convolutions} == {(2, 2)}
    assert [m.num_features for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)] == [3, 4, 6]
    assert encoder.layers[-1].in_features == 6 * 2 * 2


@pytest.mark.parametrize("channels, side", [(3, 16), (1, 28), (3, 50), (3, 100)])
def test_images_up_to_twice_64_are_seen_as_they_are(channels, side):
    encoder = built((channels, side, side))["image_encoder"].eval()
    images = torch.rand(2, channels, side, side) * 2 - 1
    found = encoder(images)
    assert found.shape == (2, 5) and torch.equal(found, encoder.layers(images))


@pytest.mark.parametrize("side, seen", [(128, 64), (192, 64), (160, 80)])
def test_larger_images_are_reduced_by_means_over_squares(side, seen):
    encoder = built((3, side, side))["image_encoder"].eval()
    by = side // seen
    images = torch.rand(2, 3, side, side) * 2 - 1
    small = torch.stack([images[:, :, row::by, column::by] for row in range(by) for column in range(by)]).mean(0)
    assert small.shape == (2, 3, seen, seen)
    torch.testing.assert_close(encoder(images), encoder(small))
    torch.testing.assert_close(encoder(images), encoder.layers(small))


@pytest.mark.parametrize(
    "shape, words, says",
    [
        ((3, 16, 16), 0, "the data has no captions; expected data: captions"),
        ((3, 16, 12), WORDS, "the images are 16×12; expected square ones"),
    ],
)
def test_data_that_it_is_not_for_is_one_line(shape, words, says):
    with pytest.raises(UserError) as error:
        built(shape, words)
    assert str(error.value) == f"architecture caption_features: {says}"


@pytest.mark.parametrize("changes", [{"widths": []}, {"phrases": []}, {"phrases": [0]}, {"features": 1}])
def test_other_settings_are_refused(changes):
    (key,) = changes
    with pytest.raises(UserError, match=rf"params.yaml: network\.{key}"):
        built(**changes)


def test_both_encoders_share_a_space():
    networks = built()
    found: list[Tensor] = [networks["text_encoder"](TOKENS), networks["image_encoder"](torch.rand(3, 3, 16, 16))]
    assert [tuple(features.shape) for features in found] == [(3, 5), (3, 5)]
    assert list(networks) == ["text_encoder", "image_encoder"]
