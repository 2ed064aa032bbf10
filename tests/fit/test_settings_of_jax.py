"""Fits under every setting of JAX: no NaN on the way, and the same bits."""

import jax
import numpy as np
import pytest
from toy import toy_response
from toy_images import simulated

import jaxspec as js
from jaxspec._types import Spectrum

N = 32
SKY = Spectrum("sky", np.arange(N), np.full(N, 4.0), 2000.0, backscal=2.0)
SOURCE = {"PhoIndex": 1.8, "norm": [0.3, 0.01, 1e-5]}  # the last has hardly a count
DATA = js.fake("powerlaw", toy_response(N), [1000.0] * 3, SOURCE, background=SKY, seed=1)


def arrays(result):
    return [result.params, result.stat, *result.covariances.values()]


def spectra(stat):
    bare = js.SpectrumList(s.replace(background=None) for s in DATA)
    model = "TBabs*powerlaw" if stat == "wstat" else "powerlaw"
    return arrays(js.fit(model, bare if stat == "cstat" else DATA, stat))


def image(_):
    return arrays(js.fit("beta", simulated("beta")))


@pytest.mark.parametrize(
    ("work", "stat"),
    [(spectra, "cstat"), (spectra, "wstat"), (spectra, "pgstat"), (spectra, "chi2"), (image, "")],
)
def test_no_nan_on_the_way_and_the_same_bits(work, stat):
    right = work(stat)
    assert all(np.isfinite(x).any() for x in right)
    with jax.debug_nans(True):
        checked = work(stat)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        single = work(stat)
    for a, b, c in zip(right, checked, single, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
