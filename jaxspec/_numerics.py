"""Small functions whose value and gradient stay finite where the textbook form does not."""

from __future__ import annotations

import jax.numpy as jnp


def xlogy_ratio(x, y):
    """The product x ln(x / y) for x >= 0 and y > 0, with value and gradient zero at x = 0."""
    positive = x > 0
    safe = jnp.where(positive, x, 1.0)
    return jnp.where(positive, safe * (jnp.log(safe) - jnp.log(y)), 0.0)


def exprel(x):
    """(exp(x) - 1) / x, smooth through x = 0 (series below |x| = 1e-5; error below 1e-16)."""
    small = jnp.abs(x) < 1e-5
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1.0 + 0.5 * x * (1.0 + x / 3.0), jnp.expm1(safe) / safe)
