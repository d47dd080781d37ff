"""What frozen features are worth, by a linear probe on their mean and by tran-1, a transformer block on all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from finola_codec import formats, images
from finola_codec.errors import ConfigError
from finola_codec.pretraining.method import Method, transformer
from finola_codec.training.data import to_tensor

LINEAR, TRAN_1 = "linear", "tran-1"
SHARE = 0.9  # of the pictures to train on that a seed draws
EPOCHS, BATCH, LR = 5, 64, 1e-3  # of tran-1
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Features (N, positions, width) of pictures, and the number of each one's class."""

    features: Tensor
    labels: Labels


@dataclass(frozen=True)
class Probed:
    """One probe: shares of pictures that it classifies right, and what it takes those to test with for."""

    probe: str
    train: float
    test: float
    predicted: Labels


def class_names(data: Path) -> list[str]:
    """Return the classes of a folder with ``train`` and ``test``, each with a folder of pictures for each class."""
    names = [sorted(p.name for p in (data / part).glob("*") if p.is_dir()) for part in ("train", "test")]
    if not names[0] or names[0] != names[1]:
        raise ConfigError(
            f"{data}: there must be a folder train and a folder test, with a folder for each class in both"
        )
    return names[0]


def read(folder: Path, names: Sequence[str], side: int) -> tuple[Tensor, Labels]:
    """Read pictures, fitted into squares: (N, 3, side, side) in [-0.5, 0.5], and the number of each one's class."""
    crops, labels = [], []
    for number, name in enumerate(names):
        for path in sorted(p for p in (folder / name).iterdir() if formats.is_picture(p.name)):
            picture = Image.fromarray(images.to_planes(formats.read(path, str(path))).pixels)
            crops.append(np.asarray(ImageOps.fit(picture, (side, side))))
            labels.append(number)
    if not crops:
        raise ConfigError(f"{folder}: there are no pictures in the folders of its classes")
    return to_tensor(crops), np.array(labels)


@torch.no_grad()
def split(method: Method, x: Tensor, labels: Labels) -> Split:
    """Compute the features of square pictures (N, 3, H, H), averaged over 2 x 2 positions to save tran-1 time."""
    parts = []
    for part in x.split(BATCH):
        with torch.autocast(x.device.type, torch.bfloat16):
            features = method.features(part).float()  # (N, h h, width)
        side = math.isqrt(features.shape[1])
        parts.append(F.avg_pool2d(features.mT.unflatten(2, (side, side)), 2).flatten(2).mT)
    return Split(torch.cat(parts), labels)


def probe(train: Split, test: Split, seed: int) -> list[Probed]:
    """Train both probes on the pictures that ``seed`` draws, which also seeds the weights of tran-1.

    Raises :class:`ConfigError` where there are too few.
    """
    everyone = np.arange(len(train.labels))
    try:
        chosen, _ = train_test_split(everyone, train_size=SHARE, random_state=seed, stratify=train.labels)
    except ValueError as error:
        raise ConfigError(f"too few pictures to train a probe on: {error}") from error
    drawn = Split(train.features[chosen], train.labels[chosen])
    return [_linear(drawn, test), _tran_1(drawn, test, seed)]


def _linear(train: Split, test: Split) -> Probed:
    means = [part.features.mean(1).numpy() for part in (train, test)]
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(means[0], train.labels)
    return _probed(LINEAR, train, test, fitted.predict(means[0]), fitted.predict(means[1]))


def _tran_1(train: Split, test: Split, seed: int) -> Probed:
    torch.manual_seed(seed)
    width = train.features.shape[2]
    mean, std = train.features.mean((0, 1)), train.features.std((0, 1)) + 1e-6
    block, linear = transformer(width, 1), nn.Linear(width, int(train.labels.max()) + 1)
    optimiser = torch.optim.Adam([*block.parameters(), *linear.parameters()], lr=LR)
    steps = EPOCHS * -(-len(train.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    labels = torch.from_numpy(train.labels)

    def logits(features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, torch.bfloat16):
            return linear(block((features - mean) / std).mean(1)).float()  # (N, classes)

    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(logits(train.features[batch]), labels[batch]).backward()
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        found = [torch.cat([logits(x).argmax(1) for x in part.features.split(BATCH)]).numpy() for part in (train, test)]
    return _probed(TRAN_1, train, test, *found)


def _probed(name: str, train: Split, test: Split, on_train: Labels, on_test: Labels) -> Probed:
    right = (float((on_train == train.labels).mean()), float((on_test == test.labels).mean()))
    return Probed(name, *right, on_test)


def draw_confusion(found: Probed, labels: Labels, names: Sequence[str], path: Path) -> None:
    """Write the confusion matrix of a probe as a picture."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay.from_predictions(
        labels,
        found.predicted,
        labels=range(len(names)),
        display_labels=names,
        xticks_rotation=45,
        ax=axes,
        colorbar=False,
    )
    axes.set_title(f"{found.probe}: {100 * found.test:.1f} % right")
    figure.savefig(path)


def flops(method: Method, side: int) -> int:
    """Count the floating-point operations (two a multiplication) that the features of one picture take."""
    counter = FlopCounterMode(display=False)
    # In training mode and with plain attention, so that nothing runs in fused kernels, which are not counted.
    with counter, sdpa_kernel(SDPBackend.MATH):
        method.train().features(torch.zeros(1, 3, side, side))
    method.eval()
    return int(counter.get_total_flops())
