"""The distributions that tables exist for, shared by training and coding.

A residual in quantizer steps is a Gaussian of one of ``BINS`` scales, integrated over unit intervals, plus a
faint exponential tail, so that no residual is impossible and training feels the cost of the rare large ones.
"""

from __future__ import annotations

from typing import Any

BINS = 64
BINS_PER_OCTAVE = 5
LOG2_MIN = -3.3  # log2 of the smallest scale, in quantizer steps
LOG2_MAX = LOG2_MIN + (BINS - 1) / BINS_PER_OCTAVE

TAIL_LOG2_WEIGHT = -16.0

# Under the factorised prior a tile tells its activity: by how much the scales of each of its components are off.
ACTIVITY_BINS = 2  # bins that an activity of one moves the scales by
MAX_ACTIVITY = 7  # largest that is looked for
ACTIVITY_TABLE = 22  # the bin that activities are coded under


def tail_slope(scale: Any) -> Any:
    """Residual over which the tail's mass halves."""
    return 4 * scale + 2
