"""The strict session: float64, no silent promotion, seeded randomness, warnings are errors."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

from jaxspec._cache import machine

# Compiling is half of the suite; less optimised code compiles in 56 % of the time.
QUICK = "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}"
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# The same examples on every run and everywhere, whatever --hypothesis-seed or CI says, however long
# one takes: a newcomer's tests pass or fail as ours do.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")

DATA = Path(os.environ.get("JAXSPEC_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_configure(config):
    """Keep compiled code beside pytest's own cache: the next run need not compile it again."""
    if hasattr(config, "cache"):  # not with -p no:cacheprovider
        with suppress(OSError):  # a checkout that cannot be written to
            folder = config.cache.mkdir("jax") / machine()
            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def pytest_runtest_teardown(item, nextitem):
    """Forget compiled code after the last test of a file: all of it together needs 3 GB."""
    if nextitem is not None and nextitem.path != item.path:
        jax.clear_caches()
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed goes back to the system


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
