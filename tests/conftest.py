"""The strict session: float64, no silent promotion, seeded randomness, warnings are errors."""

import ctypes
import gc
import math
import os
from contextlib import suppress
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

from jaxspec._cache import machine

# Compiling is most of the suite; less optimised code compiles in half of the time.
QUICK = "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}"
gc.set_threshold(50_000, 20, 20)  # tracing makes many objects: 6 % of it was looking for cycles
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# The same examples on every run and everywhere, whatever --hypothesis-seed or CI says, however long
# one takes: a newcomer's tests pass or fail as ours do.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")

DATA = Path(os.environ.get("JAXSPEC_DATA", Path(__file__).parents[2] / "shared" / "data"))


# Files that take longest: they start first, so that no worker is left with one at the end.
DEAR = """
    sample/test_sample.py sample/test_many.py fit/test_real_data.py fit/test_images.py
    tests/test_cli.py fit/test_joint_sets.py fit/test_image_real_data.py fit/test_joint.py
    fit/test_own_components.py fit/test_fit.py sample/test_joint_posterior.py fit/test_lowest.py
    fit/test_content.py sample/test_calibration.py tests/test_cli_image.py model/test_kernels.py
    report/test_image_figures.py fit/test_share.py fit/test_two_grids.py sample/test_several.py
    sample/test_nuts.py fit/test_image_start.py estimate/test_compare.py report/test_figures.py
    tests/test_examples.py reduce/test_units.py
""".split()


def pytest_collection_modifyitems(items):
    """The files of `DEAR` first, all others in their order."""
    place = {name: i for i, name in enumerate(DEAR)}
    items.sort(key=lambda item: place.get("/".join(item.path.parts[-2:]), len(place)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Optimise what is marked as running for longer than it takes to compile, and little else."""
    little = item.get_closest_marker("runs_long") is None
    jax.config.update("jax_disable_most_optimizations", little)


def pytest_configure(config):
    """Keep compiled code beside pytest's own cache: the next run need not compile it again."""
    if hasattr(config, "cache"):  # not with -p no:cacheprovider
        with suppress(OSError):  # a checkout that cannot be written to
            folder = config.cache.mkdir("jax") / machine()
            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def pytest_runtest_teardown(item, nextitem):
    """Forget compiled code after the file in which it became much: all of it needs 3 GB."""
    if nextitem is not None and nextitem.path != item.path and resident() > 0.75e9:
        jax.clear_caches()
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed goes back to the system


def resident():
    """Memory of this process (bytes); infinite where the system does not say."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return math.inf


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(20240607)


@pytest.fixture(scope="session")
def data_dir():
    """Folder of real data; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"needs the reference data: {DATA} does not exist (set JAXSPEC_DATA)")
    return DATA


@pytest.fixture(scope="session")
def reference_dir(data_dir):
    """Folder of reference values beside the data."""
    folder = data_dir.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"needs the reference values: {folder} does not exist")
    return folder
