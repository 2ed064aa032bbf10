import subprocess
import sys

import numpy as np
import pytest
from toy import toy_spectrum

from jaxspec._types import Filter
from jaxspec.errors import InputError
from jaxspec.reduce.select import append, ignore, ignore_bad, make_filter, notice, notice_all

SPECTRUM = toy_spectrum(np.ones(8))


def test_steps_are_appended_in_order():
    one = notice(SPECTRUM, "3-25")
    two = ignore(one, bins="2, 4-5")
    three = ignore_bad(ignore(two, channels=(1, 3)))
    assert SPECTRUM.filters == ()
    assert three.filters == (
        Filter("notice", "keV", ((3.0, 25.0),)),
        Filter("ignore", "bin", ((2.0, 2.0), (4.0, 5.0))),
        Filter("ignore", "channel", ((1.0, 3.0),)),
        Filter("ignore", "bad", ()),
    )
    assert notice_all(three).filters == ()
    assert three.counts is SPECTRUM.counts


def test_one_made_step_serves_many_spectra():
    step = make_filter("notice", "3-25")
    assert append(SPECTRUM, step).filters == notice(SPECTRUM, "3-25").filters


@pytest.mark.parametrize("given", [{}, {"energies": "1-2", "channels": "1-2"}])
def test_exactly_one_kind_of_range(given):
    with pytest.raises(InputError, match="notice takes one of energies, channels and bins, not"):
        notice(SPECTRUM, **given)


def test_energies_need_a_response():
    bare = SPECTRUM.replace(response=None, path="a.pha")
    with pytest.raises(InputError, match="a.pha: no response is loaded"):
        notice(bare, "3-25")
    assert len(notice(bare, channels="1-3").filters) == 1


def test_reduce_does_not_import_jax():
    code = (
        "import sys, jaxspec.reduce.select, jaxspec.reduce.group\n"
        "assert 'jax' not in sys.modules and 'astropy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
