"""Small functions whose value and gradient stay finite where the textbook form does not."""

from __future__ import annotations

import jax.numpy as jnp


def exprel(x):
    """(exp(x) - 1) / x, smooth through x = 0 (series below |x| = 1e-5; error below 1e-16)."""
    small = jnp.abs(x) < 1e-5
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1.0 + 0.5 * x * (1.0 + x / 3.0), jnp.expm1(safe) / safe)
