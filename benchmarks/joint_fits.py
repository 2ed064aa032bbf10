"""Joint fits: pulls of many sets, agreement with the full system, growth of time and memory.

(a) 200 simulated sources, three instruments each, in one call with joint=labels: one index and
norm for each, and the factors of two instruments against the first. (b) Two power laws, index and
norm of one for each spectrum, those of the other shared: against Newton's method on the full
matrix. (c) The same for growing numbers of spectra, each in a process of its own.
"""

import json
import sys

import numpy as np
from common import finish, held_mb, in_fresh_process, machine, median, options, peak_mb, timed

SIZES = (100, 300, 1000, 3000, 10_000)
COLUMNS = (
    "case n parameter mean_pull std_pull far_sigma error_off covariance_off first_s warm_s "
    "warm_ms_each iterations before_mb peak_mb kb_each ok"
).split()
FACTORS = {"constant.factor": [1.0, None, None]}
AREAS = (0, -3e5, -6e5)  # of the three instruments: 1, 0.7 and 0.4 of the first one's
TIGHT = 1e-20  # tol of the comparison: 1e-10 standard deviations


def main():
    parser = options(__doc__, __file__, n=200)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="leave larger cases out")
    parser.add_argument("--dense", type=int, default=1000, help="spectra of the full system")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where a warm call spends")
    parser.add_argument("--case", help="one case as JSON, in this process")
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(**json.loads(args.case))))
        return
    facts = machine()
    grown = []  # first: a new process starts with the peak of the one that made it
    for n in SIZES:
        if n <= args.largest:
            case = {"n": n, "repeats": args.repeats, "profile": args.profile}
            grown.append(in_fresh_process(__file__, case))
            print(f"{n} spectra: {grown[-1]['warm_s']:.3g} s", file=sys.stderr)
    for less, more in zip(grown, grown[1:], strict=False):
        more["kb_each"] = 1024 * (more["peak_mb"] - less["peak_mb"]) / (more["n"] - less["n"])
    cases = [*pulls(args.n), against_dense(args.dense), *grown]
    finish(args, facts, cases, COLUMNS, sets=args.n, repeats=args.repeats, tol_of_dense=TIGHT)


def pulls(n, seed=11):
    """Mean and width of (value - truth) / error of every parameter over n sets."""
    from workload import BAND, observation, scaled

    import jaxspec as js

    rng = np.random.default_rng(seed)
    first = observation().response
    instruments = [scaled(first, i) for i in AREAS]
    truth = {
        "factor": np.stack([np.ones(n), *rng.uniform(0.8, 1.2, (2, n))], axis=1),
        "PhoIndex": np.repeat(rng.uniform(1.5, 2.5, n)[:, None], 3, axis=1),
        "powerlaw.norm": np.repeat(rng.uniform(0.2, 1.0, n)[:, None], 3, axis=1),
    }
    made = [
        js.fake("constant*powerlaw", response, 3000.0, seed=rng,
                params={name: values[:, k] for name, values in truth.items()})
        for k, response in enumerate(instruments)
    ]  # fmt: skip
    spectra = js.SpectrumList([s for source in zip(*made, strict=True) for s in source])
    spectra = spectra.notice(BAND)
    untie = {"constant.factor": FACTORS["constant.factor"] * n}

    def fit():
        labels = np.repeat(np.arange(n), 3)
        return js.fit(
            "constant*powerlaw", spectra, "cstat", joint=labels, untie=untie, progress=False
        )

    first, _ = timed(fit)
    warm, result = median(fit, 3)
    shared = {"case": "pulls", "n": n, "first_s": first, "warm_s": warm}
    shared |= {"warm_ms_each": 1e3 * warm / n, "ok": int(result.ok.sum())}
    cases = []
    for name, places in (("PhoIndex", [0]), ("powerlaw.norm", [0]), ("factor", [1, 2])):
        for place in places:
            value, error = (x(name).reshape(n, 3)[:, place] for x in (result.value, result.error))
            pull = (value - truth[name][:, place]) / error
            label = f"{name} of instrument {place + 1}" if name == "factor" else name
            width = float(pull.std(ddof=1))
            case = {"parameter": label, "mean_pull": float(pull.mean()), "std_pull": width}
            cases.append(shared | case)
    return cases


def two_powerlaws(n, seed=5):
    """Model, n spectra, the names of what each has for itself, and the truth (n, 4)."""
    from workload import BAND, observation

    import jaxspec as js

    rng = np.random.default_rng(seed)
    model = js.Model("powerlaw+powerlaw")
    for number, value in enumerate((1.5, 0.3, 3.5, 1.0), 1):
        model[number].set(value)
    truth = np.stack(
        [rng.uniform(1.0, 1.7, n), 10 ** rng.uniform(-1.0, 0.0, n), np.full(n, 3.5), np.ones(n)],
        axis=1,
    )
    names = [p.full_name for p in model.parameters]
    params = dict(zip(names, truth.T, strict=True))
    made = js.fake(model, observation().response, 3000.0, params=params, seed=rng)
    return model, js.SpectrumList(made).notice(BAND), names[:2], truth


def against_dense(n):
    """Distance from the minimum of the full system, and its covariance."""
    import jaxspec as js

    model, spectra, own, truth = two_powerlaws(n)
    seconds, result = timed(
        lambda: js.fit(model, spectra, "cstat", joint=True, untie=own, tol=TIGHT, progress=False)
    )
    theta, hessian = full_minimum(spectra, truth)
    covariance = 2.0 * np.linalg.inv(hessian)
    sigma = np.sqrt(np.diag(covariance))
    found = np.concatenate([result.params[0, 2:], result.params[:, :2].ravel()])
    errors = np.concatenate(
        [
            [result.error(column)[0] for column in result.columns[2:]],
            np.stack([result.error(column) for column in result.columns[:2]], axis=1).ravel(),
        ]
    )
    off = 0.0
    for row in range(0, n, max(n // 50, 1)):
        other = (row + n // 3) % n
        places = [np.array([2 + 2 * i, 3 + 2 * i, 0, 1]) for i in (row, other)]
        units = np.outer(*(sigma[p] for p in places))
        difference = result.covariance(row, other=other) - covariance[np.ix_(*places)]
        off = max(off, float(np.abs(difference / units).max()))
    return {
        "case": "dense",
        "n": n,
        "parameters": len(theta),
        "far_sigma": float(np.abs((found - theta) / sigma).max()),
        "error_off": float(np.abs(errors / sigma - 1.0).max()),
        "covariance_off": off,
        "first_s": seconds,
        "iterations": int(result.iterations.max()),
        "ok": int(result.ok.sum()),
    }


def full_minimum(spectra, truth):
    """Newton's method on ``[shared, own of row 0, own of row 1, ...]``; minimum and matrix.

    The likelihood is written down once more, on the response as it was read and its bins.
    """
    import jax
    import jax.numpy as jnp

    from jaxspec.reduce.bins import spectrum_bins

    response = spectra[0].response
    index, n_bin = spectrum_bins(spectra[0])
    join = (index[:, None] == np.arange(n_bin)).astype(float)
    matrix = (response.matrix.toarray() * response.area[:, None]) @ join
    counts = np.array([s.counts @ join for s in spectra])
    exposure = np.array([s.exposure for s in spectra])

    middle = 0.5 * np.log(response.e_hi * response.e_lo)
    width = np.log(response.e_hi / response.e_lo)

    def photons(index):
        """Integral of E^-index over bins, without the cancellation that index 1 has."""
        a = 1.0 - index
        x = 0.5 * a * width
        small = jnp.abs(x) < 0.5
        y, z = jnp.where(small, x, 0.0) ** 2, jnp.where(small, 1.0, x)
        series = 1.0
        for k in (12, 10, 8, 6, 4, 2):  # sinh(x) / x
            series = 1.0 + series * y / (k * (k + 1))
        return width * jnp.exp(a * middle) * jnp.where(small, series, jnp.sinh(z) / z)

    def cstat(theta, counts, exposure):
        flux = theta[1] * photons(theta[0]) + theta[3] * photons(theta[2])
        mean = exposure * (flux @ matrix)
        seen = counts > 0
        log = jnp.log(jnp.where(seen, counts, 1.0) / jnp.where(seen, mean, 1.0))
        return 2.0 * jnp.sum(mean - counts + counts * log)

    n = len(counts)
    places = np.array([[2 + 2 * row, 3 + 2 * row, 0, 1] for row in range(n)])
    theta = np.concatenate([truth[0, 2:], truth[:, :2].ravel()])
    with jax.enable_x64(True):
        slopes, curved = (jax.jit(jax.vmap(f(cstat))) for f in (jax.grad, jax.hessian))
        for _ in range(50):
            gradient, hessian = np.zeros(theta.size), np.zeros((theta.size,) * 2)
            np.add.at(gradient, places, slopes(theta[places], counts, exposure))
            at = places[:, :, None], places[:, None, :]
            np.add.at(hessian, at, curved(theta[places], counts, exposure))
            step = np.linalg.solve(hessian, gradient)
            theta = theta - step
            length = np.sqrt(0.5 * step @ hessian @ step)  # standard deviations, all together
            if length < 1e-9:
                return theta, hessian
    raise RuntimeError(f"Newton's method on the full system ends with steps of {length:.2g}")


def measure(n, repeats, profile):
    """Time and memory of one joint fit of n spectra."""
    import jaxspec as js

    model, spectra, own, _ = two_powerlaws(n)
    before = held_mb()

    def fit():
        return js.fit(model, spectra, "cstat", joint=True, untie=own, progress=False)

    first, result = timed(fit)
    peak = peak_mb()
    warm, result = median(fit, repeats)
    if profile:
        show_profile(fit)
    return {
        "case": "growth",
        "n": n,
        "first_s": first,
        "warm_s": warm,
        "warm_ms_each": 1e3 * warm / n,
        "iterations": int(result.iterations.max()),
        "before_mb": before,
        "peak_mb": peak,
        "ok": int(result.ok.sum()),
    }


def show_profile(fit):
    """Where one warm call spends its time on the host."""
    import cProfile
    import pstats

    with cProfile.Profile() as profile:
        fit()
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(30)


if __name__ == "__main__":
    main()
