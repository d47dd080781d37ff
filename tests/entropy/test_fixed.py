"""The integer arithmetic: exact in any order, close to the real thing."""

from __future__ import annotations

import numpy as np
import torch

from finola_codec.entropy import fixed
from finola_codec.nn.finola import EPSILON, Finola

DIRECTIONS = ("right", "left", "down", "up")


def test_sums_do_not_depend_on_their_order() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-fixed.LIMIT, fixed.LIMIT, (20, 300)).astype(np.float64)
    weights = rng.integers(-(2**15), 2**15, (40, 300)).astype(np.float64)
    bias = rng.integers(-(2**20), 2**20, 40).astype(np.float64)
    assert fixed.bound(weights, bias) < fixed.EXACT
    expected = fixed.linear(x, weights, bias)
    for _ in range(5):
        order = rng.permutation(300)
        assert (fixed.linear(x[:, order], weights[:, order], bias) == expected).all()
    total = x.astype(object) @ weights.T.astype(object)  # Python's integers, of any size
    assert (x @ weights.T == total.astype(np.float64)).all()


def test_normalise_is_the_layer_norm() -> None:
    rng = np.random.default_rng(1)
    z = np.rint(rng.normal(size=(50, 64)) * rng.uniform(0, 30, (50, 1)) * fixed.ONE)
    expected = torch.nn.functional.layer_norm(torch.from_numpy(z / fixed.ONE), (64,), eps=EPSILON).numpy()
    np.testing.assert_allclose(fixed.normalise(z) / fixed.ONE, expected, atol=1 / fixed.ONE)
    assert (fixed.normalise(np.full((2, 8), 5.0)) == 0).all()


def test_growth_is_finolas() -> None:
    torch.manual_seed(0)
    finola = Finola(32)
    seeds = torch.randn(10, 32) * 3
    matrices = {d: fixed.quantize(getattr(finola, d).detach().numpy(), fixed.WEIGHT_BITS) for d in DIRECTIONS}
    for side in (1, 3, 4):
        with torch.no_grad():
            expected = finola(seeds[:, None, None], side, side).numpy()
        grown = fixed.grow(fixed.quantize(seeds.numpy(), fixed.ACTIVATION_BITS), matrices, side) / fixed.ONE
        np.testing.assert_allclose(grown, expected, atol=0.01)
