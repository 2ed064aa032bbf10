import pytest
from tests.report import results


@pytest.fixture(scope="package")
def result():
    """A fit with good, empty, timeless and unreadable rows."""
    return results.fitted()


@pytest.fixture(autouse=True)
def agg():
    """Draw without a display, and leave no figure behind."""
    import matplotlib

    with matplotlib.rc_context({"backend": "Agg", "figure.max_open_warning": 0}):
        yield
    import matplotlib.pyplot as plt

    plt.close("all")
