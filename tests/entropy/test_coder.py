"""Range coding, with tables and escapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from finola_codec.entropy.coder import ESCAPE_BITS, MAX_RESIDUAL, Models, RangeCoder, Reader, Writer
from finola_codec.entropy.scales import BINS, BINS_PER_OCTAVE, LOG2_MIN
from finola_codec.entropy.tables import TOTAL, Tables, build, calibrate
from finola_codec.errors import FormatError, ModelError

TABLES = build()
MODELS = Models(TABLES)
symbols = st.lists(
    st.tuples(st.one_of(st.integers(-5, 5), st.integers(-MAX_RESIDUAL, MAX_RESIDUAL)), st.integers(0, BINS - 1)),
    max_size=60,
)


def written(models: Models, *batches: tuple[NDArray[np.int32], NDArray[np.uint8]]) -> bytes:
    writer = Writer(models)
    for residuals, bins in batches:
        writer.write(residuals, bins)
    return writer.finish()


@pytest.fixture(scope="module")
def models(coder: RangeCoder) -> Models:
    return Models(TABLES, coder)


@settings(deadline=None)
@given(symbols, symbols)
def test_what_is_written_is_read(models: Models, first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    parts = [(np.array([s for s, _ in p], np.int32), np.array([b for _, b in p], np.uint8)) for p in (first, second)]
    payload = written(models, *parts)
    reader = Reader(models, payload)
    for residuals, bins in parts:
        assert (reader.read(bins) == residuals).all()
    reader.finish()
    assert payload == written(MODELS, *parts)


def test_bytes_follow_the_tables_to_the_letter() -> None:
    """The ideal code length under the integer tables is met within a word: no other quantization is at work."""
    rng = np.random.default_rng(0)
    bins = rng.integers(0, BINS, 20000).astype(np.uint8)
    residuals, ideal = np.empty(len(bins), np.int32), 0.0
    for i, b in enumerate(bins):
        table = TABLES.of(b)[:-1]
        symbol = rng.choice(len(table), p=table / table.sum())
        residuals[i] = symbol - TABLES.reach[b]
        ideal -= np.log2(table[symbol] / TOTAL)
    writer = Writer(MODELS)
    writer.write(residuals, bins)
    assert ideal <= 8 * len(writer.finish()) < ideal * 1.001 + 64


def test_payloads_are_pinned(coder: RangeCoder) -> None:
    """Bytes that another version of constriction must reproduce, or files could not travel between versions."""
    tables = Tables(np.array([5000, 2**24 - 8000, 2900, 100, 2**23, 2**22, 2**21, 2**21], np.uint32), np.array([1, 1]))
    residuals, bins = np.array([0, 1, -1, 0, 2, -300, 1, -1], np.int32), np.array([0, 0, 1, 1, 0, 1, 1, 0], np.uint8)
    models = Models(tables, coder)
    payload = written(models, (residuals, bins))
    assert (Reader(models, payload).read(bins) == residuals).all()
    assert payload.hex() == PINNED


PINNED = "07e4f3ff574edac600435d49"


def photographic(rng: np.random.Generator, count: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Residuals as their tables expect them, most of them zero."""
    bins = rng.integers(0, BINS // 2, count).astype(np.uint8)
    scales = 2.0 ** (LOG2_MIN + bins / BINS_PER_OCTAVE)
    return np.rint(rng.normal(0, scales)).astype(np.int32), bins


@settings(deadline=None)
@given(symbols, st.lists(st.integers(-5, 5), max_size=60))
def test_residuals_are_coded_by_bin_and_in_a_bin_as_they_stand(
    models: Models, mixed: list[tuple[int, int]], lowest: list[int]
) -> None:
    """To the letter of docs/format.md; bin 0, which most residuals are of, is no exception."""
    both = mixed + [(residual, 0) for residual in lowest]
    order = np.random.default_rng(len(both)).permutation(len(both))
    residuals = np.array([r for r, _ in both], np.int32)[order]
    bins = np.array([b for _, b in both], np.uint8)[order]
    coder = models.coder
    encoder, escapes = coder.Encoder(), []
    for place in sorted(range(len(bins)), key=lambda i: bins[i]):
        residual, index = int(residuals[place]), int(bins[place])
        reach = int(TABLES.reach[index])
        inside = abs(residual) <= reach
        encoder.encode(np.array([residual + reach if inside else 2 * reach + 1], np.int32), models[index])
        if not inside:
            escapes.append((abs(residual) - reach, residual < 0))
    sizes = [excess.bit_length() - 1 for excess, _ in escapes]
    encoder.encode(np.array(sizes, np.int32), coder.uniform(ESCAPE_BITS))
    for size in sorted(set(sizes)):
        codes = [2 * (excess - 2**size) + sign for (excess, sign), n in zip(escapes, sizes, strict=True) if n == size]
        encoder.encode(np.array(codes, np.int32), coder.uniform(2 ** (size + 1)))
    assert written(models, (residuals, bins)) == encoder.words().astype("<u4").tobytes()


ENDINGS = {
    "a surplus word": lambda payload: payload + b"\x01\x02\x03\x04",
    "a surplus word of zeros": lambda payload: payload + bytes(4),
    "several": lambda payload: payload + b"\x01\x02\x03\x04" * 3,
    "a missing word": lambda payload: payload[:-4],
    "two missing words": lambda payload: payload[:-8],
    "three missing words": lambda payload: payload[:-12],
    "nothing": lambda payload: b"",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_payload_ends_where_its_content_does(models: Models, ending: str) -> None:
    rng = np.random.default_rng(0)
    for count in (*range(1, 100), 5000):
        residuals, bins = photographic(rng, count)
        payload = written(models, (residuals, bins))
        changed = ENDINGS[ending](payload)
        with pytest.raises(FormatError, match=r"does not end|ends before|damaged"):  # noqa: PT012
            reader = Reader(models, changed)
            reader.read(bins)
            reader.finish()


def test_nothing_is_written_as_no_words(models: Models) -> None:
    nothing = np.empty(0, np.int32), np.empty(0, np.uint8)
    assert written(models, nothing) == b""
    reader = Reader(models, b"")
    assert len(reader.read(nothing[1])) == 0
    reader.finish()
    with pytest.raises(FormatError, match="does not end"):
        Reader(models, bytes(4)).finish()


def escape(coder: RangeCoder, excess: int, index: int) -> bytes:
    """The payload of one residual that exceeds its table's reach by so much, with the sign of ``excess``."""
    encoder, size = coder.Encoder(), abs(excess).bit_length() - 1
    encoder.encode(np.array([2 * TABLES.reach[index] + 1], np.int32), coder.table(TABLES.of(index)))
    encoder.encode(np.array([size], np.int32), coder.uniform(ESCAPE_BITS))
    code = 2 * (abs(excess) - 2**size) + (excess < 0)
    encoder.encode(np.array([code], np.int32), coder.uniform(2 ** (size + 1)))
    return encoder.words().astype("<u4").tobytes()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("index", [0, BINS - 1])
def test_larger_residuals_than_are_written_are_refused(models: Models, index: int, sign: int) -> None:
    bins, reach = np.full(1, index, np.uint8), int(TABLES.reach[index])
    largest = escape(models.coder, sign * (MAX_RESIDUAL - reach), index)
    assert Reader(models, largest).read(bins) == sign * MAX_RESIDUAL
    for excess in (MAX_RESIDUAL - reach + 1, 3_000_000, 2**ESCAPE_BITS - 1):
        with pytest.raises(FormatError, match="exceeds"):
            Reader(models, escape(models.coder, sign * excess, index)).read(bins)


def test_the_beginning_of_a_payload_gives_its_batches_as_far_as_they_are_certain(models: Models) -> None:
    rng = np.random.default_rng(1)
    batches = [photographic(rng, count) for count in (300, 1, 400, 3, 2, 1)]
    payload = written(models, *batches)
    counts = []
    for length in range(0, len(payload) + 4, 4):
        reader, intact = Reader(models, payload[:length]), 0
        for residuals, bins in batches:
            read = reader.read_while_intact(bins)
            assert (read == (residuals if reader.intact else 0)).all()
            intact += reader.intact
        counts.append(intact)
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == len(batches)
    needed = len(written(models, batches[0])) // 4
    assert counts[needed - 1] == 0
    assert counts[needed + 1] >= 1


def test_broken_tables_are_refused() -> None:
    with pytest.raises(ModelError, match="table 0"):
        Tables(np.where(np.arange(len(TABLES.frequencies)) == 0, 0, TABLES.frequencies), TABLES.reach).check()
    with pytest.raises(ModelError, match="size"):
        Tables(TABLES.frequencies[:-1], TABLES.reach).check()


def test_calibrated_tables_follow_what_occurs() -> None:
    reach = int(TABLES.reach.max())
    counts = np.zeros((BINS, 2 * reach + 1), np.int64)
    counts[9, reach], counts[9, reach + 1] = 90_000, 10_000
    calibrated = calibrate(TABLES, counts)
    calibrated.check()
    middle = TABLES.reach[9]
    assert calibrated.of(9)[middle] / TOTAL == pytest.approx(0.9, abs=0.01)
    assert calibrated.of(9)[middle - 1] == calibrated.of(9)[middle + 1]  # symmetric
    assert calibrated.of(9)[middle + 1] / TOTAL == pytest.approx(0.05, abs=0.005)
    for index in (0, 30, 63):  # nothing was seen of these
        assert (calibrated.of(index) == TABLES.of(index)).all()
