"""What ``jaxspec image`` does: read, fit, sample, compare, write."""

from __future__ import annotations

from jaxspec._environment import devices, versions
from jaxspec.errors import FitError, InputError
from jaxspec.run.folder import SUMMARY, begin_writing, claim, finish, timed
from jaxspec.run.results import (
    FILES,
    OF_MODEL,
    comparison_numbers,
    fit_numbers,
    image_numbers,
    posterior_numbers,
    prefix_of,
    write_results,
)

COMMAND = "jaxspec image"


def run_image(
    path,
    expressions,
    *,
    sampling=None,
    values=(),
    frozen=(),
    thawed=(),
    out=None,
    overwrite=False,
    say=print,
    **read,
) -> dict:
    """Fit models to an image, sample them if asked, and write what was found.

    Parameters
    ----------
    path : path of the counts.
    expressions : list of str, image models.
    sampling : dict, options of `jaxspec.sample`; None fits only. Several models are compared.
    values, frozen : list of (name, number); the number of a frozen one may be None.
    thawed : list of str
    out : path, folder to write to; it is made. None writes nothing.
    overwrite : bool
        Whether files of an earlier run in this folder may be replaced. Those that this run does
        not write are removed; files that are not of such a run stay.
    say : callable, gets the lines for the screen.
    **read
        expmap, background, rms, psf, psf_pixel, regions, keep, min_exposure, exposure_time,
        exposure_unit, unit, mask.

    Returns
    -------
    dict, what ``summary.json`` holds.

    Raises
    ------
    InputError
        Input that cannot be used; a folder with an earlier run, which may not be replaced.
    FitError
        No model has a usable fit.
    """
    models, seconds = prepared(expressions, values, frozen, thawed), {}
    if out is not None:
        out = claim(out, COMMAND, possible_files(models), overwrite, say)
    image = timed(seconds, "read", read_data, path, **read)
    say(str(image))
    say("\n".join(f"  {line}" for line in image.diagnostics) + "\n")
    fits, posteriors = {}, {}
    for name, model in models.items():
        fits[name], posteriors[name] = _one(name, model, image, sampling, seconds, say)
    posteriors = {name: found for name, found in posteriors.items() if found is not None}
    comparison = None
    if len(posteriors) > 1:
        from jaxspec.estimate.compare import compare

        comparison = timed(seconds, "compare", compare, posteriors)
        say(f"{comparison}\n")
    summary = {
        "command": COMMAND,
        "image": image_numbers(image),
        "fits": {name: fit_numbers(result) for name, result in fits.items()},
        "posteriors": {name: posterior_numbers(found) for name, found in posteriors.items()},
        "comparison": comparison and comparison_numbers(comparison),
        "seconds": seconds,
        "versions": versions(),
        "devices": devices(),
    }
    if out is not None:
        begin_writing(out, COMMAND, possible_files(models))
        found = (image, fits, posteriors, comparison)
        names = timed(seconds, "files", write_all, out, *found, say, overwrite)
        summary["files"] = names
        finish(out, summary, say)
        say(f"in {out}/: summary.json, {', '.join(names)}")
    say(", ".join(f"{step} {value:.1f} s" for step, value in seconds.items()))
    _check_usable(fits)
    return summary


def _one(name, model, image, sampling, seconds, say):
    """Fit one model, and sample it if that is wanted and the fit can be used."""
    from jaxspec.fit.run import fit
    from jaxspec.sample.run import sample

    result = timed(seconds, f"fit {name}", fit, model, image)
    say(f"{result.summary()}\n{result.messages[0]}\n")
    if sampling is None or result.status[0] not in result.USABLE:
        return result, None
    posterior = timed(seconds, f"sample {name}", sample, model, image, **sampling)
    say(f"{posterior.summary()}\n")
    return result, posterior


def _check_usable(fits):
    if not any(result.status[0] in result.USABLE for result in fits.values()):
        name, result = next(iter(fits.items()))
        raise FitError(f"no usable fit: {name}: {result.messages[0]}")


def possible_files(models) -> list[str]:
    """Names of all files that a run of these models may write."""
    from jaxspec.report.save import figure_names

    names = [SUMMARY, *FILES, *figure_names("image", "comparison")]
    for name in models:
        prefix = prefix_of(name, models)
        names += [f"{prefix}{file}" for file in OF_MODEL]
        names += figure_names("image fit", "chains", prefix=prefix)
    return names


def read_data(
    path,
    *,
    expmap=None,
    background=None,
    rms=None,
    area=None,
    psf=None,
    psf_pixel=None,
    regions=(),
    keep=(),
    min_exposure=None,
    exposure_time="auto",
    exposure_unit=None,
    unit=None,
    mask=None,
):
    """Image with its maps, masks and PSF; see `jaxspec.read_image`."""
    from jaxspec.reduce.image import read_image

    image = read_image(
        path,
        exposure=expmap,
        background=background,
        rms=rms,
        area=area,
        regions=list(regions) or None,
        keep=list(keep) or None,
        min_exposure=min_exposure,
        exposure_time=exposure_time,
        exposure_unit=exposure_unit,
        unit=unit,
        mask=mask,
    )
    if psf is None:
        return image
    from jaxspec.reduce.psf import read_psf

    return image.replace(psf=read_psf(psf, image_pixel_size=image.pixel_size, pixel_size=psf_pixel))


def prepared(expressions, values=(), frozen=(), thawed=()) -> dict:
    """Models by expression, with parameters set and frozen in all that have them.

    Raises
    ------
    InputError
        An expression that is no image model, or a parameter that none of them has.
    """
    from jaxspec.estimate.simulate_image import image_model

    models = {name: image_model(name) for name in expressions}
    steps = [(name, lambda p, v=v: p.set(v)) for name, v in values]
    steps += [(name, lambda p: p.thaw()) for name in thawed]
    steps += [(name, lambda p, v=v: p.freeze(v)) for name, v in frozen]
    for name, change in steps:
        for parameter in _having(models.values(), name):
            change(parameter)
    return models


def _having(models, name):
    """Parameter of each model that has it; an error if none has."""
    found, problem = [], None
    for model in models:
        try:
            found.append(model[name])
        except InputError as error:
            problem = error
    if not found:
        raise problem
    return found


def write_all(out, image, fits, posteriors, comparison, say, overwrite=False) -> list[str]:
    """Tables and figures into a folder; gives their names."""
    names, notes = write_results(out, image, fits, posteriors, comparison, overwrite)
    for note in notes:
        say(note)
    return names + draw_all(out, image, fits, posteriors, overwrite)


def draw_all(out, image, fits, posteriors, overwrite=False) -> list[str]:
    """Figures of the image, of every usable model, and of several of them side by side."""
    from jaxspec.report.save import save

    names, shown = save(image, out, overwrite=overwrite), {}
    for name, result in fits.items():
        if name in posteriors or result.status[0] in result.USABLE:
            shown[name] = posteriors.get(name, result)
            names += save(shown[name], out, prefix_of(name, fits), overwrite=overwrite)
    return names + (save(shown, out, overwrite=overwrite) if len(shown) > 1 else [])
