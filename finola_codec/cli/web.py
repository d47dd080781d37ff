"""finola-codec web"""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.cli import options
from finola_codec.files import check_folder


@click.command()
@click.argument("folder", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", "models", multiple=True, help="Model to serve, by name or folder; repeat for several.")
@click.option(
    "--packages",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder node_modules with onnxruntime-web and @jsquash/avif; without it npm fetches what is missing.",
)
@options.force
def web(folder: Path, models: tuple[str, ...], packages: Path | None, force: bool) -> None:
    """Write a folder that any static web server serves: a page that shows .fin pictures, and all it needs.

    Other pages use its fin-img.js and finola-codec.js. Models are made small for it, which needs the extra [web]. With
    the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp a page decodes
    with several threads.
    """
    from finola_codec import web as site
    from finola_codec.runtime.model import DEFAULT_MODEL, load_model

    check_folder(folder, force, own=site.INDEX)
    site.write(folder, [load_model(name) for name in models or (DEFAULT_MODEL,)], packages)
    click.echo(f"{folder}: try it with python -m http.server --directory {folder}")
