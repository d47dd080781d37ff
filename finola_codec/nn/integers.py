"""Between trained numbers and the integers of the exact priors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finola_codec.entropy.fixed import ACTIVATION_BITS, quantize
from finola_codec.entropy.scales import BINS, BINS_PER_OCTAVE, LOG2_MIN
from finola_codec.nn.blocks import QualityTable
from finola_codec.quality import MIX_BITS, QUALITIES, exact_mix

Arrays = dict[str, NDArray[np.integer]]


def to_numpy(tensor: Tensor | nn.Module) -> NDArray[np.float64]:
    """Return a parameter as float64."""
    assert isinstance(tensor, Tensor)
    return tensor.detach().cpu().double().numpy()


def to_tensor(array: NDArray[np.integer], bits: int) -> Tensor:
    """Integers with ``bits`` fractional bits as a float32 tensor."""
    return torch.from_numpy(array * 2.0**-bits).float()


def compact(array: NDArray[np.float64]) -> NDArray[np.integer]:
    """Return the smallest integers that hold the values, of 16 bits or 32."""
    small = np.abs(array).max(initial=0) < 2**15
    return array.astype(np.int16 if small else np.int32)


def quantizer_steps(log2_step: QualityTable) -> NDArray[np.float64]:
    """Quantizer steps (100, channels) by quality, with ACTIVATION_BITS fractional bits."""
    return np.maximum(1, quantize(2.0 ** _by_quality(log2_step), ACTIVATION_BITS))


def scale_bins(log2_scale: QualityTable) -> NDArray[np.float64]:
    """Return the tables (100, channels) by quality of numbers with these scales, in quantizer steps."""
    return np.clip(np.rint((_by_quality(log2_scale) - LOG2_MIN) * BINS_PER_OCTAVE), 0, BINS - 1)


def _by_quality(table: QualityTable) -> NDArray[np.float64]:
    rows = to_numpy(table.rows)  # (anchors, channels)
    mixes = np.stack([exact_mix(q, len(rows)) for q in range(1, QUALITIES + 1)])
    return mixes / 2.0**MIX_BITS @ rows
