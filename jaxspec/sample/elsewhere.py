"""Another minimum, of nearly the same statistic, that the chains did not visit.

All chains start around one optimum. R-hat compares them with each other, and says nothing of a
second place on the image where the source would fit as well.
"""

from __future__ import annotations

import numpy as np

from jaxspec.fit.run import fit
from jaxspec.likelihood.image_prepare import source_places
from jaxspec.reduce.center import peak

NEAR = 8.0  # in the statistic: such a place holds up to 2 % of the probability, or all but that
AWAY = 5.0  # standard deviations that make it another place


def other_minima(posterior, model, priors=None) -> list[str]:
    """Sentences on places where a source of an image could be as well.

    Each source that is free to move is put where the image is brightest without it and without
    its present surroundings, and everything is fitted again from there.

    Parameters
    ----------
    posterior : Posterior of one Image, with its fit; of other data nothing is said.
    model : Model, as it was given.
    priors : dict or None, as given to `jaxspec.sample`.
    """
    data, start = posterior.data, posterior.fit
    if not hasattr(data, "rebuild") or start is None or not start.usable[0]:
        return []
    found, places = [], source_places(start.model)
    settings = posterior.settings
    for number, pair in enumerate(places):
        own = [model.parameters[i] for i in pair]
        if not all(p.free for p in own):
            continue
        where = _brightest_elsewhere(start, data, number, places)
        if where is None:
            continue
        moved = model.copy()
        for i, value in zip(pair, where, strict=True):
            p = moved.parameters[i]
            if not p.min <= value <= p.max:
                break
            p.set(float(value))
        else:
            again = fit(
                moved, data, stat=settings.get("stat", "auto"), priors=priors,
                integrate=settings.get("integrate"),
            )  # fmt: skip
            found += _sentence(posterior, start, again, pair)
    return found


def _brightest_elsewhere(start, data, number, places):
    """Where the image is brightest without one source and its surroundings; None if nowhere."""
    params = start.params[0]
    owner = _owner(start.model, places[number])
    rest = start.image() - start.image(kind=owner)  # what the others explain
    y, x = np.indices(data.shape)
    near = np.zeros(data.shape, bool)
    for i, j in places:
        near |= np.hypot(x - params[i], y - params[j]) < max(0.1 * min(data.shape), 3.0)
    if (data.mask | near).all():
        return None
    left = data.replace(counts=np.maximum(data.counts - rest, 0.0), background=None)
    return peak(left.replace(mask=data.mask | near))


def _owner(model, pair):
    """Name of the component that a position belongs to."""
    return model.parameters[pair[0]].full_name.rpartition(".")[0]


def _sentence(posterior, start, again, pair):
    if not again.usable[0] or not again.stat[0] < start.stat[0] + NEAR:
        return []
    spread = posterior.full.reshape(-1, posterior.full.shape[-1]).std(axis=0)
    shift = np.abs(again.params[0] - start.params[0])[list(pair)]
    if not (shift > np.maximum(AWAY * spread[list(pair)], 1.0)).any():
        return []
    ends = ", ".join(
        f"{start.model.parameters[i].full_name} = {again.params[0, i]:.4g}" for i in pair
    )
    difference = again.stat[0] - start.stat[0]
    word = f"{abs(difference):.1f} {'above' if difference >= 0 else 'below'}"
    return [
        f"there is another minimum, its statistic {word} that of the one sampled, at {ends}: the "
        "chains have not been there, and the posterior has at least two modes; limit the "
        "positions to the one that is meant"
    ]
