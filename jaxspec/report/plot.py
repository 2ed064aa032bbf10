"""The figures, as ``js.plot``: each draws into what it is given, returns it and shows nothing.

Without ``ax`` or ``fig`` a new pyplot figure is made. A figure of your own
(``matplotlib.figure.Figure``) keeps pyplot and its backend out of it.
"""

from jaxspec.report import arrays
from jaxspec.report.draw import STYLE
from jaxspec.report.result_figures import histograms, timeline
from jaxspec.report.spectrum_figures import data, fit, models, spectra, unfolded

__all__ = [
    "STYLE",
    "arrays",
    "data",
    "fit",
    "histograms",
    "models",
    "spectra",
    "timeline",
    "unfolded",
]
