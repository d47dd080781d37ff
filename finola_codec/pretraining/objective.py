"""What pre-training minimises: the error of the patches that were masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.method import Method, Prediction, to_patches
from finola_codec.training.data import Pictures
from finola_codec.training.files import Checked
from finola_codec.training.logs import Row
from finola_codec.training.loop import Measured

VARIANCE = 1 / 16  # of pixels in [-0.5, 0.5], about; by it errors of pixels and of normalised features compare
DRAWS = 8  # masks that a validation draws for each picture


class Reconstruction:
    """The mean square error of masked pixels, in units of their variance, and what a method adds to it."""

    columns: tuple[str, ...] = ("psnr", "features")
    labels: tuple[str, ...] = ("kind",)

    def __init__(self, config: PretrainConfig, pictures: Pictures) -> None:
        self.config, self.pictures = config, pictures

    def measure(self, model: nn.Module, average: nn.Module, x: Tensor, drawn: Tensor) -> Measured:
        """Predict what is masked of crops (N, 3, H, W); nothing is asked of ``drawn``."""
        assert isinstance(average, Method)
        prediction = model(x, average.tell(x))
        mse = masked_error(prediction, x).mean()
        features = torch.as_tensor(prediction.feature_loss, device=x.device)
        loss = mse / VARIANCE + features
        return Measured(loss, {"loss": loss, "psnr": _psnr(mse), "features": features})

    def validate(self, model: nn.Module) -> list[Row]:
        """Return one row: means over the held-out photographs and the same masks every time."""
        assert isinstance(model, Method)
        device = next(model.parameters()).device
        crops = self.pictures.held_out_crops(self.config.crop).to(device)
        parts = []
        for draw in range(DRAWS):
            torch.manual_seed(draw)
            for x in crops.split(self.config.batch):
                prediction = model(x, model.tell(x))
                mse = masked_error(prediction, x)
                features = torch.as_tensor(prediction.feature_loss, device=device).expand(len(x))
                parts.append(torch.stack([mse / VARIANCE + features, _psnr(mse), features]))
        loss, psnr, features = torch.cat(parts, dim=1).mean(1).tolist()
        return [{"kind": "photographs", "loss": loss, "psnr": psnr, "features": features}]

    def check_files(self, model: nn.Module) -> Checked | None:
        """Nothing is written: these are no codecs."""
        return None


def masked_error(prediction: Prediction, x: Tensor) -> Tensor:
    """Return the mean square error of each picture (N,) over its masked positions alone."""
    error = (prediction.patches.float() - to_patches(x)).square().mean(-1)  # (N, h, w)
    weight = prediction.masked.to(error.dtype).expand_as(error)
    return (error * weight).sum((1, 2)) / weight.sum((1, 2))


def _psnr(mse: Tensor) -> Tensor:
    return -10 * torch.log10(mse.clamp_min(1e-10))
