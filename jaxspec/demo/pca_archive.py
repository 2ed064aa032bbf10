"""A simulated archive of RXTE PCA standard products, with known truths.

One transient source goes through outbursts between 1996 and 2011 and through the states that
black-hole binaries show (hard, intermediate, soft, faint; Remillard & McClintock 2006, ARA&A
44, 49), observed by one to five PCUs in all five gain epochs. Folders, names, extensions and
keywords are those of the public archive, so that the files stand in for it offline.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jaxspec._ask import generator
from jaxspec._files import make_folder, write_bytes
from jaxspec.demo import pca_files, pca_response
from jaxspec.errors import InputError
from jaxspec.likelihood.fluxes import curves
from jaxspec.model.model import Model

MODEL = "TBabs*(diskbb+powerlaw)"
#: All parameters of the model, in its order.
PARAMETERS = ("nH", "Tin", "diskbb.norm", "PhoIndex", "powerlaw.norm")
NH = 0.6
POSITION = (258.0, -35.2)
#: Start of each outburst (MJD) and its share of the observations; each lasts OUTBURST_DAYS.
OUTBURSTS = ((50115.0, 0.2), (50900.0, 0.1), (51220.0, 0.15), (51700.0, 0.1), (52400.0, 0.15))
OUTBURSTS += ((53200.0, 0.1), (54200.0, 0.1), (55300.0, 0.1))
OUTBURST_DAYS = 260.0

# Knots of the outburst: phase, photon index, log10 power-law norm, Tin (keV), disk on (0 to 1).
_KNOTS = np.array(
    [
        (0.00, 1.50, -0.8, 0.60, 0.0),
        (0.15, 1.70, 0.50, 0.60, 0.0),
        (0.18, 1.80, 0.60, 0.60, 0.0),
        (0.26, 2.40, 0.80, 0.90, 1.0),
        (0.30, 2.40, 0.40, 1.15, 1.0),
        (0.68, 2.20, -0.4, 0.75, 1.0),
        (0.75, 1.80, -0.6, 0.55, 0.0),
        (0.88, 1.60, -1.3, 0.55, 0.0),
        (0.90, 1.80, -2.2, 0.55, 0.0),
        (1.00, 1.90, -2.6, 0.55, 0.0),
    ]
).T
_DISK_NORM = 700.0
_REGIMES = ((0.18, "hard"), (0.27, "intermediate"), (0.67, "soft"), (0.75, "intermediate"))
_REGIMES += ((0.89, "hard"), (np.inf, "faint"))

# Sets of PCUs that were on, and how often, while all five were healthy and afterwards.
_PCUS_EARLY = (((0, 1, 2, 3, 4), 0.7), ((0, 1, 2), 0.2), ((0, 1, 2, 3), 0.1))
_PCUS_LATE = (((2,), 0.3), ((2, 3), 0.2), ((0, 2), 0.2), ((0, 2, 3), 0.15), ((2, 3, 4), 0.05))
_PCUS_LATE += (((0, 2, 3, 4), 0.05), ((0, 1, 2, 3, 4), 0.05))

FLAWS = ("truncated file", "no response", "zero counts", "short exposure")
# First two digits of the proposal number by year.
_CYCLE = {1996: 10, 1997: 20, 1998: 30, 1999: 40, 2000: 50, 2001: 60, 2002: 70, 2003: 80}
_CYCLE |= {2004: 90, 2005: 91, 2006: 92, 2007: 92, 2008: 93, 2009: 94, 2010: 95, 2011: 96}


@np.errstate(all="ignore")
def simulate_archive(
    folder,
    n=300,
    seed=1,
    *,
    source="SIM_J1712-352",
    exposure=(500.0, 15000.0),
    flaws=False,
    overwrite=False,
):
    """Write ``n`` simulated PCA observations and the table of their truths.

    Parameters
    ----------
    folder : str or Path
        Made if needed. Files are ``<ObsID>/stdprod/xp<ObsID digits>_s2.pha.gz``, ``_b2.pha.gz``
        and ``.rsp.gz``; the truths go to ``truth.ecsv``.
    n : int
        Number of observations.
    seed : int
        Equal seeds give equal files, byte by byte.
    source : str
        OBJECT keyword.
    exposure : (float, float)
        Shortest and longest exposure in seconds; multiples of 16 s are taken.
    flaws : bool
        Spoil four observations, one each of ``FLAWS``, and leave the others as they were.
    overwrite : bool
        Whether the observations of an earlier simulation in this folder, those that its
        ``truth.ecsv`` lists, may be removed.

    Returns
    -------
    astropy.table.QTable
        One row for each observation: obsid, mjd, epoch, pcus, exposure, regime, the parameters
        of ``TBabs*(diskbb+powerlaw)`` (nH, Tin, diskbb.norm, PhoIndex, powerlaw.norm; Tin is NaN
        where there is no disk), source_rate and background_rate (counts/s, 3-25 keV), flaw.

    Raises
    ------
    InputError
        If n or the exposures make no archive, or files are already in the way.

    Notes
    -----
    Source counts are Poisson numbers of source plus background. The background file holds its
    expectation with a Gaussian error of the square root, which is also its STAT_ERR, as the
    public files state it; the statistic for it is pgstat.

    Examples
    --------
    >>> truth = simulate_archive("archive", n=20, seed=3)          # doctest: +SKIP
    >>> spectra = jaxspec.read_pha("archive/*/stdprod/xp*_s2.pha.gz")   # doctest: +SKIP
    """
    from jaxspec.fit.tables import write_table

    folder = Path(folder)
    _check(folder, n, exposure, flaws, overwrite)
    rng = generator(seed)
    plan = _plan(n, exposure, rng)
    flaw = _choose_flaws(n, seed, flaws)
    plan["exposure"][flaw == "short exposure"] = 16.0

    counts, background, rates = _draw(plan, seed)
    counts[flaw == "zero counts"] = 0.0
    table = _truth(plan, rates, flaw)
    table.meta = {"model": MODEL, "seed": seed, "source": source}
    make_folder(folder)
    write_table(table, folder / "truth.ecsv")  # first: it says which files are simulated
    _write(folder, plan, counts, background, source, flaw)
    return table


def _check(folder, n, exposure, flaws, overwrite):
    low, high = exposure
    if n < 1 or (flaws and n < len(FLAWS)):
        raise InputError(f"n is {n}", remedy="ask for 1 or more, 4 or more with flaws")
    if not 16.0 <= low <= high <= 1e6:
        raise InputError(f"exposure is {exposure}", remedy="give (shortest, longest) from 16 s up")
    if overwrite:
        _clear(folder)
    if (folder / "truth.ecsv").exists() or any(folder.glob("*/stdprod")):
        raise InputError("holds an archive already", file=folder, remedy="give a new folder")


def _clear(folder):
    """Remove the files of an earlier simulation, and no others."""
    from astropy.table import Table

    truth = folder / "truth.ecsv"
    if not truth.exists():
        return
    try:
        obsids = [str(obsid) for obsid in Table.read(truth, format="ascii.ecsv")["obsid"]]
    except Exception as error:  # astropy raises many kinds on damaged tables
        raise InputError(f"lists no simulated observations: {error}", file=truth) from error
    for obsid in obsids:
        if not re.fullmatch(r"[\d-]+", obsid):
            continue
        target, stem = folder / obsid / "stdprod", "xp" + obsid.replace("-", "")
        for end in ("_s2.pha.gz", "_b2.pha.gz", ".rsp.gz"):
            (target / f"{stem}{end}").unlink(missing_ok=True)
        for empty in (target, target.parent):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    truth.unlink()


def _plan(n, exposure, rng):
    """When, how long, with which PCUs, and what the source does: a dict of (n,) arrays."""
    share = np.array([part for _, part in OUTBURSTS])
    ends = np.concatenate([[0.0], np.cumsum(share / share.sum())])
    place = (np.arange(n) + rng.uniform(size=n)) / n
    outburst = np.searchsorted(ends, place, side="right") - 1
    phase = (place - ends[outburst]) / np.diff(ends)[outburst]
    mjd = np.array([start for start, _ in OUTBURSTS])[outburst] + OUTBURST_DAYS * phase
    epoch = pca_response.epoch_of(mjd)

    low, high = np.log(exposure)
    seconds = np.exp(rng.uniform(low, high, n))
    pick = rng.uniform(size=n)
    sets = [_PCUS_EARLY if e <= 3 else _PCUS_LATE for e in epoch]
    pcus = [_pick_pcus(choices, u) for choices, u in zip(sets, pick, strict=True)]
    plan = {"mjd": mjd, "epoch": epoch, "pcus": pcus, "obsid": _obsids(mjd)}
    plan["exposure"] = np.maximum(16.0 * np.round(seconds / 16.0), 16.0)
    plan["activation"] = np.exp(rng.normal(0.0, 0.15, n))
    brightness = np.exp(rng.normal(-0.3, 0.5, len(OUTBURSTS)))[outburst]
    return plan | _state(phase, brightness, rng)


def _pick_pcus(choices, u):
    ends = np.cumsum([weight for _, weight in choices])
    return choices[min(np.searchsorted(ends, u), len(choices) - 1)][0]


def _state(phase, brightness, rng):
    """Spectral parameters at an outburst phase, with a few per cent of scatter."""
    n = phase.size
    scatter = rng.normal(size=(4, n))
    knots, index, log_norm, tin, disk = _KNOTS
    on = np.interp(phase, knots, disk)
    which = np.searchsorted([end for end, _ in _REGIMES], phase, side="right")
    return {
        "regime": np.array([name for _, name in _REGIMES])[which],
        "nH": np.full(n, NH),
        "Tin": np.interp(phase, knots, tin) * (1.0 + 0.01 * scatter[0]),
        "diskbb.norm": _DISK_NORM * on * brightness * np.exp(0.05 * scatter[1]),
        "PhoIndex": np.interp(phase, knots, index) + 0.03 * scatter[2],
        "powerlaw.norm": 10 ** np.interp(phase, knots, log_norm)
        * brightness
        * np.exp(0.05 * scatter[3]),
    }


def _obsids(mjd):
    """ObsIDs in the archive's style, NNNNN-NN-NN-NN, unique for 970 000 a year."""
    years = [int(pca_files.iso_date((m - pca_files.MJDREFI) * 86400.0)[:4]) for m in mjd]
    count, names = {}, []
    for cycle in (_CYCLE[year] for year in years):
        i = count[cycle] = count.get(cycle, -1) + 1
        names.append(f"{cycle}601-{i // 9900 + 1:02d}-{i // 100 % 99 + 1:02d}-{i % 100:02d}")
    return names


def _choose_flaws(n, seed, flaws):
    flaw = np.full(n, "", dtype="U16")
    if flaws:
        # A generator of its own, so that the good observations do not depend on the flaws.
        chosen = np.random.default_rng([seed, 1]).choice(n, len(FLAWS), replace=False)
        flaw[np.sort(chosen)] = FLAWS
    return flaw


def _draw(plan, seed):
    """Draw counts and background counts (n, 129), and the expected rates from 3 to 25 keV."""
    edges = pca_response.ENERGY_EDGES.astype(np.float32).astype(float)
    params = np.column_stack([plan[name] for name in PARAMETERS])
    models = curves(Model(MODEL), [(edges[:-1], edges[1:])] * len(params), params)
    shape = len(params), pca_files.N_CHANNEL
    counts, background, band = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    source, model_background = np.zeros(shape), np.zeros(shape)
    for i, (epoch, pcus) in enumerate(zip(plan["epoch"], plan["pcus"], strict=True)):
        edges = pca_response.channel_edges(epoch)
        middle = 0.5 * (edges[1:] + edges[:-1])
        band[i] = (middle > 3.0) & (middle < 25.0)
        source[i] = models[i].photons @ pca_response.response_matrix(epoch, pcus)
        one = pca_response.background_rate(epoch, plan["activation"][i])
        model_background[i] = one * len(pcus)
        # A generator for each observation: a change in one leaves the others as they are.
        rng = np.random.default_rng([seed, 2, i])
        expected = model_background[i] * plan["exposure"][i]
        counts[i] = rng.poisson(source[i] * plan["exposure"][i] + expected)
        background[i] = expected + np.sqrt(expected) * rng.normal(size=expected.shape)
    rates = [np.sum(rate * band, axis=1) for rate in (source, model_background)]
    return counts, np.maximum(background, 0.0), rates


def _gti(mjd, exposure):
    """Good time intervals (k, 2) in mission elapsed time: at most 2992 s of each orbit."""
    start = round((mjd - pca_files.MJDREFI - pca_files.MJDREFF) * 86400.0)
    orbits = int(np.ceil(exposure / 2992.0))
    begin = start + 5760.0 * np.arange(orbits)
    length = np.full(orbits, 2992.0)
    length[-1] = exposure - 2992.0 * (orbits - 1)
    return np.column_stack([begin, begin + length])


def _write(folder, plan, counts, background, source, flaw):
    responses = {}
    for i, obsid in enumerate(plan["obsid"]):
        stem = "xp" + obsid.replace("-", "")
        target = folder / obsid / "stdprod"
        make_folder(target)
        gti, pcus = _gti(plan["mjd"][i], plan["exposure"][i]), plan["pcus"][i]
        common = {"object_name": source, "position": POSITION, "respfile": f"{stem}.rsp"}
        path, behind = target / f"{stem}_s2.pha.gz", target / f"{stem}_b2.pha.gz"
        backfile = f"{stem}_b2.pha"
        pca_files.write_spectrum(path, counts[i], gti, pcus, backfile=backfile, **common)
        pca_files.write_spectrum(behind, background[i], gti, pcus, **common)
        if flaw[i] == "truncated file":
            whole = path.read_bytes()
            write_bytes(path, whole[: len(whole) // 2], overwrite=True)
        if flaw[i] != "no response":
            _write_response(target / f"{stem}.rsp.gz", int(plan["epoch"][i]), pcus, responses)


def _write_response(path, epoch, pcus, written):
    """Write a response, or copy the one that was written for the same epoch and units."""
    if (epoch, pcus) in written:
        write_bytes(path, written[epoch, pcus].read_bytes())
        return
    matrix, edges = pca_response.response_matrix(epoch, pcus), pca_response.channel_edges(epoch)
    pca_files.write_response(path, matrix, edges, pcus)
    written[epoch, pcus] = path


def _truth(plan, rates, flaw):
    from astropy import units as u
    from astropy.table import QTable

    table = QTable()
    table["obsid"] = plan["obsid"]
    table["mjd"] = plan["mjd"]
    table["epoch"] = plan["epoch"]
    table["pcus"] = ["".join(map(str, pcus)) for pcus in plan["pcus"]]
    table["exposure"] = plan["exposure"] * u.s
    table["regime"] = plan["regime"]
    table["nH"] = plan["nH"] * u.Unit("1e22 cm-2")
    table["Tin"] = np.where(plan["diskbb.norm"] > 0, plan["Tin"], np.nan) * u.keV
    for name in PARAMETERS[2:]:
        table[name] = plan[name]
    table["source_rate"], table["background_rate"] = (rate * u.Unit("ct/s") for rate in rates)
    table["flaw"] = flaw
    return table
