"""finola-codec probe"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How often to train each probe."
)
@click.option("--untrained", is_flag=True, help="Probe the run's encoder as it was before training, to compare with.")
def probe(run: Path, data: Path, seeds: int, untrained: bool) -> None:
    """Say what the frozen features of a pre-training RUN are worth on DATA: DATA/train/CLASS and DATA/test/CLASS.

    A linear probe on the mean of the features, and tran-1, one transformer block and a linear layer. Each seed
    draws nine tenths of the pictures to train on. The confusion matrices of the first are written into RUN.
    """
    import torch

    from finola_codec.pretraining import probe as probing
    from finola_codec.pretraining.methods import build, load

    method, config = load(run)
    if untrained:
        torch.manual_seed(config.seed)
        method = build(config).eval()
    if config.threads:
        torch.set_num_threads(config.threads)
    names = probing.class_names(data)
    train, test = (probing.split(method, *probing.read(data / part, names, config.crop)) for part in ("train", "test"))
    click.echo(f"{config.method}: {probing.flops(method, config.crop) / 1e9:.3f} GFLOP a picture")
    click.echo("| probe | seed | train | test |\n| --- | --- | --- | --- |")
    for seed in range(seeds):
        for found in probing.probe(train, test, seed):
            click.echo(f"| {found.probe} | {seed} | {100 * found.train:.1f} % | {100 * found.test:.1f} % |")
            if seed == 0:
                path = run / f"confusion-{found.probe}{'-untrained' * untrained}.png"
                probing.draw_confusion(found, test.labels, names, path)
