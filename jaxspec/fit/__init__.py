"""The batched fit: starts, minimiser, covariance, results."""

from jaxspec._callable import make_callable as _make_callable

_make_callable(__name__)  # ``jaxspec.fit(model, spectra)`` is ``jaxspec.fit.run.fit``
