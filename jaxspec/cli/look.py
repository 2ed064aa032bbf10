"""The commands that look at things, and the simulated archive."""

from __future__ import annotations

from pathlib import Path

import click

from jaxspec._text import align
from jaxspec.cli.common import debug, end, main, no_cache, overwrite, start
from jaxspec.errors import InputError


@main.command(
    epilog=end(
        "jaxspec inspect xp90058110300_s2.pha.gz",
        "jaxspec inspect 'acis.pha{3}' acis.rmf acis.arf",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@debug
def inspect(files):
    """Say what a spectrum, response or area file holds, and what was assumed."""
    from jaxspec.report.describe import describe_file

    failed = 0
    for file in files:
        try:
            click.echo(describe_file(file))
        except InputError as error:
            if len(files) == 1:
                raise
            click.echo(f"jaxspec: error: {error}", err=True)
            failed += 1
    if failed:
        click.get_current_context().exit(1)


@main.command(
    epilog=end(
        "jaxspec simulate archive",
        "jaxspec simulate archive -n 20 --seed 7 --flaws",
    )
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "-n", default=300, show_default=True, type=click.IntRange(min=1), help="Observations."
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal files.")
@click.option("--flaws", is_flag=True, help="Spoil four observations, each in another way.")
@overwrite
@no_cache
@debug
def simulate(folder, n, seed, flaws, overwrite, no_cache):
    """Write a simulated archive of RXTE PCA standard products, with a table of its truths."""
    from jaxspec.demo.pca_archive import simulate_archive

    start(no_cache)
    truth = simulate_archive(folder, n=n, seed=seed, flaws=flaws, overwrite=overwrite)
    click.echo(f"wrote {len(truth)} observations and truth.ecsv to {folder}/")
    click.echo(
        f"fit them with: jaxspec fit '{folder}/*/stdprod/xp*_s2.pha.gz' --band 3-25 "
        "--model 'TBabs*(diskbb+powerlaw)' --freeze TBabs.nH=0.6"
    )


@main.command(
    epilog=end(
        "jaxspec models",
        "jaxspec models diskbb",
    )
)
@click.argument("name", required=False)
@debug
def models(name):
    """List the models; with NAME, the parameters of one with units, defaults and limits."""
    from jaxspec.report.models import list_models, show_model

    click.echo(show_model(name) if name else list_models())


@main.command(
    epilog=end(
        "jaxspec info",
    )
)
@debug
def info():
    """Versions, devices, the cache folder; warns if another package takes the same name."""
    from jaxspec._cache import use_compilation_cache
    from jaxspec._environment import devices, versions
    from jaxspec.run.environment import namesake_warning

    folder = use_compilation_cache()
    files = folder.iterdir() if folder else ()
    sizes = [file.stat().st_size for file in files if file.is_file()]
    rows = versions() | {
        "installed in": str(Path(__file__).parents[1]),
        "devices": ", ".join(devices()),
        "cache": f"{folder or 'none'} ({len(sizes)} files, {sum(sizes) / 1e6:.1f} MB)",
    }
    click.echo("\n".join(align(rows.items())))
    if warning := namesake_warning():
        click.echo(f"jaxspec: warning: {warning}", err=True)
