"""MS-SSIM of a decoded picture and its gradient, in NumPy: encoding does without torch.

Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multi-scale structural similarity for image quality assessment", 2003. At each
of five scales, the second half as large as the first and so on, a Gaussian window slides over both pictures x and y:

    cs = (2 sigma_xy + C2) / (sigma_x^2 + sigma_y^2 + C2)       contrast and structure
    l = (2 mu_x mu_y + C1) / (mu_x^2 + mu_y^2 + C1)             luminance
    MS-SSIM = (mean of l cs at the last scale)^b_5 * product of (mean of cs at scale j)^b_j over the others

Means are over the windows that lie in the picture. Reports measure MS-SSIM by torchmetrics, whose last scale has
windows beyond the borders too; that differs by some 0.00002.

>>> y = np.random.default_rng(1).uniform(0, 255, (200, 200)).astype(np.float32)
>>> round(ms_ssim(y, y)[0], 6)
1.0
>>> found, by_pixels = ms_ssim(y + 10 * np.sign(np.sin(y)), y)
>>> 0.9 < found < 1, by_pixels.shape
(True, (200, 200))
"""

from __future__ import annotations

import numpy as np

from finola_codec.entropy.exact import Floats

TAPS = 11  # of the window
SMALLEST_SIDE = TAPS  # pixels; a smaller picture has no place for a window
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # they keep quotients finite where there is no light or no contrast
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from the finest to the coarsest
LEAST = 0.01  # the mean of a scale is taken to be at least this: it can be negative, which has no root
ROWS = 64  # of windows that are computed together, so that the processor's cache holds what comes between

_WINDOW = np.exp(-((np.arange(TAPS) - TAPS // 2) ** 2) / (2 * 1.5**2))
_WINDOW = (_WINDOW / _WINDOW.sum()).astype(np.float32)


def ms_ssim(x: Floats, y: Floats) -> tuple[float, Floats]:
    """Return MS-SSIM of one channel ``x`` (H, W) beside the original ``y`` (H, W), and its gradient (H, W) by ``x``.

    Values are those of 8 bits, 0..255, whole or not. Both sides must be at least :data:`SMALLEST_SIDE`. A picture that
    is too small for five scales has as many as it is large enough for, with their exponents scaled to the same sum.
    """
    scales = _scales(min(x.shape))
    exponents = np.array(EXPONENTS[:scales]) / sum(EXPONENTS[:scales]) * sum(EXPONENTS)
    means, gradients = [], []
    for scale in range(scales):
        if scale:
            x, y = _halved(x), _halved(y)
        mean, gradient = _similarity(x, y, with_luminance=scale == scales - 1)
        means.append(max(mean, LEAST))
        gradients.append(gradient)
    found = float(np.prod(means**exponents))
    for gradient, mean, exponent in zip(gradients, means, exponents, strict=True):
        gradient *= np.float32(exponent * found / mean)
    by_pixels = gradients.pop()
    for finer in reversed(gradients):
        height, width = by_pixels.shape
        finer[: 2 * height, : 2 * width] += (by_pixels / 4).repeat(2, 0).repeat(2, 1)  # a mean has a quarter of each
        by_pixels = finer
    return found, by_pixels


def _scales(side: int) -> int:
    return next(n for n in range(len(EXPONENTS), 0, -1) if side >> (n - 1) >= TAPS)


def _halved(x: Floats) -> Floats:
    """Means of 2 x 2 pixels (H // 2, W // 2)."""
    height, width = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    return x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def _similarity(x: Floats, y: Floats, with_luminance: bool) -> tuple[float, Floats]:
    """The mean of cs, or of l cs, over all windows of one scale, and its gradient (H, W) by ``x``."""
    total, gradient = 0.0, np.zeros_like(x)
    windows = (x.shape[0] - TAPS + 1) * (x.shape[1] - TAPS + 1)
    for top in range(0, x.shape[0] - TAPS + 1, ROWS):
        rows = slice(top, min(top + ROWS + TAPS - 1, x.shape[0]))
        found, by_x = _strip(x[rows], y[rows], with_luminance)
        total += found
        gradient[rows] += by_x
    return total / windows, gradient / np.float32(windows)


def _strip(x: Floats, y: Floats, with_luminance: bool) -> tuple[float, Floats]:
    """The sum of cs, or of l cs, over the windows of a few rows, and its gradient by ``x``."""
    mu_x, mu_y = _blurred(x), _blurred(y)  # (h - 10, w - 10)
    variances = _blurred(x * x + y * y) - mu_x * mu_x - mu_y * mu_y + np.float32(C2)
    similar = (2 * (_blurred(x * y) - mu_x * mu_y) + np.float32(C2)) / variances
    # By the means, squares and products under the window; sigma_x^2 = E x^2 - mu_x^2, sigma_xy = E xy - mu_x mu_y.
    by_square, by_product = -similar / variances, 2 / variances
    by_mean = -2 * mu_x * by_square - mu_y * by_product
    if with_luminance:
        brightness = mu_x * mu_x + mu_y * mu_y + np.float32(C1)
        luminance = (2 * mu_x * mu_y + np.float32(C1)) / brightness
        by_mean = luminance * by_mean + similar * 2 * (mu_y - mu_x * luminance) / brightness
        by_square, by_product, similar = luminance * by_square, luminance * by_product, luminance * similar
    by_x = _spread(by_mean) + 2 * x * _spread(by_square) + y * _spread(by_product)
    return float(similar.sum(dtype=np.float64)), by_x


def _blurred(x: Floats) -> Floats:
    """The mean under each window that fits: (h, w) to (h - 10, w - 10)."""
    height, width, half = x.shape[0] - TAPS + 1, x.shape[1] - TAPS + 1, TAPS // 2
    rows = _WINDOW[half] * x[half : half + height]
    for tap in range(half):  # the window is symmetric
        rows += _WINDOW[tap] * (x[tap : tap + height] + x[TAPS - 1 - tap : TAPS - 1 - tap + height])
    blurred = _WINDOW[half] * rows[:, half : half + width]
    for tap in range(half):
        blurred += _WINDOW[tap] * (rows[:, tap : tap + width] + rows[:, TAPS - 1 - tap : TAPS - 1 - tap + width])
    return blurred


def _spread(by_means: Floats) -> Floats:
    """The gradient by pixels from that by the means under their windows: (h - 10, w - 10) to (h, w)."""
    return _blurred(np.pad(by_means, TAPS - 1))
