import matplotlib
import matplotlib.pyplot as plt
import pytest
from fitted_rows import fitted

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def result():
    """A fit with good, empty, timeless and unreadable rows."""
    return fitted()


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no pyplot figure behind."""
    yield
    plt.close("all")
