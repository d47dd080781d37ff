"""finola-codec train"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from finola_codec.cli import options

RUN = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("pictures", type=click.Path(exists=True, path_type=Path))
@options.running
@click.option("--from", "--init", "origin", help="Start from the weights of this model: an installed one, or a folder.")
@click.option("--encoder", type=RUN, help="Start the encoder, a Mobile-Former, from this run of `pretrain`.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A TOML file of fields.")
@click.option("--max-minutes", type=options.POSITIVE, help="Stop for now after this time.")
@click.option("--accelerator", default="auto", show_default=True, help="cpu, gpu, mps, ... as Lightning Fabric has it.")
@click.option("--devices", default="auto", show_default=True, help="How many devices of this machine.")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="How many machines.")
def train(
    pictures: Path,
    run: Path,
    origin: str | None,
    encoder: Path | None,
    settings: list[str],
    config: Path | None,
    cache: Path | None,
    resume: bool,
    max_steps: int | None,
    max_minutes: float | None,
    accelerator: str,
    devices: str,
    nodes: int,
) -> None:
    """Train a codec on PICTURES: a folder, a text file of paths, or a WebDataset shard (.tar).

    With --from, training continues from a model, which is the way to a codec for pictures of one kind. Without it, a
    run starts from the Karhunen-Loeve transform of the pictures. The run's CSV and TensorBoard logs are in its folder.
    SIGTERM and Ctrl-C end it after the step at work and save it; --resume then continues exactly.
    """
    from finola_codec.nn.restore import restore
    from finola_codec.pretraining.methods import load_encoder
    from finola_codec.training.cache import ensure_cache
    from finola_codec.training.codec import start
    from finola_codec.training.config import load_config
    from finola_codec.training.data import Pictures
    from finola_codec.training.devices import connect
    from finola_codec.training.resident import ResidentPictures

    if (origin or encoder) and resume:
        raise click.UsageError("--from and --encoder start a run, --resume continues one")
    codec = restore(origin) if origin else None
    trunk = load_encoder(encoder) if encoder else None
    chosen = load_config(
        config,
        settings,
        resumed=run if resume else None,
        start_from=codec.profile if codec else None,
        origin=origin or "",
    )
    fabric = connect(accelerator, devices, nodes)
    cache = cache or run / "cache"
    if fabric.is_global_zero:
        ensure_cache(pictures, cache, chosen.crop)
    fabric.barrier()
    opened = Pictures.open(cache, chosen.held_out)
    if ResidentPictures.fit(opened, fabric.device):
        opened = ResidentPictures.of(opened, fabric.device)
    trainer = start(chosen, run, opened, resume, codec, fabric, trunk)
    if trainer.train(max_steps, max_minutes) == signal.SIGINT:
        sys.exit(128 + signal.SIGINT)
