"""Draw from the posterior: sampling, its diagnostics, and what it hands back."""

from jaxspec._callable import make_callable as _make_callable

_make_callable(__name__)  # ``jaxspec.sample(model, data)`` is ``jaxspec.sample.run.sample``
