"""The prior's network on integers, against the same in Python's integers, of any size."""

from __future__ import annotations

import numpy as np
import pytest

from finola_codec.entropy.arithmetic import IntegerArithmetic
from finola_codec.entropy.fixed import LIMIT, ONE
from finola_codec.entropy.prior import CodingStep, PriorSpec

GRIDS = [(1, 1), (1, 6), (6, 1), (4, 5), (5, 8)]


def positions(grid: tuple[int, int], phase: int) -> np.ndarray:
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.flatnonzero((rows + columns) % 2 == phase)


def convolved(weights: np.ndarray, bias: np.ndarray, known: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """A convolution with zeros around it at some positions, rounded and saturated as docs/format.md says."""
    border = weights.shape[2] // 2
    padded = np.pad(known, ((border, border), (border, border), (0, 0))).astype(object)
    found = []
    for row, column in zip(*np.divmod(sites, known.shape[1]), strict=True):
        window = padded[row : row + weights.shape[2], column : column + weights.shape[3]].transpose(2, 0, 1)
        sums = (weights.astype(object) * window).sum((1, 2, 3)) + bias.astype(object) * int(ONE)
        found.append([min(max(round(int(s) / ONE), -int(LIMIT)), int(LIMIT)) for s in sums])
    return np.array(found, np.float64)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("step", [CodingStep("s", 3, 5, 0), CodingStep("s", 3, 5, 1), CodingStep("s", 0, 4, 1)])
@pytest.mark.parametrize("largest", [2**15, int(LIMIT)])
def test_a_context_is_a_convolution_of_what_is_known(
    grid: tuple[int, int], kernel: int, step: CodingStep, largest: int
) -> None:
    rng = np.random.default_rng(grid[0])
    weights = rng.integers(-(2**14), 2**14, (7, step.known, kernel, kernel)).astype(np.float64)
    bias = rng.integers(-(2**12), 2**12, 7).astype(np.float64)
    values = rng.integers(-largest, largest + 1, (*grid, 6)).astype(np.int32)  # of a channel that is not known too
    known = values[..., : step.known].copy()
    if step.phase:  # of its own group a position knows those of the other phase only
        known.reshape(-1, step.known)[positions(grid, 1), step.start :] = 0
    arrays = {"c": weights, "c_bias": bias}
    spec = PriorSpec(6, (6,), 1, 1, 7, kernel, 2)
    sites = positions(grid, step.phase)
    for part in (sites, sites[1:3], sites[-1:]):
        if len(part):
            result = IntegerArithmetic(arrays, part, 50, spec).context("c", values, step)
            assert (result == convolved(weights, bias, known, part)).all()
