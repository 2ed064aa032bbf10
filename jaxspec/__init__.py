"""jaxspec: fit hundreds of X-ray spectra, and X-ray images, in one compiled call.

The names below are loaded when they are first used, so that ``import jaxspec`` costs
milliseconds; importing changes no global setting of JAX, NumPy or astropy.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names as in _HOME, for editors and type checkers
    from jaxspec._cache import use_compilation_cache as use_compilation_cache
    from jaxspec._status import Status as Status
    from jaxspec._types import Response as Response
    from jaxspec._types import Spectrum as Spectrum
    from jaxspec.demo.cluster import cluster_truth as cluster_truth
    from jaxspec.demo.cluster import simulate_cluster as simulate_cluster
    from jaxspec.demo.pca_archive import simulate_archive as simulate_archive
    from jaxspec.errors import FitError as FitError
    from jaxspec.errors import InputError as InputError
    from jaxspec.estimate.compare import compare as compare
    from jaxspec.estimate.simulate import fake as fake
    from jaxspec.fit.joint_result import JointResult as JointResult
    from jaxspec.fit.read_back import read_result as read_result
    from jaxspec.fit.result import FitResult as FitResult
    from jaxspec.fit.run import fit as fit
    from jaxspec.likelihood.statistics import statistic as statistic
    from jaxspec.model.evaluate import evaluate as evaluate
    from jaxspec.model.library import component as component
    from jaxspec.model.library import models as models
    from jaxspec.model.model import Model as Model
    from jaxspec.model.surface_derived import derived as derived
    from jaxspec.read.ogip import read_arf as read_arf
    from jaxspec.read.ogip import read_response as read_response
    from jaxspec.read.write import write_arf as write_arf
    from jaxspec.read.write import write_pha as write_pha
    from jaxspec.read.write import write_response as write_response
    from jaxspec.read.write_image import write_image as write_image
    from jaxspec.reduce.center import centroid as centroid
    from jaxspec.reduce.center import peak as peak
    from jaxspec.reduce.image import Image as Image
    from jaxspec.reduce.image import read_image as read_image
    from jaxspec.reduce.profile import RadialProfile as RadialProfile
    from jaxspec.reduce.profile import profile as profile
    from jaxspec.reduce.profile_files import read_profile as read_profile
    from jaxspec.reduce.psf import Psf as Psf
    from jaxspec.reduce.psf import gaussian_psf as gaussian_psf
    from jaxspec.reduce.psf import king_psf as king_psf
    from jaxspec.reduce.psf import read_psf as read_psf
    from jaxspec.reduce.spectra import SpectrumList as SpectrumList
    from jaxspec.reduce.spectra import read_pha as read_pha
    from jaxspec.report import plot as plot
    from jaxspec.sample.joint_posterior import JointPosterior as JointPosterior
    from jaxspec.sample.posterior import Posterior as Posterior
    from jaxspec.sample.posteriors import Posteriors as Posteriors
    from jaxspec.sample.run import sample as sample
    from jaxspec.sample.store import read_posterior as read_posterior
else:
    # Both are packages and functions: see jaxspec/_callable.py.
    from jaxspec import fit as fit
    from jaxspec import sample as sample

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
    "FitResult": "jaxspec.fit.result",
    "read_result": "jaxspec.fit.read_back",
    "JointResult": "jaxspec.fit.joint_result",
    "Image": "jaxspec.reduce.image",
    "read_image": "jaxspec.reduce.image",
    "RadialProfile": "jaxspec.reduce.profile",
    "profile": "jaxspec.reduce.profile",
    "read_profile": "jaxspec.reduce.profile_files",
    "centroid": "jaxspec.reduce.center",
    "peak": "jaxspec.reduce.center",
    "derived": "jaxspec.model.surface_derived",
    "Psf": "jaxspec.reduce.psf",
    "gaussian_psf": "jaxspec.reduce.psf",
    "king_psf": "jaxspec.reduce.psf",
    "read_psf": "jaxspec.reduce.psf",
    "Posterior": "jaxspec.sample.posterior",
    "Posteriors": "jaxspec.sample.posteriors",
    "JointPosterior": "jaxspec.sample.joint_posterior",
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

__all__ = sorted([*_HOME, "__version__", "fit", "sample"])


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'jaxspec' has no attribute {name!r}")
    value = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
