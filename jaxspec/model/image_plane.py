"""Expected counts of an image model: pure functions of arrays for one image.

``N = S(x, y) * exposure + B * area + scale * background``: S sums the vignetted
components, B and its like are counts per image pixel that the exposure does not act on, and the
last term is the image's background map.

The brightness is that at the centre of a pixel. Where a core is smaller than a pixel that is
wrong in the few pixels around it: `fine_pixels` names them, and `expected_counts` then takes their
mean brightness from Gauss-Legendre points.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError


class Fine(NamedTuple):
    """Pixels whose mean brightness is taken from several points.

    ``index`` (n_fine,) places in the flat arrays of the image; ``x, y, weight`` (n_points,)
    offsets of the points from the centre of a pixel, in pixels, and weights that sum to 1.
    """

    index: np.ndarray
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray


def fine_pixels(pixels, centers, radius: float = 5.0, order: int = 7) -> Fine:
    """Pixels around the given centres that are to be integrated, not sampled.

    Parameters
    ----------
    pixels : Pixels
        Those merged from several image pixels (``area`` above 1) are never chosen.
    centers : (n_centers, 2) or (2,), x and y in pixels.
    radius : float, pixels; a pixel counts whose centre is nearer than this.
    order : int
        Points along each axis. With the defaults the light of a beta model is right to 1e-3 for
        a core of 0.4 pixel or more, to 3 % for 0.2; a smaller one needs more points.

    Returns
    -------
    Fine

    Examples
    --------
    >>> from jaxspec.reduce.pixels import Pixels
    >>> x, y = np.meshgrid(np.arange(5.0), np.arange(5.0))
    >>> flat = Pixels(*(np.ones(25) for _ in Pixels._fields))._replace(x=x.ravel(), y=y.ravel())
    >>> fine_pixels(flat, (2.0, 2.0), radius=1.1).index.tolist()
    [7, 11, 12, 13, 17]
    """
    centers = np.asarray(centers, dtype=np.float64)
    if centers.size % 2 or centers.shape[-1:] != (2,) or not np.all(np.isfinite(centers)):
        raise InputError("centers are not pairs of finite numbers", remedy="give [(x, y), ...]")
    if order < 1 or not radius > 0:
        raise InputError(f"radius={radius}, order={order}: both have to be positive")
    x, y = np.asarray(pixels.x), np.asarray(pixels.y)
    near = np.zeros(x.shape, dtype=bool)
    for x0, y0 in centers.reshape(-1, 2):
        near |= (x - x0) ** 2 + (y - y0) ** 2 < radius**2
    near &= np.asarray(pixels.area) == 1  # a grid has one area for all
    nodes, weights = np.polynomial.legendre.leggauss(order)
    dx, dy = np.meshgrid(0.5 * nodes, 0.5 * nodes)
    weight = np.outer(weights, weights) / 4.0
    return Fine(np.flatnonzero(near), dx.ravel(), dy.ravel(), weight.ravel())


def surface(tree, x, y, params):
    """Brightness of all vignetted components.

    Parameters
    ----------
    tree : Tree of an image model.
    x, y : arrays of one shape, pixels.
    params : (n_par,)

    Returns
    -------
    array of that shape, counts/s/cm2/pixel.
    """
    return _brightness(_parts(tree, params, vignetted=True), x, y)


def expected_counts(tree, pixels, params, fine: Fine | None = None):
    """Expected counts of every pixel (or super-pixel).

    Parameters
    ----------
    tree : Tree of an image model; static under ``jax.jit``.
    pixels : Pixels, arrays (n_pix,).
    params : (n_par,), all parameters in the order of the model.
    fine : Fine, optional; the pixels to integrate over.

    Returns
    -------
    (n_pix,) counts.
    """
    sky = _mean_brightness(_parts(tree, params, vignetted=True), pixels.x, pixels.y, fine)
    return sky * pixels.exposure + unvignetted(tree, pixels, params)


def expected_counts_psf(tree, grid, index, pixels, params, fine: Fine | None = None):
    """Expected counts of every pixel of an image that a PSF has blurred.

    The sky is convolved on the whole grid, also under masked pixels and around the image, and
    vignetted afterwards; nothing wraps around. A point source is the PSF itself, moved by a phase
    in Fourier space; a PSF narrower than 3 pixels (FWHM) would ring. Its frequencies above those of
    the grid are folded onto it then, which is exact where it is known in finer steps than pixels.
    On grids that are too large for that, the source is shared between its four nearest pixels
    first. What is below 0 by rounding or ringing is set to 0.

    Parameters
    ----------
    tree : Tree of an image model; static under ``jax.jit``.
    grid, index : from `jaxspec.reduce.psf.convolution_grid`.
    pixels : Pixels, arrays (n_pix,).
    params : (n_par,)
    fine : Fine, optional; from ``fine_pixels(grid, ...)``.

    Returns
    -------
    (n_pix,) counts.
    """
    sky = jnp.maximum(_blurred(_parts(tree, params, vignetted=True), grid, index, fine), 0.0)
    return sky * pixels.exposure + unvignetted(tree, pixels, params)


def unvignetted(tree, pixels, params):
    """Counts that the exposure map does not act on: ``B * area + scale * background``."""
    flat = _brightness(_parts(tree, params, vignetted=False), pixels.x, pixels.y)
    return flat * pixels.area + background_scale(tree, params) * pixels.background


def background_scale(tree, params):
    """Factor of the background map: the last parameter of `background`, the last component."""
    return params[tree.first[-1] - 1]


def components(
    tree, pixels, params, fine: Fine | None = None, grid=None, index=None, nodes=None
) -> dict:
    """Expected counts of each component, (n_pix,) by name; they add up to the whole.

    With ``grid`` and ``index``, what a PSF makes of them, as `expected_counts_psf`; ``fine``
    belongs to the grid then. ``nodes`` are the radii and weights (n_pix, n_node) of annuli. The
    background map is part of ``background``.
    """
    made = {}
    for name, *part in _named(tree, params):
        if not part[0].vignetted:
            made[name] = _brightness([part], pixels.x, pixels.y) * pixels.area
        elif nodes is not None:
            at_nodes = _brightness([part], nodes[0], jnp.zeros_like(nodes[0]))
            made[name] = jnp.sum(at_nodes * nodes[1], axis=1) * pixels.exposure
        elif grid is None:
            made[name] = _mean_brightness([part], pixels.x, pixels.y, fine) * pixels.exposure
        else:
            made[name] = _blurred([part], grid, index, fine) * pixels.exposure
    last = tree.names[-1]
    made[last] = made[last] + background_scale(tree, params) * pixels.background
    return made


def _named(tree, params):
    """(name, component, its parameters) of each component."""
    if tree.domain != "image":
        raise InputError(
            f"{tree} is a model of a spectrum", remedy="name image components, such as beta"
        )
    places = zip(tree.names, tree.components, tree.first, tree.first[1:], strict=False)
    return [(name, c, [params[i] for i in range(low, high)]) for name, c, low, high in places]


def _parts(tree, params, vignetted):
    return [(c, own) for _, c, own in _named(tree, params) if c.vignetted == vignetted]


def _brightness(parts, x, y):
    total = [component.kernel(x, y, *own) for component, own in parts]
    return sum(total[1:], total[0]) if total else jnp.zeros_like(x)


def _mean_brightness(parts, x, y, fine):
    """Brightness at the centres, the mean over the pixel for the fine ones."""
    sky = _brightness(parts, x, y)
    if fine is None or not parts:
        return sky
    near_x, near_y = (v.ravel()[fine.index][:, None] for v in (x, y))
    points = _brightness(parts, near_x + fine.x[None, :], near_y + fine.y[None, :])
    return sky.ravel().at[fine.index].set(points @ fine.weight).reshape(sky.shape)


def _blurred(parts, grid, index, fine):
    """Brightness (n_pix,) after the PSF."""
    extended = [part for part in parts if not part[0].point]
    light = jnp.fft.rfft2(_mean_brightness(extended, grid.x, grid.y, fine)) if extended else 0.0
    light = light * grid.transfer
    for component, own in parts:
        if component.point:
            light = light + _point_light(grid, *own)
    seen = jnp.fft.irfft2(light, s=grid.x.shape)
    return seen.ravel()[index]


def _point_light(grid, x0, y0, flux):
    """Fourier transform of a point source seen through the PSF."""
    if grid.fine is None:
        return _point_transform(grid, x0, y0, flux) * grid.transfer
    place = jnp.stack([x0, y0])
    inside = jnp.all((place >= grid.low) & (place <= grid.high))
    (ny, nx), s = grid.x.shape, grid.fine.shape[0]
    turns = []
    for n, kept, shift in ((ny, ny, y0 - grid.y[0, 0]), (nx, nx // 2 + 1, x0 - grid.x[0, 0])):
        frequency = (np.fft.fftfreq(s * n) * s).reshape(s, n)[:, :kept]  # cycles in a pixel
        angle = 2.0 * np.pi * frequency * shift
        turns.append(jax.lax.complex(jnp.cos(angle), -jnp.sin(angle)))
    flux = jnp.where(inside, flux, 0.0).astype(turns[0].dtype)
    return flux * jnp.einsum("abyx,ay,bx->yx", grid.fine, *turns)


def _point_transform(grid, x0, y0, flux):
    """Fourier transform of a point source on the grid; 0 for one that no pixel can see."""
    place = jnp.stack([x0, y0])
    inside = jnp.all((place >= grid.low) & (place <= grid.high))
    ny, nx = grid.x.shape
    along_x = _phase(np.fft.rfftfreq(nx), x0 - grid.x[0, 0], grid.sharp)
    along_y = _phase(np.fft.fftfreq(ny), y0 - grid.y[0, 0], grid.sharp)
    flux = jnp.where(inside, flux, 0.0).astype(along_y.dtype)
    return flux * along_y[:, None] * along_x[None, :]


def _phase(frequency, shift, sharp):
    """Transform of a point at ``shift``; shared between two pixels if the PSF is ``sharp``."""
    whole = jnp.floor(shift)
    part = jnp.where(sharp, shift - whole, 0.0)
    turn = 2.0 * np.pi * frequency
    angle = turn * jnp.where(sharp, whole, shift)
    # at the Nyquist frequency only the real part is that of a real image
    nyquist = np.abs(frequency) == 0.5
    first = jax.lax.complex(jnp.cos(angle), jnp.where(nyquist, 0.0, -jnp.sin(angle)))
    part = part.astype(first.dtype)
    return first * ((1.0 - part) + part * np.exp(-1j * turn))
