"""The range coder in Python against constriction's, and how a payload ends."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from finola_codec.entropy import range_coder
from finola_codec.entropy.coder import RANGE_CODER, Decoder, RangeCoder
from finola_codec.entropy.range_coder import TOTAL, Position
from finola_codec.errors import FormatError

Part = tuple[list[int] | int, list[int]]  # frequencies, or how many symbols alike, and symbols
WORDS = 2**32

NARROW = [TOTAL // 2 - 1, 2, TOTAL // 2 - 1]  # whose middle symbol leaves open whether a carry is to come
SIZES = [2, 22, 2**9, 2**22]


@st.composite
def tables(draw: st.DrawFn) -> list[int]:
    """Frequencies, of which some are as small as may be."""
    weights = draw(st.lists(st.one_of(st.just(0), st.integers(0, TOTAL)), min_size=2, max_size=9))
    free, total = TOTAL - len(weights), max(1, sum(weights))
    frequencies = [1 + weight * free // total for weight in weights]
    frequencies[draw(st.integers(0, len(weights) - 1))] += TOTAL - sum(frequencies)
    return frequencies


@st.composite
def parts(draw: st.DrawFn) -> Part:
    """Symbols and what they are coded under."""
    model = draw(st.one_of(st.just(NARROW), tables(), st.sampled_from(SIZES)))
    largest = (model if isinstance(model, int) else len(model)) - 1
    return model, draw(st.lists(st.one_of(st.sampled_from([0, 1, largest]), st.integers(0, largest)), max_size=40))


def model_of(coder: RangeCoder, description: list[int] | int) -> object:
    if isinstance(description, int):
        return coder.uniform(description)
    return coder.table(np.array(description, np.uint32))


def encoded(coder: RangeCoder, message: list[Part]) -> NDArray[np.uint32]:
    encoder = coder.Encoder()
    for description, symbols in message:
        encoder.encode(np.array(symbols, np.int32), model_of(coder, description))
    return encoder.words()


def decoded(coder: RangeCoder, words: NDArray[np.uint32], wanted: list[Part]) -> tuple[list[Part] | None, Position]:
    """What a coder reads in the place of the symbols of ``wanted``, None where it refuses to, and where it stands."""
    decoder: Decoder = coder.Decoder(words)
    message: list[Part] = []
    try:
        for description, symbols in wanted:
            message.append((description, decoder.decode(model_of(coder, description), len(symbols)).tolist()))
    except FormatError:
        return None, decoder.position()
    return message, decoder.position()


def test_constriction_is_used_where_it_is(constriction_coder: RangeCoder) -> None:
    assert RANGE_CODER is constriction_coder


@settings(deadline=None)
@given(st.lists(parts(), max_size=6))
@example([])
@example([(NARROW, [1] * 30)])
@example([(NARROW, [1] * 30 + [0])])
@example([(NARROW, [1] * 30 + [2])])
def test_what_is_written_is_read(coder: RangeCoder, message: list[Part]) -> None:
    words = encoded(coder, message)
    assert words.dtype == np.uint32
    read, position = decoded(coder, words, message)
    assert read == message
    assert position.ends(words)
    assert position.certain(len(words)) or not len(words)


@settings(deadline=None, max_examples=300)
@given(st.lists(parts(), max_size=6))
@example([(NARROW, [1] * 30)])
@example([(NARROW, [1] * 30 + [0])])
@example([(NARROW, [1] * 30 + [2])])
def test_both_write_the_same_words(constriction_coder: RangeCoder, message: list[Part]) -> None:
    assert encoded(range_coder, message).tolist() == encoded(constriction_coder, message).tolist()


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.one_of(st.integers(0, WORDS - 1), st.sampled_from([0, WORDS - 1])), max_size=8),
    st.lists(parts(), max_size=6),
)
@example([WORDS - 1, WORDS - 1], [(22, [0])])
def test_both_make_the_same_of_any_words(constriction_coder: RangeCoder, words: list[int], wanted: list[Part]) -> None:
    """What they read, where they then stand, and whether an encoder would have written these words for it."""
    array = np.array(words, np.uint32)
    ours, position = decoded(range_coder, array, wanted)
    theirs, their_position = decoded(constriction_coder, array, wanted)
    assert ours == theirs
    if ours is not None:
        assert position == their_position
        assert position.ends(array) == (encoded(constriction_coder, ours).tolist() == words)


PEAKED = [400, TOTAL - 900, 500]  # whose middle symbol constriction's decoder guesses by the thousand


@st.composite
def runs(draw: st.DrawFn) -> list[Part]:
    """Many symbols of a peaked table, nearly all of them alike, after a few others."""
    symbols = np.ones(draw(st.integers(0, 8000)), np.int32)
    for place in draw(st.lists(st.integers(0, 8000), max_size=4)):
        symbols[place : place + 1] = draw(st.sampled_from([0, 2]))
    return [draw(parts()), (PEAKED, symbols.tolist()), draw(parts())]


@settings(deadline=None, max_examples=50)
@given(runs())
def test_runs_of_the_likely_symbol_are_read(coder: RangeCoder, message: list[Part]) -> None:
    words = encoded(coder, message)
    read, position = decoded(coder, words, message)
    assert read == message
    assert position.ends(words)


def test_long_runs_are_read_across_words(coder: RangeCoder) -> None:
    """300,000 symbols take 23 bits, so a word leaves the state within some of these runs."""
    for before in range(0, 40, 8):
        message: list[Part] = [(2, [0, 1] * before), (PEAKED, [1] * 300_000), (2, [1])]
        words = encoded(coder, message)
        read, position = decoded(coder, words, message)
        assert read == message
        assert position.ends(words)


@settings(deadline=None, max_examples=50)
@given(runs(), st.integers(0, 12), st.lists(st.integers(0, WORDS - 1), max_size=3))
@example([(PEAKED, [1] * 5000)], 0, [])
@example([(PEAKED, [1] * 5000)], 0, [WORDS - 1, WORDS - 1])
@example([(PEAKED, [1] * 5000)], 0, [WORDS // 2])
def test_both_make_the_same_of_damaged_runs(
    constriction_coder: RangeCoder, message: list[Part], kept: int, then: list[int]
) -> None:
    words = np.append(encoded(range_coder, message)[:kept], np.array(then, np.uint32))
    ours, position = decoded(range_coder, words, message)
    theirs, their_position = decoded(constriction_coder, words, message)
    assert ours == theirs
    assert ours is None or position == their_position


def specified(message: list[Part]) -> list[int]:
    """The words, to the letter of docs/format.md, with numbers of any length."""
    lower, size, shifts = 0, 2**64 - 1, 0
    for description, symbols in message:
        model = range_coder.uniform(description) if isinstance(description, int) else [0, *accumulate(description)]
        for symbol in symbols:
            scale = size // 2**24
            lower += scale * model[symbol]
            size = scale * (model[symbol + 1] - model[symbol])
            if size < 2**32:
                lower, size, shifts = lower * 2**32, size * 2**32, shifts + 1
    if not any(symbols for _, symbols in message):
        return []
    low = lower % 2**32
    end = -(-lower // 2**32)
    words = [end >> 32 * i & (2**32 - 1) for i in range(shifts, -1, -1)]
    return words + ([0] if low > 0 and low + size < 2**33 else [])


@settings(deadline=None)
@given(st.lists(parts(), max_size=6))
def test_the_words_are_those_of_the_specification(coder: RangeCoder, message: list[Part]) -> None:
    assert encoded(coder, message).tolist() == specified(message)


def messages(count: int, length: int) -> list[list[Part]]:
    rng = np.random.default_rng(0)
    frequencies = [9_000_001, 4_500_002, 3_277_208, 5]
    return [[(frequencies, rng.choice(4, length, p=np.array(frequencies) / TOTAL).tolist())] for _ in range(count)]


def test_a_payload_has_one_word_more_than_have_left_the_state_or_two(coder: RangeCoder) -> None:
    surplus = []
    for message in messages(1000, 60):
        words = encoded(coder, message)
        _, position = decoded(coder, words, message)
        surplus.append(len(words) - position.shifts)
        assert surplus[-1] == 1 or words[-1] == 0
    assert set(surplus) == {1, 2}


def test_surplus_and_missing_words_are_noticed(coder: RangeCoder) -> None:
    for message in messages(1000, 60):
        words = encoded(coder, message)
        for changed in (np.append(words, 0), np.append(words, 1), words[:-1], words[:-2], words[:0]):
            _, position = decoded(coder, changed.astype(np.uint32), message)
            assert not position.ends(changed)


def test_a_beginning_is_certain_when_what_follows_no_longer_matters(coder: RangeCoder) -> None:
    description, symbols = messages(1, 200)[0][0]
    words = encoded(coder, [(description, symbols)])
    for length in range(len(words) + 1):
        start, rest = words[:length].tolist(), len(words) + 2 - length
        endings = [np.array(start + [word] * rest, np.uint32) for word in (0, WORDS - 1)]
        for count in range(1, len(symbols), 7):
            wanted: list[Part] = [(description, symbols[:count])]
            first, last = (decoded(coder, ending, wanted)[0] for ending in endings)
            _, position = decoded(coder, endings[0][:length], wanted)
            assert position.certain(length) == (first == last)
