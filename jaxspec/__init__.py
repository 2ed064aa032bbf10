"""jaxspec: fit hundreds of X-ray spectra, and X-ray images, in one compiled call.

The names below are loaded when they are first used, so that ``import jaxspec`` costs
milliseconds; importing changes no global setting of JAX, NumPy or astropy.
"""

from importlib import import_module as _import_module

from jaxspec import fit, sample

# The package ``jaxspec.fit`` and the function ``jaxspec.fit()`` share a name, as do the two
# ``sample``. Loading the (empty) packages first and dropping their bindings leaves the names to
# __getattr__, for good: Python binds a sub-package to its parent only once.
del fit, sample

__version__ = "0.1.0"

_HOME = {
    "InputError": "jaxspec.errors",
    "FitError": "jaxspec.errors",
    "Status": "jaxspec._status",
    "Spectrum": "jaxspec._types",
    "Response": "jaxspec._types",
    "SpectrumList": "jaxspec.reduce.spectra",
    "read_pha": "jaxspec.reduce.spectra",
    "read_response": "jaxspec.read.ogip",
    "read_arf": "jaxspec.read.ogip",
    "write_pha": "jaxspec.read.write",
    "write_arf": "jaxspec.read.write",
    "write_response": "jaxspec.read.write",
    "Model": "jaxspec.model.model",
    "models": "jaxspec.model.library",
    "component": "jaxspec.model.library",
    "evaluate": "jaxspec.model.evaluate",
    "statistic": "jaxspec.likelihood.statistics",
    "fit": "jaxspec.fit.run",
    "FitResult": "jaxspec.fit.result",
    "Image": "jaxspec.reduce.image",
    "read_image": "jaxspec.reduce.image",
    "RadialProfile": "jaxspec.reduce.profile",
    "profile": "jaxspec.reduce.profile",
    "read_profile": "jaxspec.reduce.profile",
    "centroid": "jaxspec.reduce.center",
    "peak": "jaxspec.reduce.center",
    "derived": "jaxspec.model.surface_derived",
    "Psf": "jaxspec.reduce.psf",
    "gaussian_psf": "jaxspec.reduce.psf",
    "king_psf": "jaxspec.reduce.psf",
    "read_psf": "jaxspec.reduce.psf",
    "sample": "jaxspec.sample.run",
    "Posterior": "jaxspec.sample.posterior",
    "read_posterior": "jaxspec.sample.store",
    "compare": "jaxspec.estimate.compare",
    "fake": "jaxspec.estimate.simulate",
    "cluster_truth": "jaxspec.demo.cluster",
    "simulate_cluster": "jaxspec.demo.cluster",
    "write_image": "jaxspec.read.write_image",
    "simulate_archive": "jaxspec.demo.pca_archive",
    "plot": "jaxspec.report",
    "use_compilation_cache": "jaxspec._cache",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'jaxspec' has no attribute {name!r}")
    value = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
