"""The prior without context."""

from __future__ import annotations

import numpy as np
import pytest

from finola_codec.entropy.fixed import ONE, to_real
from finola_codec.entropy.scales import BINS_PER_OCTAVE, LOG2_MIN
from finola_codec.errors import FormatError
from finola_codec.runtime.model import Model


def grid(model: Model, height: int, width: int, size: float = 1.0) -> np.ndarray:
    channels = model.profile.channels
    rng = np.random.default_rng(height * 100 + width)
    return (rng.normal(size=(height, width, channels)) * rng.exponential(2, channels) * size).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
@pytest.mark.parametrize("quality", [1, 50, 100])
def test_the_decoder_recovers_the_encoders_integers(
    tiny_tile_model: Model, size: tuple[int, int], quality: int
) -> None:
    y = grid(tiny_tile_model, *size)
    payloads = tiny_tile_model.prior.encode(y, None, quality)
    assert payloads.hyper == b""
    decoded = tiny_tile_model.prior.decode(b"", payloads.vectors, size, quality)
    assert (decoded == payloads.y).all()
    step = tiny_tile_model.prior._steps[quality - 1]
    assert (np.abs(to_real(decoded) - y) * 2**12 <= step / 2 + 1).all()


def test_extreme_values_survive(tiny_tile_model: Model) -> None:
    payloads = tiny_tile_model.prior.encode(grid(tiny_tile_model, 1, 2, 1e7), None, 100)
    assert (tiny_tile_model.prior.decode(b"", payloads.vectors, (1, 2), 100) == payloads.y).all()


@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_tiles_of_other_activity_cost_less_than_by_the_tables_of_most(tiny_tile_model: Model, factor: float) -> None:
    prior, quality = tiny_tile_model.prior, 60
    bins, steps = prior._bins[quality - 1], prior._steps[quality - 1] / ONE
    scales = 2.0 ** (LOG2_MIN + bins / BINS_PER_OCTAVE) * steps
    y = (np.random.default_rng(3).normal(size=(1, 1, len(bins))) * scales * factor).astype(np.float32)
    usual = prior._tables.bits(prior.residuals(y, quality, None)[0], bins).sum()
    assert 8 * len(prior.encode(y, None, quality).vectors) < 0.95 * usual


def test_damage_is_noticed_and_intact_tiles_are_kept(tiny_tile_model: Model) -> None:
    payloads = tiny_tile_model.prior.encode(grid(tiny_tile_model, 2, 2), None, 60)
    with pytest.raises(FormatError):
        tiny_tile_model.prior.decode(b"", payloads.vectors, (1, 2), 60)
    with pytest.raises(FormatError, match="hyper"):
        tiny_tile_model.prior.decode(b"1234", payloads.vectors, (2, 2), 60)
    half = payloads.vectors[: len(payloads.vectors) // 2]
    y, intact = tiny_tile_model.prior.salvage(b"", half, (2, 2), 60)
    assert intact in (1, 2)
    assert (y.reshape(4, -1)[:intact] == payloads.y.reshape(4, -1)[:intact]).all()
    assert (y.reshape(4, -1)[intact:] == 0).all()
