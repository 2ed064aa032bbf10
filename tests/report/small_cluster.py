"""A small cluster image, with fits and posteriors of it that need no sampling."""

import numpy as np
from astropy.wcs import WCS

import jaxspec as js
from jaxspec.fit.rows import Rows
from jaxspec.likelihood.forward import log_likelihoods, predict
from jaxspec.reduce.data import DataList
from jaxspec.reduce.image import Image
from jaxspec.sample.posterior import Posterior, columns

SINGLE = {"x0": 25.4, "y0": 22.2, "S0": 2e-5, "rc": 4.0, "beta": 0.6, "B": 0.1}
DOUBLE = SINGLE | {"S0": 4e-5, "rc": 2.0, "beta": 0.9, "S02": 4e-6, "rc2": 9.0, "beta2": 0.7}
PIXEL = 2.0  # arcsec


def sky(shape, kind=("RA---TAN", "DEC--TAN")):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = kind, (210.0, 2.9), (1.0, 1.0)
    wcs.wcs.cdelt = (-PIXEL / 3600, PIXEL / 3600)
    wcs.wcs.set()
    return wcs


def model_of(values):
    model = js.Model("double_beta" if "S02" in values else "beta")
    for name, value in values.items():
        model[name].set(value)
    return model


def cluster(values=DOUBLE, seed=4, shape=(44, 48), **changes):
    """Image with a column without exposure and a masked source of 1000 counts."""
    y, x = np.indices(shape)
    exposure = 1e7 * (1.0 - 0.3 * np.hypot(x - 24, y - 22) / 30)
    exposure[:, 10] = 0.0
    mask = exposure <= 0
    empty = Image(
        "toy", np.zeros(shape), exposure, ~np.ones(shape, bool), wcs=sky(shape),
        exposure_unit="cm2 s", exposure_time=1e5,
    )  # fmt: skip
    model = model_of(values)
    counts = np.random.default_rng(seed).poisson(predict(model, empty, model.values))
    counts = counts.reshape(shape).astype(float)
    counts[38:41, 38:41] = 1000.0
    mask[38:41, 38:41] = True
    return empty.replace(counts=counts, mask=mask, **changes)


def fit_of(values, data, stat=123.4):
    """Result of a fit that ended at these values."""
    model = model_of(values)
    kind = "cstat" if np.isnan(data.pixels.error).all() else "chi2"
    rows = Rows(model, DataList([data]))
    rows.params[0], rows.stat[0], rows.stat_names[0] = model.values, stat, kind
    rows.status[0], rows.n_bins[0] = 0, len(data.pixels.x)
    return rows.result()


def posterior_of(values, data, spread=0.01, n_chain=4, n_draw=60, seed=2, **changes):
    """Posterior whose draws scatter around the values by a fraction of each."""
    model = model_of(values)
    places, names, units = columns(model)
    rng = np.random.default_rng(seed)
    full = np.broadcast_to(model.values, (n_chain, n_draw, len(model.values))).copy()
    small = np.where(np.isin(names, ["x0", "y0"]), 0.05 * spread, spread)
    full[..., places] *= 1.0 + small * rng.standard_normal((n_chain, n_draw, len(places)))
    likelihood = log_likelihoods(model, data, full.reshape(-1, full.shape[-1]))
    given = {
        "model": model,
        "data": data,
        "names": names,
        "units": units,
        "chains": full[..., places],
        "full": full,
        "log_likelihood": likelihood.reshape(n_chain, n_draw),
        "log_constant": 0.0,
        "log_prior": np.zeros((n_chain, n_draw)),
        "diverging": np.zeros((n_chain, n_draw), bool),
        "accepted": np.ones((n_chain, n_draw), bool),
        "steps": np.full((n_chain, n_draw), 7),
        "best": model.values[places],
        "settings": {"seed": seed},
    }
    return Posterior(**given | changes)
