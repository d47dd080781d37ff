"""How far a decoded picture is from its original, by kept libraries' formulas."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

DECIMALS = 6
EXACT = 100.0  # dB; stands for infinity, the PSNR of equal pictures, by convention
MS_SSIM_SIDE = 177  # the smallest side that five scales of windows of 11 fit
SSIMULACRA2_SIDE = 8


def measure(original: Image.Image, decoded: Image.Image) -> dict[str, float | None]:
    """psnr and psnr_y (dB), ssim, ms_ssim and ssimulacra2 of two RGB pictures; None for a picture too small for one.

    PSNR is over all three channels together, PSNR-Y over Pillow's luma (ITU-R BT.601), SSIM with the Gaussian
    window of its paper, averaged over the channels. SSIMULACRA2 is that of the Python package of this name; 100 is
    the original, 70 is hard to tell from it, and bad pictures have negative values.
    """
    a, b = np.asarray(original), np.asarray(decoded)
    luma = [np.asarray(picture.convert("L")) for picture in (original, decoded)]
    found = {
        "psnr": psnr(a, b),
        "psnr_y": psnr(*luma),
        "ssim": _ssim(a, b),
        "ms_ssim": ms_ssim(a, b),
        "ssimulacra2": _ssimulacra2(original, decoded),
    }
    return {name: None if value is None else round(value, DECIMALS) for name, value in found.items()}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between two arrays of 8 bits, over all channels together; :data:`EXACT` where they are equal."""
    if (a == b).all():
        return EXACT
    return float(peak_signal_noise_ratio(a, b, data_range=255))


def _ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    if min(a.shape[:2]) < 11:
        return None
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, channel_axis=2, data_range=255, **window))


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    """MS-SSIM of two arrays of 8 bits (H, W, 3), as its paper has it; None for a picture too small for it."""
    if min(a.shape[:2]) < MS_SSIM_SIDE:
        return None
    import torch  # the other metrics do without it
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() for p in (a, b))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # float32 sums depend on how many there are; results must not
    try:
        return float(multiscale_structural_similarity_index_measure(x, y, data_range=255.0))
    finally:
        torch.set_num_threads(threads)


def _ssimulacra2(a: Image.Image, b: Image.Image) -> float | None:
    if min(a.size) < SSIMULACRA2_SIDE:
        return None
    from ssimulacra2 import compute_ssimulacra2

    files = [io.BytesIO() for _ in (a, b)]  # it takes nothing but files
    for picture, file in zip((a, b), files, strict=True):
        picture.save(file, "BMP")
    return float(compute_ssimulacra2(*files))
