"""Layers that run in one form in training, and in another in an exported model."""

from __future__ import annotations

import pytest
import torch

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
def test_the_form_for_inference_computes_the_same(layer: BlockConv | Transposed) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 96)
    running = layer.for_inference()
    torch.testing.assert_close(running(x), layer(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(layer.training_weight(running.weight), layer.weight)
