"""iminuit beside jaxspec in one run: the same spectra, the same likelihood, errors included.

The likelihood is written a second time in NumPy (independent.py), with its analytic gradient, and
handed to Migrad and Hesse spectrum by spectrum. See README.md for the fields of the JSON.
"""

from common import finish, machine, median, options, timed

COLUMNS = (
    "n stat engine prepare_ms fit_ms errors_ms failed over_0.1_sigma far_sigma error_off".split()
)


def main():
    parser = options(__doc__, __file__, n=300)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    facts, cases = machine(), []
    for stat in ("cstat", "pgstat"):
        cases += compare(args.n, stat, args.repeats)
    finish(args, facts, cases, COLUMNS, model="powerlaw", repeats=args.repeats)


def compare(n, stat, repeats):
    """Both engines on the same spectra, judged by the minimum that Newton's method finds."""
    import numpy as np
    from independent import Likelihood, distance, minimum
    from workload import spectra

    import jaxspec as js

    batch = spectra(n, stat, "distinct")
    seconds, likelihoods = timed(lambda: [Likelihood(s, stat) for s in batch])
    first, _ = timed(lambda: js.fit("powerlaw", batch, stat=stat, progress=False))
    warm, result = median(lambda: js.fit("powerlaw", batch, stat=stat, progress=False), repeats)
    ours = {
        "params": result.params,
        "errors": np.stack([result.error(c) for c in result.columns], 1),
    }
    ours |= {"failed": int((~result.ok).sum()), "fit_ms": 1e3 * warm / n, "errors_ms": "in fit"}
    theirs = {"prepare_ms": 1e3 * seconds / n, **with_iminuit(likelihoods)}

    best = [minimum(one, theta)[0] for one, theta in zip(likelihoods, ours["params"], strict=True)]
    cases = []
    for engine, found in (("jaxspec", {**ours, "first_s": first}), ("iminuit", theirs)):
        params, errors = found.pop("params"), found.pop("errors")
        far = np.array([distance(*each) for each in zip(likelihoods, best, params, strict=True)])
        exact = [true_errors(*each) for each in zip(likelihoods, best, strict=True)]
        case = {"n": n, "stat": stat, "engine": engine, **found}
        case["over_0.1_sigma"], case["far_sigma"] = int((far > 0.1).sum()), float(far.max())
        case["error_off"] = float(np.abs(errors / np.array(exact) - 1.0).max())
        cases.append(case)
    return cases


def true_errors(likelihood, best):
    """One-sigma errors from the second derivatives of the statistic at its minimum."""
    import numpy as np

    return np.sqrt(np.diagonal(np.linalg.inv(0.5 * likelihood.information(best))))


def with_iminuit(likelihoods):
    """Migrad, then Hesse, from an index of 2 and the norm that the counts give."""
    import numpy as np
    from iminuit import Minuit

    def prepared(one):
        minuit = Minuit(one.value, one.start(), grad=one.gradient, name=("PhoIndex", "norm"))
        minuit.errordef = 1.0
        minuit.limits["norm"] = (0.0, None)
        return minuit

    all_of_them = [prepared(one) for one in likelihoods]
    fit, _ = timed(lambda: [m.migrad() for m in all_of_them])
    errors, _ = timed(lambda: [m.hesse() for m in all_of_them])
    n = len(likelihoods)
    return {
        "params": np.array([m.values for m in all_of_them]),
        "errors": np.array([m.errors for m in all_of_them]),
        "failed": sum(not m.valid for m in all_of_them),
        "fit_ms": 1e3 * fit / n,
        "errors_ms": 1e3 * errors / n,
    }


if __name__ == "__main__":
    main()
