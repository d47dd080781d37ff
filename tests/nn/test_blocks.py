"""Layers that run in one form in training and in another elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from finola_codec.nn.blocks import BlockConv, Transposed


@pytest.mark.parametrize(
    "layer",
    [
        BlockConv(3, 8, kernel=3, block=4, padding=1),
        BlockConv(3, 8, kernel=2, block=16),
        Transposed(3, 8, kernel=2),
        Transposed(3, 8, kernel=3),
    ],
)
def test_both_forms_are_the_same(layer: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(layer.eval()(x), layer.train()(x), rtol=1e-4, atol=1e-5)
