"""The figures, as ``js.plot``: each draws into what it is given, returns it and shows nothing.

Without ``ax`` or ``fig`` a new pyplot figure is made. A figure of your own
(``matplotlib.figure.Figure``) keeps pyplot and its backend out of it. The numbers that are drawn
come from ``data_arrays``, ``fit_arrays``, ``model_arrays``, ``stack_spectra`` and ``stack_models``.
"""

from jaxspec.report.arrays import data_arrays, fit_arrays, model_arrays
from jaxspec.report.draw import STYLE
from jaxspec.report.result_figures import histograms, timeline
from jaxspec.report.spectrum_figures import data, fit, models, spectra, unfolded
from jaxspec.report.stacks import stack_models, stack_spectra

__all__ = [
    "STYLE",
    "data",
    "data_arrays",
    "fit",
    "fit_arrays",
    "histograms",
    "model_arrays",
    "models",
    "spectra",
    "stack_models",
    "stack_spectra",
    "timeline",
    "unfolded",
]
