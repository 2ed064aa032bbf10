"""Image components: values, gradients, and how models of them are written."""

import jax
import numpy as np
import pytest
from scipy import integrate, special

from jaxspec.errors import InputError
from jaxspec.model.component import Parameter
from jaxspec.model.image_plane import components
from jaxspec.model.library import component, models
from jaxspec.model.model import Model
from jaxspec.model.surface_catalogue import BACKGROUND, SURFACE_ALIASES, SURFACES
from jaxspec.model.surface_derived import derived
from jaxspec.model.surface_flux import beta_flux
from jaxspec.reduce.pixels import Pixels

X0, Y0 = 3.0, 4.0
VALUES = {
    "beta": (X0, Y0, 2.0, 4.3, 0.55),
    "double_beta": (X0, Y0, 2.0, 6.3, 1.05, 0.2, 17.9, 0.67),
    "elliptical_beta": (X0, Y0, 2.0, 4.3, 0.7, 0.4, 30.0),
    "gauss2d": (X0, Y0, 2.0, 3.0, 0.3, -50.0),
    "sersic": (X0, Y0, 2.0, 5.0, 4.0),
    "point": (X0 + 0.25, Y0 - 0.5, 3.0),
    "disk2d": (X0, Y0, 2.0, 10.2),
    "shell2d": (X0, Y0, 2.0, 10.0, 2.0),
    "const2d": (0.7,),
    "background": (0.05, 1.5),
}
# the centre, on both axes, on the edges of disk and shell, on a kink of the point, far out
PLACES = [(3, 4), (4, 4), (3, 5), (3, 3.5), (9, 12), (13, 4), (3, 16), (3.5, -4.7), (-20, 30)]
PLACES += [(2.75, 4.5), (40, 41), (1e5, -1e5), (1e6, 1e6), (5.3, 2.2)]
X, Y = np.array(PLACES, dtype=float).T
N = len(X)


def pixels(x=X, y=Y, **changes):
    one = np.ones(len(x))
    made = Pixels(one, x, y, one, 0 * one, one, np.nan * one)
    return made._replace(
        **{k: np.broadcast_to(v, len(x)).astype(float) for k, v in changes.items()}
    )


@pytest.fixture(scope="module")
def everything():
    """A model of all components, their values, and its functions compiled once."""
    model = Model("+".join(VALUES))
    assert tuple(c.name for c in model.tree.components) == tuple(VALUES)
    params = np.concatenate([VALUES[c.name] for c in model.tree.components])

    def counts(p):
        return components(model.tree, pixels(), p)

    return model, params, counts, jax.jit(counts)


def textbook(name, x, y, p):
    z = (x - p[0] + 1j * (y - p[1])) if len(p) > 2 else None
    if name in ("beta", "double_beta"):
        total = p[2] * np.power(1 + abs(z) ** 2 / p[3] ** 2, -3 * p[4] + 0.5)
        return total + (textbook("beta", x, y, (*p[:2], *p[5:])) if len(p) > 5 else 0)
    if name in ("elliptical_beta", "gauss2d"):
        turned = z * np.exp(-1j * np.deg2rad(p[-1]))
        a = np.hypot(turned.real, turned.imag / (1 - p[-2]))
        if name == "gauss2d":
            return p[2] * np.exp(-((a / p[3]) ** 2) / 2)
        return textbook("beta", p[0] + a, p[1], p[:5])
    if name == "sersic":
        return p[2] * np.exp(
            -special.gammaincinv(2 * p[4], 0.5) * ((abs(z) / p[3]) ** (1 / p[4]) - 1)
        )
    if name == "point":
        return p[2] * np.prod([np.clip(1 - abs(v), 0, None) for v in (z.real, z.imag)], axis=0)
    if name == "disk2d":
        t = np.clip(p[3] + 0.5 - abs(z), 0, 1)
        return p[2] * np.polyval([-2, 3, 0, 0], t)
    if name == "shell2d":

        def half(r2, radius):
            step = np.sqrt(radius**2 + 0.25)
            u = radius**2 - r2
            low, high = max(u - step, 0), u + step
            if high <= 0:
                return 0.0
            return integrate.quad(np.sqrt, low, high, epsabs=1e-13)[0] / (2 * step)

        return np.array([p[2] / p[4] * (half(r, p[3] + p[4]) - half(r, p[3])) for r in abs(z) ** 2])
    return np.full(len(x), p[0])


def test_values(everything):
    _, params, _, compiled = everything
    found = compiled(params)
    assert set(found) == set(VALUES)
    for name, values in VALUES.items():
        rtol = 2e-6 if name == "sersic" else 1e-12  # the expansion of b(n)
        np.testing.assert_allclose(found[name], textbook(name, X, Y, values), rtol, 1e-12, name)
    assert found["sersic"][0] == pytest.approx(2 * np.exp(special.gammaincinv(8, 0.5)), rel=1e-5)


def test_a_shell_away_from_its_edges_is_its_path_length():
    x = np.array([0.0, 5.0, 30.0, 44.0])
    shell = Model("shell2d").tree.components[0].kernel(x, 0 * x, 0.0, 0.0, 3.0, 40.0, 8.0)
    depth = [np.sqrt(48.0**2 - d**2) - np.sqrt(max(40.0**2 - d**2, 0)) for d in x]
    np.testing.assert_allclose(shell, 3.0 * np.array(depth) / 8.0, rtol=2e-3)


def test_gradients(everything):
    model, params, counts, compiled = everything
    forward, reverse = jax.jit(lambda p: (jax.jacfwd(counts)(p), jax.jacrev(counts)(p)))(params)
    step = 1e-3 * np.maximum(1.0, abs(params)) * 0.1
    slopes = {name: np.zeros((N, len(params))) for name in VALUES}
    for i, h in enumerate(step):
        move = np.eye(len(params))[i] * h
        one, two = (compiled(params + k * move) for k in (1, 2))
        minus, minus2 = (compiled(params - k * move) for k in (1, 2))
        for name, slope in slopes.items():
            near, wide = one[name] - minus[name], two[name] - minus2[name]
            slope[:, i] = (8 * near - wide) / (12 * h)
    for name, slope in slopes.items():
        assert np.all(np.isfinite(forward[name])), name
        np.testing.assert_allclose(forward[name], reverse[name], rtol=1e-11, atol=1e-14)
        scale = max(1.0, np.abs(slope).max())
        np.testing.assert_allclose(forward[name], slope, 1e-6, 2e-10 * scale, err_msg=name)
        place = list(VALUES).index(name)
        own = np.zeros(len(params), dtype=bool)
        own[model.tree.first[place] : model.tree.first[place + 1]] = True
        assert np.all(forward[name][:, ~own] == 0)
    assert np.any(forward["shell2d"][4] != 0) and np.any(forward["disk2d"][4] != 0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sersic", {"n": 10.0, "re": 1e-3}),
        ("beta", {"rc": 1e-3, "beta": 5.0}),
        ("gauss2d", {"sigma": 1e-3, "ellip": 0.99}),
        ("shell2d", {"r": 1e-3, "width": 0.1}),
        ("disk2d", {"r": 0.1}),
    ],
)
def test_gradients_are_finite_at_the_limits(name, changes):
    model = Model(name)
    for key, value in changes.items():
        model[key].set(value)
    kernel = model.tree.components[0].kernel
    x = np.array([0.0, 1e-320, 1e-13, 1e-3, 0.1, 0.6, 1.0, 1e3, 1e6])
    values = model.values[:-2]

    def counts(p):
        return kernel(x, 0 * x, *[p[i] for i in range(len(values))])

    value, jac = jax.jit(lambda p: (counts(p), jax.jacrev(counts)(p)))(values)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(jac))


def test_catalogue():
    from astropy import units

    for c in SURFACES:
        assert (c.domain, c.kind, c.vignetted) == ("image", "add", c != BACKGROUND)
        assert c.summary and c.reference
        for p in c.parameters:
            assert p.hard_min <= p.soft_min <= p.default <= p.soft_max <= p.hard_max
            units.Unit(p.unit, parse_strict="raise")
    names = {c.name: " ".join(p.name for p in c.parameters) for c in SURFACES}
    assert names["beta"] == "x0 y0 S0 rc beta"
    assert names["double_beta"] == "x0 y0 S0 rc beta S02 rc2 beta2"
    assert set(SURFACE_ALIASES.values()) <= set(names)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("double_beta", "double_beta+background"),
        ("BETA + beta+(point)", "beta+beta+point+background"),
        ("background+beta", "beta+background"),
        ("background", "background"),
        ("beta+gaussian+constant", "beta+gauss2d+const2d+background"),
        ("beta+doub", "beta+double_beta+background"),
        ("gaussian", "gaussian"),
        ("po+ga", "powerlaw+gaussian"),
    ],
)
def test_expressions(text, expression):
    model = Model(text)
    assert model.expression == expression
    assert model.domain == ("image" if expression.endswith("background") else "spectrum")
    assert Model(expression) == model
    assert ("abund" in repr(model)) == ("abund" in model._repr_html_()) == (model.domain != "image")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("beta+po", "powerlaw is a component of spectra, beta one of images"),
        ("TBabs*beta", "TBabs is a component of spectra"),
        ("beta*point", "two additive parts"),
        ("background+background+beta", "two backgrounds"),
        ("doublebeta", "did you mean double_beta"),
        ("beta+xyzzy", "no model component 'xyzzy'"),
    ],
)
def test_expressions_that_cannot_be(text, says):
    with pytest.raises(InputError, match=says):
        Model(text)


def test_operators_share_one_background():
    left, right = models.beta(S0=1e-4), models.beta(rc=9.0, B=0.3) + models.point(flux=2.0)
    right["beta.x0"].link_to("point.x0")
    right["B"].link_to("beta.S0*1e3")
    for sum_, b in ((left + right, "beta_2.S0"), (right + left, "beta.S0")):
        text = sum_.expression
        assert text in ("beta+beta+point+background", "beta+point+beta+background")
        assert sum_["B"].link == f"p{sum_[b].number}*1000"
        assert sum_["point.flux"].value == 2.0
        linked = next(p for p in sum_ if p.name == "x0" and p.link)
        assert linked.link == f"p{sum_['point.x0'].number}"
    assert models.beta() + models.point() == Model("beta+point")
    both = left + left
    both["beta_2.x0"].link_to("beta.x0")
    both["beta.x0"].set(5.0)
    assert both["beta_2.x0"].value == 5.0 and both.copy() == both
    with pytest.raises(InputError, match="background of their own"):
        models.beta(B=1.0) + models.beta(B=2.0)
    assert (models.beta(B=1.0) + models.beta(B=1.0))["B"].value == 1.0


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: models.wabs() * models.beta(), "cannot be joined"),
        (lambda: models.beta() + models.powerlaw(), "cannot be joined"),
        (lambda: models.beta() * models.point(), "cannot be multiplied"),
        (lambda: models.beta().tree.flux(np.ones(1), np.ones(1), (), np.ones(7)), "no spectrum"),
    ],
)
def test_operators_that_cannot_be(build, says):
    with pytest.raises(InputError, match=says):
        build()


def test_own_components():
    def ramp(x, y, slope):
        return slope * x

    sky = component(ramp, kind="image", parameters={"slope": (2.0, 0.0, 9.0)})
    flat = component(
        ramp, kind="image", name="tilt", vignetted=False, parameters={"slope": (0.5, 0.0, 9.0)}
    )
    model = Model("ramp+tilt", components=[sky, flat])
    assert model.expression == "ramp+tilt+background" and model == sky() + flat()
    found = components(model.tree, pixels(exposure=7.0, area=3.0), model.values)
    np.testing.assert_allclose(found["ramp"], 14.0 * X)
    np.testing.assert_allclose(found["tilt"], 1.5 * X)
    assert "image" in repr(models.beta) and "ramp(slope): image" in repr(sky)
    mine = component(lambda e_lo, e_hi: e_hi - e_lo, name="beta")
    assert Model("beta", components=[mine]).domain == "spectrum"
    for options, says in (
        ({"kind": "image", "name": "background"}, "already"),
        ({"kind": "mul", "vignetted": False}, "kind='image'"),
        ({"kind": "image", "parameters": [Parameter("a", 1, 0, 2, 0, 2)]}, "it should take"),
        ({"kind": "picture"}, "not known"),
    ):
        with pytest.raises(InputError, match=says):
            component(ramp, **options)


def test_derived_quantities():
    model = Model("+".join(name for name in VALUES if name not in ("const2d", "point")))
    params = np.concatenate([VALUES[c.name] for c in model.tree.components])
    draws = np.stack([params, params])
    found = derived(model, draws, pixel_size=0.5, radius=20.0)
    assert found["beta.rc_arcsec"][0].tolist() == [2.15, 2.15]
    assert found["double_beta.log10_S02"][0][0] == np.log10(0.2)
    assert found["disk2d.r_arcsec"][1] == "arcsec"
    one, two = (found[f"double_beta.flux_{i}"][0] for i in (1, 2))
    np.testing.assert_allclose(one + two, found["double_beta.flux"][0])
    for c in model.tree.components[:-1]:
        p, ratio = list(VALUES[c.name]), 1.0
        if c.name in ("elliptical_beta", "gauss2d"):
            ratio, p[-2] = 1 - p[-2], 0.0

        def ring(d, name=c.name, p=p):
            return 2 * np.pi * d * textbook(name, np.array([X0 + d]), np.array([Y0]), p)[0]

        points = [9.7, 10.2, 10.7, 12.0]
        total = ratio * integrate.quad(ring, 0, 20.0, points=points, limit=400)[0]
        tolerance = 3e-3 if c.name in ("disk2d", "shell2d") else 1e-5
        assert found[f"{c.name}.flux"][0][1] == pytest.approx(total, rel=tolerance), c.name


def test_the_flux_of_the_whole_plane():
    model = Model("beta+sersic+gauss2d")
    params = model.values
    names = [p.full_name for p in model]
    params[names.index("beta.beta")] = 0.7
    params[names.index("beta.S0")] = 0.0
    params[names.index("sersic.n")] = 1.0
    found = derived(model, params)
    assert found["beta.log10_S0"][0] == -np.inf and "beta.rc_arcsec" not in found
    b = special.gammaincinv(2, 0.5)
    expected = 2 * np.pi * 1e-5 * 100 * np.exp(b) / b**2
    assert found["sersic.flux"][0] == pytest.approx(expected, rel=1e-5)
    assert found["gauss2d.flux"][0] == pytest.approx(2 * np.pi * 1e-5 * 25)
    wide, far = beta_flux(1.0, 2.0, [0.7, 0.5], np.inf), beta_flux(1.0, 2.0, [0.7, 0.5], 1e9)
    assert wide[0] == pytest.approx(np.pi * 4 / 0.6) and far[0] == pytest.approx(wide[0], rel=1e-4)
    assert np.isnan(wide[1]) and np.isfinite(far[1])
    with pytest.raises(InputError, match="not a model of an image"):
        derived(Model("po"), np.ones(2))
    with pytest.raises(InputError, match="last axis"):
        derived(model, np.ones(2))
    with pytest.raises(InputError, match="pixel_size"):
        derived(model, params, pixel_size=-1)
