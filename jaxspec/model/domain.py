"""Is an expression about a spectrum or an image, and what belongs to every image model.

An image model is a sum of image components. Its last one is always ``background``, whether the
expression names it or not: an image without a background is one whose ``B`` is frozen at 0.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from jaxspec.errors import InputError
from jaxspec.model.catalogue import ALIASES, CATALOGUE
from jaxspec.model.component import Component
from jaxspec.model.expression import Leaf, Node, Sum, leaves, resolve
from jaxspec.model.surface_catalogue import BACKGROUND, SURFACE_ALIASES, SURFACES


def vocabulary(text: str, own: dict[str, Component]) -> tuple[dict, dict]:
    """Components and aliases that an expression may use.

    Parameters
    ----------
    text : str, the expression. If any word in it is the name of an image component, all are.
    own : dict from name to the user's own Component; they shadow those of the catalogues.

    Returns
    -------
    components : dict from name to Component.
    aliases : dict from lower-case alias to name.

    Raises
    ------
    InputError
        The expression has components of spectra and of images.

    Examples
    --------
    >>> vocabulary("beta+point", {})[1]["gaussian"]
    'gauss2d'
    >>> vocabulary("TBabs*po", {})[1]["po"]
    'powerlaw'
    """
    spectral = _known(CATALOGUE, ALIASES, own, "spectrum")
    image = _known(SURFACES, SURFACE_ALIASES, own, "image")
    words = re.findall(r"[A-Za-z_]\w*", text) if isinstance(text, str) else []
    names = {name.lower(): name for name in image[0]}
    first = next((names[word.lower()] for word in words if word.lower() in names), None)
    if first is None:
        _suggest(words, spectral, image)
        return spectral
    for word in words:
        other = _stands_for(word, spectral)
        if other and (_is_whole(word, spectral) or not _stands_for(word, image)):
            if not _is_whole(word, image):
                raise InputError(
                    f"{other} is a component of spectra, {first} one of images; "
                    f"{text!r} cannot have both",
                    remedy="fit spectra and images with models of their own",
                )
    return image


def _known(catalogue, aliases, own, domain):
    mine = {name: c for name, c in own.items() if c.domain == domain}
    shadowed = {name.lower() for name in own}
    known = mine | {c.name: c for c in catalogue if c.name.lower() not in shadowed}
    return known, {a: n for a, n in aliases.items() if n in known and a not in shadowed}


def _is_whole(word, known):
    """True for a full name or an alias, False for a beginning."""
    return word.lower() in {name.lower() for name in (*known[0], *known[1])}


def _suggest(words, spectral, image):
    """Explain a misspelt image component; what may be spectral is left to the parser."""
    for word in words:
        low, spelled = word.lower(), [name.lower() for name in (*spectral[0], *spectral[1])]
        if any(name.startswith(low) for name in spelled) or get_close_matches(low, spelled):
            continue
        if close := get_close_matches(low, image[0]):
            raise InputError(f"there is no model component {word!r}; did you mean {close[0]}?")


def _stands_for(word, known):
    try:
        return resolve(word, *known).name
    except InputError:
        return None


def with_background(*roots: Node) -> Node:
    """Sum of the image components of all roots and one background at the end, numbered anew.

    Raises
    ------
    InputError
        One of the roots has two backgrounds.
    """
    for root in roots:
        if sum(leaf.component == BACKGROUND for leaf in leaves(root)) > 1:
            raise InputError(
                f"{root} has two backgrounds, which no image can tell apart",
                remedy="name background once or not at all",
            )
    found = [leaf.component for root in roots for leaf in leaves(root)]
    parts = [*(c for c in found if c != BACKGROUND), BACKGROUND]
    terms = tuple(Leaf(component, i) for i, component in enumerate(parts, start=1))
    return Sum(terms) if len(terms) > 1 else terms[0]
