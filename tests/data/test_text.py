"""Captions as numbers: which words there are, which of them count, and which token stands for each."""

import unicodedata

import numpy as np
import pytest

from reprogan.data.text import PADDING, tokens_of, unknown_words, vocabulary_of, words_of

CAPTIONS = ["A man with a red hat.", "A woman, red-haired; a hat!", "One man."]
VOCABULARY = ("a", "hat", "man", "red", "with")


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man, smiling.", "a man smiling"),
        ("  two\tlines\nof\r\nwords  ", "two lines of words"),
        ("dark-skinned/bald_man", "dark skinned bald man"),
        ("She's 30; he isn't.", "she's 30 he isn't"),
        ("हिन्दी में", "हिन्दी में"),
        ("the woman’s 'quoted' lips'", "the woman's quoted lips"),
        ("rock 'n' roll''s", "rock n roll s"),
        ("ÉLÈVE Ærø STRASSE Straße", "élève ærø strasse strasse"),
        ("Улыбка 微笑 ٣", "улыбка 微笑 ٣"),
        ("half ½ and x²", "half ½ and x²"),
        ("😀 — … ''", ""),
        ("", ""),
    ],
)
def test_words(caption, words):
    assert words_of(caption) == words.split()


def test_each_occurrence_of_a_word_is_there_in_its_order():
    assert words_of("a hat, a Hat, A HAT") == ["a", "hat"] * 3


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_letter_and_its_accent_are_part_of_their_word_however_they_are_written(form):
    assert words_of(unicodedata.normalize(form, "naïve café")) == ["naïve", "café"]


@pytest.mark.parametrize(
    ("least", "words"),
    [(1, "a haired hat man one red with woman"), (2, "a hat man red"), (3, "a"), (4, "a"), (5, "")],
)
def test_a_vocabulary_holds_the_words_that_occur_often_enough_in_alphabetical_order(least, words):
    assert vocabulary_of(CAPTIONS, least) == tuple(words.split())
    assert vocabulary_of(reversed(CAPTIONS), least) == tuple(words.split())


def test_a_token_is_a_words_place_in_the_vocabulary_and_padding_none():
    found = tokens_of(["with a RED hat", "man", "a a"], VOCABULARY)
    assert found.dtype == np.int64 and PADDING == 0
    assert found.tolist() == [[5, 1, 4, 2], [3, 0, 0, 0], [1, 1, 0, 0]]


def test_unknown_words_leave_no_gap():
    assert tokens_of(["a tall man with glasses"], VOCABULARY).tolist() == [[1, 3, 5]]
    assert tokens_of(["nothing known", "hat"], VOCABULARY).tolist() == [[0], [2]]


@pytest.mark.parametrize(
    ("length", "row"), [(1, [5]), (2, [5, 1]), (3, [5, 1, 4]), (4, [5, 1, 4, 2]), (6, [5, 1, 4, 2, 0, 0])]
)
def test_what_is_longer_is_cut_and_what_is_shorter_padded(length, row):
    assert tokens_of(["with a very red hat"], VOCABULARY, length).tolist() == [row]


def test_without_any_word_there_is_a_column_of_padding():
    assert tokens_of(["", "…"], VOCABULARY).tolist() == [[0], [0]]


def test_tokens_give_the_known_words_back():
    for caption, row in zip(CAPTIONS, tokens_of(CAPTIONS, VOCABULARY), strict=True):
        known = [word for word in words_of(caption) if word in VOCABULARY]
        assert [VOCABULARY[token - 1] for token in row if token != PADDING] == known


def test_unknown_words_are_told_once_and_in_their_order():
    assert unknown_words("A tall Man, a TALL green hat; glasses", VOCABULARY) == ["tall", "green", "glasses"]
    assert unknown_words("a man with a red hat", VOCABULARY) == unknown_words("", VOCABULARY) == []
