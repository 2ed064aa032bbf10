"""The figures, as ``js.plot``: each draws into what it is given and returns the figure.

They show nothing. Without ``ax`` or ``fig`` a new pyplot figure is made. A figure of your own
(``matplotlib.figure.Figure``) keeps pyplot and its backend out of it. The numbers that are drawn
come from ``data_arrays``, ``fit_arrays``, ``model_arrays``, ``model_band``, ``curve_band``,
``stack_spectra`` and ``stack_models``; those of images from ``profile_arrays``,
``predictive_profile`` and ``residual_image``.
"""

from jaxspec.report.compared import (
    curve_band,
    data_arrays,
    fit_arrays,
    model_arrays,
    model_band,
    profile_arrays,
)
from jaxspec.report.draw import STYLE
from jaxspec.report.image_checks import predictive_profile, residual_image
from jaxspec.report.image_figures import exposure, image, masks, overview, residuals
from jaxspec.report.posterior_figures import traces, triangle
from jaxspec.report.profile_figures import compare, profile
from jaxspec.report.result_figures import histograms, timeline
from jaxspec.report.spectrum_figures import data, fit, models, spectra, unfolded
from jaxspec.report.stacks import stack_models, stack_spectra

__all__ = [
    "STYLE",
    "compare",
    "curve_band",
    "data",
    "data_arrays",
    "exposure",
    "fit",
    "fit_arrays",
    "histograms",
    "image",
    "masks",
    "model_arrays",
    "model_band",
    "models",
    "overview",
    "predictive_profile",
    "profile",
    "profile_arrays",
    "residual_image",
    "residuals",
    "spectra",
    "stack_models",
    "stack_spectra",
    "timeline",
    "traces",
    "triangle",
    "unfolded",
]
