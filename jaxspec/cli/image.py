"""``jaxspec image``: an image in, fit, posterior and figures out."""

from __future__ import annotations

from pathlib import Path

import click

from jaxspec.cli.common import (
    check_values,
    debug,
    end,
    freeze,
    main,
    no_cache,
    overwrite,
    set_values,
    start,
)


def _exposure_time(_, param, value):
    """Read auto, yes, no or seconds, as `jaxspec.read_image` takes them."""
    words = {"auto": "auto", "yes": True, "no": False}
    if value.lower() in words:
        return words[value.lower()]
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not auto, yes, no or a number") from None


def _names(_, param, value):
    """Split a list of models at its commas."""
    names = [name.strip() for name in (value or "").split(",")]
    if value and (len(names) < 2 or not all(names)):
        raise click.BadParameter(f"{value!r} is not a list of models, such as beta,double_beta")
    return names if value else []


_SAMPLING = ("chains", "draws", "warmup", "target_accept", "seed")


@main.command(
    epilog=end(
        "jaxspec image image.fits.gz --expmap expmap.fits.gz --regions mask.reg -m double_beta",
        "jaxspec image image.fits.gz --expmap expmap.fits.gz --regions mask.reg \\",
        "    --min-exposure 0.5 --model double_beta --sample -o out/",
        "jaxspec image image.fits.gz --expmap expmap.fits.gz --compare beta,double_beta -o out/",
        "jaxspec image counts.fits --expmap exp.fits --background bkg.fits -m beta --freeze B=0 "
        "--thaw scale",
    )
)
@click.argument("image", metavar="IMAGE")
@click.option(
    "--model", "-m", metavar="EXPR", help="Image components, joined by +.  [default: beta]"
)
@click.option("--expmap", metavar="MAP", help="Exposure map, in s, cm2 or cm2 s.")
@click.option("--background", metavar="MAP", help="Expected background counts of each pixel.")
@click.option("--rms", metavar="MAP", help="One-sigma errors; the fit then uses chi2.")
@click.option("--area", metavar="MAP", help="Good fraction of each pixel of a rebinned image.")
@click.option("--psf", metavar="FILE", help="Image of the PSF, of any pixel size.")
@click.option(
    "--psf-pixel",
    type=click.FloatRange(min=0, min_open=True),
    metavar="ARCSEC",
    help="Size of its pixels, where its file does not say it.",
)
@click.option(
    "--regions",
    multiple=True,
    metavar="FILE",
    help="What to leave out: DS9, JS9 or CIAO regions, a FITS table or a source list; may be "
    "repeated.",
)
@click.option(
    "--keep", multiple=True, metavar="FILE", help="What lies outside is left out; may be repeated."
)
@click.option(
    "--mask", metavar="FILE", help="FITS image on the same grid: 0 is left out, 1 is used."
)
@click.option(
    "--min-exposure",
    type=click.FloatRange(0, 1),
    metavar="FRACTION",
    help="Leave out pixels with less than this fraction of the largest exposure.",
)
@click.option(
    "--exposure-time",
    default="auto",
    show_default=True,
    callback=_exposure_time,
    metavar="TIME",
    help="Whether the map is multiplied by EXPOSURE: auto, yes, no, or by so many seconds.",
)
@click.option(
    "--exposure-unit",
    metavar="UNIT",
    help="Unit of the map, s, cm2 or cm2 s, where its BUNIT is absent or wrong.",
)
@click.option(
    "--unit",
    metavar="UNIT",
    help="Unit of the image, where its BUNIT is wrong: only counts are fitted.",
)
@set_values
@freeze
@click.option(
    "--thaw",
    "thawed",
    multiple=True,
    metavar="PAR",
    help="Fit a parameter that is fixed, as scale.",
)
@click.option("--sample", is_flag=True, help="Sample the posterior after the fit.")
@click.option(
    "--compare",
    callback=_names,
    metavar="EXPR,EXPR",
    help="Sample several models and compare them by DIC.",
)
@click.option("--chains", default=4, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--draws", default=1000, show_default=True, type=click.IntRange(min=4), help="Of each chain."
)
@click.option(
    "--warmup", default=300, show_default=True, type=click.IntRange(min=30), help="Draws before."
)
@click.option(
    "--target-accept",
    default=0.9,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Acceptance at which the step size aims; raise it if draws diverge.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Equal seeds give equal draws.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for tables, chains, figures and summary.json; it is made.",
)
@overwrite
@click.option("--quiet", is_flag=True, help="Print nothing.")
@no_cache
@debug
def image(image, model, compare, sample, no_cache, quiet, **options):
    """Read an image, fit models to it, sample their posterior, and say what was found.

    IMAGE is a FITS image of counts, local or at any address. Start values are not needed.
    """
    from jaxspec.run.image import run_image

    start(no_cache)
    check_values(options["values"], options["frozen"])
    sampling = {name: options.pop(name) for name in _SAMPLING}
    expressions = list(dict.fromkeys(([model] if model else []) + compare)) or ["beta"]
    run_image(
        image,
        expressions,
        sampling=sampling if sample or compare else None,
        say=(lambda text: None) if quiet else click.echo,
        **options,
    )
