"""What the ablations of finola-base put in FINOLA's place fits there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from finola_codec.nn.finola import normalise

ABLATIONS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "ablations.py"))


@pytest.mark.parametrize("variant", ABLATIONS["VARIANTS"])
def test_vectors_grow_into_the_map_of_their_patches(variant: str) -> None:
    torch.manual_seed(0)
    grid = torch.randn(2, 3, 5, 32)
    for growth in ABLATIONS["VARIANTS"][variant]:
        grow = growth(32)
        whole = grow(grid, 4, 4)
        assert whole.shape == (2, 12, 20, 32)
        alone = grow(grid[:, 1:2, 3:4], 4, 4)
        assert torch.allclose(whole[:, 4:8, 12:16], alone, atol=1e-5)  # patches lie where their vectors do


def test_shifts_give_each_cell_its_slot() -> None:
    torch.manual_seed(0)
    seed = normalise(torch.randn(1, 1, 1, 32))
    slots = seed.view(4, 4, 2)
    grown = ABLATIONS["Normalised"](32)(seed, 4, 4).view(4, 4, 4, 4, 2)  # row, column, and the slots there
    where = (4 - 1) // 2  # the vector stands in this row and column
    assert torch.allclose(grown[:, :, where, where], slots, atol=0.02)  # a norm adds a little to the variance
