"""Grids of C-vectors, coded and decoded to the same integers."""

from __future__ import annotations

import numpy as np
import pytest

from finola_codec.entropy import hyperprior
from finola_codec.entropy.fixed import to_real
from finola_codec.errors import FormatError
from finola_codec.runtime.model import Model


def grids(model: Model, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    spec = model.prior.spec
    rng = np.random.default_rng(height * 100 + width)
    y = rng.normal(size=(height, width, spec.channels)) * rng.exponential(4, spec.channels)
    z = rng.normal(size=(-(-height // 4), -(-width // 4), spec.hyper_channels)) * 2
    return y.astype(np.float32), z.astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 4), (7, 9), (12, 3)])
@pytest.mark.parametrize("quality", [1, 50, 100])
def test_the_decoder_recovers_the_encoders_integers(tiny_model: Model, size: tuple[int, int], quality: int) -> None:
    y, z = grids(tiny_model, *size)
    payloads = tiny_model.prior.encode(y.copy(), z, quality)
    decoded = tiny_model.prior.decode(payloads.hyper, payloads.vectors, size, quality)
    assert (decoded == payloads.y).all()
    step = tiny_model.prior._arrays["step"][quality - 1]
    assert (np.abs(to_real(decoded) - y) * 2**12 <= step / 2 + 2).all()


def test_working_in_parts_changes_nothing(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    y, z = grids(tiny_model, 9, 11)
    whole = tiny_model.prior.encode(y.copy(), z, 60)
    monkeypatch.setattr(hyperprior, "SITES_AT_ONCE", 7)
    parts = tiny_model.prior.encode(y.copy(), z, 60)
    assert (whole.hyper, whole.vectors) == (parts.hyper, parts.vectors)


def test_batches_decode_to_the_same_integers(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    y, z = grids(tiny_model, 9, 11)
    whole = tiny_model.prior.encode(y.copy(), z, 60)
    monkeypatch.setattr(hyperprior, "PART_SITES", 13)
    batched = tiny_model.prior.encode(y.copy(), z, 60)
    assert batched.vectors != whole.vectors
    assert (batched.y == whole.y).all()
    assert (tiny_model.prior.decode(batched.hyper, batched.vectors, (9, 11), 60) == whole.y).all()
    assert tiny_model.prior.parts((9, 11)) == 4 * 2 * 2  # four a phase, two phases, two groups


def test_extreme_values_survive(tiny_model: Model) -> None:
    y, z = grids(tiny_model, 4, 4)
    payloads = tiny_model.prior.encode(y * 1e6, z * 1e6, 100)
    decoded = tiny_model.prior.decode(payloads.hyper, payloads.vectors, (4, 4), 100)
    assert (decoded == payloads.y).all()


def test_a_payload_of_another_size_is_noticed(tiny_model: Model) -> None:
    y, z = grids(tiny_model, 8, 8)
    payloads = tiny_model.prior.encode(y.copy(), z, 50)
    with pytest.raises(FormatError):
        tiny_model.prior.decode(payloads.hyper, payloads.vectors, (4, 4), 50)
    with pytest.raises(FormatError):
        tiny_model.prior.decode(payloads.hyper[:-1], payloads.vectors, (8, 8), 50)


def test_errors_are_smaller_where_their_price_is_higher(tiny_model: Model) -> None:
    y, z = grids(tiny_model, 16, 16)

    def errors(price: float | np.ndarray) -> np.ndarray:
        return np.square(to_real(tiny_model.prior.encode(y.copy(), z, 50, price).y) - y).sum((1, 2))

    low, high = 1e-5, 1e3
    prices = np.full((16, 16), low, np.float32)
    prices[8:] = high
    assert (errors(np.full((16, 16), low)) == errors(low)).all()
    top, bottom = errors(low)[:8].sum(), errors(low)[8:].sum()
    assert errors(prices)[:8].sum() == pytest.approx(top, rel=0.1)  # contexts differ along the border
    assert errors(prices)[8:].sum() < 0.8 * bottom
