"""Region text of DS9, JS9 and CIAO: the same shapes, each dialect by its own rule.

DS9 (and JS9): a frame stands before the shapes, physical if none does; what is excluded with
``-`` or ``!`` is taken out of all other areas, wherever it stands. CIAO (where the first line says
so, or no frame is named): plain numbers are physical, degrees with ``d`` and h:m:s are FK5; lines
and ``+`` unite, ``*`` and ``&`` intersect, and ``-`` cuts the shape before it, and no other.
"""

from __future__ import annotations

import re

from jaxspec.errors import InputError
from jaxspec.read.region_shapes import SKY, Length, RegionSet, Shape, checked

_OTHER_FRAMES = (
    "linear",
    "amplifier",
    "detector",
    "tile",
    "wcs",
    *(f"wcs{c}" for c in "abcdefghijklmnopqrstuvwxyz0"),
)
_LABELS = ("text", "vector", "ruler", "compass", "projection", "composite")
_NO_AREA = ("point", "line", "segment")
_FRAME = re.compile(rf"({'|'.join((*SKY, 'image', 'physical', *_OTHER_FRAMES))})\b(?!\s*\()", re.I)
_SHAPE = re.compile(
    r"(?P<sign>[-+!&*|\s]*)(?P<name>[a-z]\w*)\s*(?:\((?P<a>[^()]*)\)|(?P<b>[^()|&*!]*))"
)
_QUOTED = re.compile(r"""(?<==)\s*(\{[^}]*\}|"[^"]*"|'[^']*')|\{[^}]*\}""")
_NUMBER_OF = re.compile(r",?\s*\bn\s*=\s*\d+\s*$")  # rings between the first and the last size
_GLOBAL = re.compile(r"\s*global\b", re.I)
_LEFT_OUT = re.compile(r"\binclude\s*=\s*(0|no?|false|off)\b", re.I)
# What DS9 hides behind a "#": shapes of its own, and settings of the shape before it.
_OWN = (*_LABELS, "panda", "epanda", "bpanda", "cpanda", "segment")
_HIDDEN = re.compile(rf"[-+!]?({'|'.join(_OWN)})\s*\(")
_WORDS = "physical|image|linear|fk4|fk5|icrs|galactic|ecliptic|wcs|degrees|arcmin|arcsec"
_SETTINGS = re.compile(
    rf"({_HIDDEN.pattern}[^)]*+\)[\s|]*+)?"
    rf"((\w++\s*+=\s*+(\#?[\w.+-]++)?(\s++({_WORDS}|[\d.]++)\b)*|source|background|dash)[\s,]*+)*+"
)
# The least numbers of each shape; CIAO accepts shortened names.
SHAPES = {
    "circle": 3, "ellipse": 4, "box": 4, "rotbox": 5, "polygon": 6, "annulus": 4, "field": 0,
    "rectangle": 4, "rotrectangle": 5, "pie": 6, "sector": 4, "panda": 8, "cpanda": 8,
    "epanda": 10, "bpanda": 10,
}  # fmt: skip
_MOST = {"circle": 3, "rectangle": 4, "rotrectangle": 5, "pie": 6, "sector": 4, "field": 0}


def parse_regions(text: str, name: str = "regions=") -> RegionSet:
    """Parse DS9, JS9 or CIAO text.

    Parameters
    ----------
    text : str
        Frames ``fk5 icrs fk4 galactic ecliptic image physical`` and shapes ``circle ellipse box
        rotbox polygon annulus rectangle pie sector field panda epanda bpanda``. Numbers may say
        what they are: ``d ' " r`` angles, ``i`` image and ``p`` physical pixels. Labels (text,
        vector, ruler, compass) are passed over.
    name : str
        For messages.

    Returns
    -------
    RegionSet

    Raises
    ------
    InputError
        If something is not understood.

    Examples
    --------
    >>> parse_regions("image; circle(10, 10, 3)").shapes[0].outer[0]
    Length(value=3.0, unit='image')
    """
    _check_global(text, name)
    statements = list(_statements(text))
    ciao = _is_ciao(text, statements)
    shapes, labels, frame, component = [], 0, "physical", 0
    for statement in statements:
        body, _, comment = statement.partition("#")
        body = body.strip()
        match = None if ciao else _FRAME.match(body)
        if match:
            frame, body = match[1].lower(), body[match.end() :].strip()
            if frame in _OTHER_FRAMES:
                raise InputError(
                    f"the coordinates {frame!r} are not supported",
                    file=name,
                    remedy="save the regions as fk5, icrs, galactic, image or physical",
                )
        if not body:
            body, comment = _written_as_comment(comment), ""
        excluded = _LEFT_OUT.search(comment) is not None
        for sign, kind, values in _shapes_of(body, name, ciao):
            if kind in _LABELS:
                labels += kind != "composite"
                continue
            joined = ciao and any(c in sign for c in "-&*") and bool(shapes)
            component += not joined
            shape = _shape(kind, values, frame, ciao, name)
            include = not (excluded or "-" in sign or "!" in sign)
            shapes.append(shape._replace(include=include, component=component))
    if not shapes:
        raise InputError("holds no region", file=name, remedy="give circle, box, ... in DS9 format")
    notes = []
    if ciao and "ciao" not in text[:200].lower():
        notes.append(f"{name}: names no coordinates; plain numbers taken as physical")
        if any(not s.include for s in shapes):
            notes[0] += ", and -shape as CIAO does: it cuts the shape before it"
    if not ciao and not any(_FRAME.match(s) for s in statements):
        notes.append(f"{name}: names no coordinates; taken as physical, as DS9 does")
    if labels:
        notes.append(f"{name}: {labels} labels without an area passed over")
    return RegionSet(tuple(shapes), name, tuple(notes), by_component=ciao)


def _check_global(text, name):
    """Refuse settings that would exclude what is written without a minus."""
    if any(_LEFT_OUT.search(line) for line in text.splitlines() if _GLOBAL.match(line)):
        raise InputError(
            "its global settings exclude all regions (include=0)",
            file=name,
            remedy="write include=1 there, and a minus before each region that is excluded",
        )


def _is_ciao(text, statements):
    """Whether the rules of CIAO apply: it says so, or nothing is of DS9."""
    head = next((line for line in text.splitlines() if line.strip()), "").lower()
    if "region file format" in head:
        return "ciao" in head
    if any(_FRAME.match(s) for s in statements) or any(map(_GLOBAL.match, text.splitlines())):
        return False
    # CIAO has no file that begins with what is cut out
    return not (statements and re.match(r"[-!]", statements[0]))


def _statements(text):
    """Lines and what ``;`` separates, without quoted text, comments and global settings."""
    for line in text.lstrip("\ufeff").splitlines():
        line = line.strip()
        if _GLOBAL.match(line):
            continue
        rest = _QUOTED.sub("", line).lower()
        while rest:
            statement, _, rest = rest.partition(";")
            comment = statement.partition("#")[2].strip()
            if comment and not _SETTINGS.fullmatch(comment):
                rest = ""  # free words, which go on to the end of the line
            if statement.strip():
                yield statement.strip()


def _written_as_comment(comment):
    """DS9 writes its own shapes as comments: ``# panda(...)``, ``# text(...)``."""
    return comment.strip() if _HIDDEN.match(comment.strip()) else ""


def _shapes_of(body, name, ciao):
    """(sign, shape, arguments) of a statement such as ``circle(1,2,3)-circle(1,2,1) ||``."""
    at = 0
    while body[at:].strip(" |&"):
        match = _SHAPE.match(body, at)
        if match is None:
            raise _not_understood(body, name)
        sign, shape = match["sign"], match["name"]
        if shape in _LABELS:  # what follows is text
            yield sign, shape, ""
            return
        if ("&" in sign or "*" in sign) and not ciao:
            raise InputError(
                f"{body!r} intersects regions, which DS9 does not",
                file=name,
                remedy="write the areas as one list of included and excluded (-) regions, or put "
                "'# Region file format: CIAO' before them",
            )
        values = match["a"] if match["a"] is not None else match["b"]
        values = _NUMBER_OF.sub("", values)
        yield sign, _full_name(shape, ciao), values.replace(",", " ").split()
        at = match.end()


def _full_name(shape, ciao):
    if shape in SHAPES or not ciao or len(shape) < 3:
        return shape
    return next((full for full in (*SHAPES, *_NO_AREA) if full.startswith(shape)), shape)


def _not_understood(body, name):
    return InputError(
        f"{body!r} is not understood",
        file=name,
        remedy=f"use {', '.join(SHAPES)}, as DS9 or CIAO save them",
    )


# ---------------------------------------------------------------------- one shape


def _shape(kind, values, frame, ciao, name) -> Shape:
    text = f"{kind}({','.join(values)})"
    if kind in _NO_AREA:
        raise InputError(
            f"{text} has no area", file=name, remedy="draw a circle or a box, or delete it"
        )
    if kind not in SHAPES:
        raise InputError(
            f"the shape of {text} is not supported", file=name, remedy=f"use {', '.join(SHAPES)}"
        )
    if len(values) < SHAPES[kind] or len(values) > _MOST.get(kind, len(values)):
        raise InputError(f"{text} has {len(values)} numbers, not {SHAPES[kind]}", file=name)
    try:
        made = _of_values(kind, values, _Numbers(frame, ciao))
    except ValueError as error:
        raise InputError(
            f"{text} in {frame} coordinates cannot be used ({error})",
            file=name,
            remedy="write sky positions in degrees or h:m:s, and sizes as 10\", 1', 0.1d, "
            "5i (image pixels) or 5p (physical ones)",
        ) from None
    label = text if ciao else f"{frame}; {text}"
    return checked(made._replace(by_sky=not ciao, text=label), name)


def _of_values(kind, values, read) -> Shape:
    """Shape of its arguments, in the order of DS9 and CIAO."""
    if kind == "field":
        return Shape("field", "image")
    if kind == "polygon":
        pairs = list(zip(values[::2], values[1::2], strict=False))
        if len(values) % 2:
            raise ValueError("an odd number of coordinates")
        frame, places = read.places(pairs)
        return Shape("polygon", frame, places)
    if kind in ("rectangle", "rotrectangle"):
        frame, places = read.places([values[:2], values[2:4]])
        tilt = read.angle(values[4]) if kind == "rotrectangle" else 0.0
        return Shape("rectangle", frame, places, tilt=tilt)
    frame, places = read.places([values[:2]])
    rest = values[2:]
    if kind == "circle":
        return _ring("round", frame, places, [(rest[0], rest[0])], read)
    if kind == "annulus":
        return _ring("round", frame, places, [(r, r) for r in rest], read)
    if kind in ("ellipse", "box", "rotbox"):
        tilt = read.angle(rest.pop()) if len(rest) % 2 else 0.0  # CIAO leaves out an angle of 0
        form = "round" if kind == "ellipse" else "box"
        return _ring(form, frame, places, _pairs(rest), read)._replace(tilt=tilt)
    if kind == "pie":
        ring = _ring("round", frame, places, [(r, r) for r in rest[:2]], read)
        return ring._replace(angles=read.range(rest[2:4]))
    if kind == "sector":
        return Shape("round", frame, places, angles=read.range(rest[:2]))
    angles = read.range(rest[:2])  # panda: rest[2] counts its pieces, which fill the whole
    if kind in ("panda", "cpanda"):
        ring = _ring("round", frame, places, [(r, r) for r in rest[3:5]], read)
        return ring._replace(angles=angles)
    form = "round" if kind == "epanda" else "box"
    ring = _ring(form, frame, places, _pairs(rest[3:7]), read)
    tilt = read.angle(rest[8]) if len(rest) > 8 else 0.0
    return ring._replace(angles=angles, tilt=tilt)


def _pairs(values):
    return list(zip(values[::2], values[1::2], strict=False))


def _ring(form, frame, places, pairs, read):
    """Area between the first and the last pair of sizes; full widths of a box are halved."""
    half = 0.5 if form == "box" else 1.0
    sizes = [tuple(read.length(v, half) for v in pair) for pair in pairs]
    sizes.sort(key=lambda pair: pair[0].value)
    return Shape(form, frame, places, sizes[-1], sizes[0] if len(sizes) > 1 else None)


class _Numbers:
    """Numbers with or without a unit, in the coordinates that hold for them."""

    ANGLES = {"d": 3600.0, "'": 60.0, '"': 1.0, "''": 1.0, "r": 206264.80624709636, "deg": 3600.0}

    def __init__(self, frame, ciao):
        self.frame, self.ciao = frame, ciao

    @staticmethod
    def _split(word):
        match = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:nan|inf))(.*)", word)
        if match is None:
            raise ValueError(f"{word!r} is no number")
        return float(match[1]), match[2]

    def places(self, pairs):
        """Frame that holds for some positions, and the positions."""
        found = [(self._coordinate(x, 0), self._coordinate(y, 1)) for x, y in pairs]
        frames = {frame for pair in found for frame, _ in pair}
        if len(frames) > 1:
            raise ValueError("its coordinates are of several kinds")
        return frames.pop(), tuple((x[1], y[1]) for x, y in found)

    def _coordinate(self, word, axis):
        sky = self.frame if self.frame in SKY else "fk5"
        parts = re.fullmatch(
            r"([-+]?)(\d+)(?:[:hd])(\d+)(?:[:m])(\d+\.?\d*|\.\d+)s?", word.replace("'", "m")
        )
        if parts:
            if int(parts[3]) >= 60 or float(parts[4]) > 60:  # DS9 rounds up to 60
                raise ValueError(f"{word!r} has 60 minutes or seconds, or more")
            value = int(parts[2]) + int(parts[3]) / 60 + float(parts[4]) / 3600
            hours = axis == 0 and "d" not in word and SKY[sky] in ("fk5", "fk4", "icrs")
            return sky, (-value if parts[1] == "-" else value) * (15.0 if hours else 1.0)
        value, unit = self._split(word)
        if unit in ("i", "p"):
            return {"i": "image", "p": "physical"}[unit], value
        if unit in ("d", "deg", "r"):
            return sky, value * self.ANGLES[unit] / 3600
        if unit:
            raise ValueError(f"{word!r} is no position")
        return self.frame, value

    def length(self, word, factor=1.0):
        """A size; without a unit in pixels of the frame, or in degrees on the sky (not CIAO)."""
        value, unit = self._split(word)
        if unit in self.ANGLES:
            return Length(value * self.ANGLES[unit] * factor, "arcsec")
        if unit in ("i", "p"):
            return Length(value * factor, {"i": "image", "p": "physical"}[unit])
        if unit:
            raise ValueError(f"{word!r} is no size")
        if self.frame in SKY:
            return Length(value * 3600 * factor, "arcsec")
        return Length(value * factor, self.frame)

    def angle(self, word):
        """An angle in degrees."""
        value, unit = self._split(word)
        if unit not in ("", "d", "deg"):
            raise ValueError(f"{word!r} is no angle")
        return value

    def range(self, words):
        """(start, stop) in degrees."""
        return self.angle(words[0]), self.angle(words[1])
