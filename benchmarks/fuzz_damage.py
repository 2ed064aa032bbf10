"""Ways to damage a file: bytes, header cards, columns, numbers, words, lines, and what is inside.

FITS files stay readable more often if only a card or a number is odd, so that this is done more
often there. Posteriors carry a hash of themselves: some are given a new one after the damage,
else nothing behind the hash would ever be tried.
"""

import gzip
import io
import json
import re

import numpy as np

ODD = """-1 0 1 2 -32768 99999999999999999999 1E400 -1E30 1E300 NAN INF T 'none' '~/x' '../../x'
'a&' '{9}' 1.5 '1' 3000000000 1E-30 0x10 1,5 (1,2) + ''""".split()
ODD += ["", "'" + "long " * 13 + "'", "'a" + "&" * 60 + "'"]
WORDS = """nan inf -inf 1e400 1e300 -1 0 1e308 x 1e-320 ' " ( ) 12:61:99 -91 1e9 999999999999999999
{ % é -- ! 1d # ; | null true [] {} &a *a""".split()
WORDS += ["", "\x00", "(" * 3000, "9" * 5000, "a," * 20000]
ODD_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-30, 1e300, 5e-324)
UNITS = """keV eV MeV angstrom m cm2 m2 Hz s ks count/s counts pixel deg arcsec arcmin erg/cm2/s
nonsense""".split()
ALIKE = ("B A L", "I 2A 2B", "J E 2I 4A", "D K 2E 2J C 8A")  # types of columns of the same width
OF_OTHERS = {"B": "L", "I": "I", "J": "E", "E": "J", "D": "K", "K": "D"}


def damaged(raw, name, rng):
    """Damaged copy of the bytes of a file; the ending of its name says what it is."""
    if name.endswith(".nc") and rng.random() < 0.8:
        return _inside_posterior(raw, rng)
    packed = raw[:2] == b"\x1f\x8b" and rng.random() < 0.8
    if packed:
        raw = gzip.decompress(raw)
    ways = _FITS if raw[:6] == b"SIMPLE" else _BYTES if _is_binary(raw) else _TEXT
    raw = _several(raw, ways, rng)
    return gzip.compress(raw, 1) if packed else raw


def _several(raw, ways, rng):
    for _ in range(rng.choice([1, 1, 2, 3])):
        raw = ways[rng.integers(len(ways))](raw, rng)
    return raw


def _is_binary(raw):
    return b"\0" in raw[:2000] or raw[:2] in (b"\x1f\x8b", b"\x1f\x9d")


# ------------------------------------------------------------------ bytes


def _flip(raw, rng):
    made = bytearray(raw)
    for at in rng.integers(max(len(made), 1), size=rng.integers(1, 9)):
        if made:
            made[at] = rng.integers(256)
    return bytes(made)


def _cut(raw, rng):
    return raw[: rng.integers(len(raw) + 1)]


def _append(raw, rng):
    return raw + rng.bytes(int(rng.integers(1, 6000)))


def _drop(raw, rng):
    step = 2880 if rng.random() < 0.5 else 1
    at = step * rng.integers(len(raw) // step + 1)
    return raw[:at] + raw[at + step * int(rng.integers(1, 4)) :]


def _twice(raw, rng):
    step = 2880 if rng.random() < 0.5 else 80
    at = step * rng.integers(len(raw) // step + 1)
    return raw[: at + step] + raw[at:]


def _number(raw, rng):
    """Odd big-endian numbers somewhere in the data, alone or many."""
    made, size = bytearray(raw), int(rng.choice([2, 4, 8]))
    value = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
    if rng.random() < 0.5 or size == 2:
        whole = int(rng.choice([-1, 0, 1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1))]))
        piece = whole.to_bytes(size, "big", signed=True)
    else:
        with np.errstate(all="ignore"):
            piece = np.array(value).astype(f">f{size}").tobytes()
    at = int(rng.integers(max(len(made) - size, 1))) // 2 * 2
    step = int(rng.choice([size, 8, 10, 18, 20, 24]))
    for i in range(int(rng.choice([1, 1, 5, 200]))):
        if at + i * step + size <= len(made):
            made[at + i * step : at + i * step + size] = piece
    return bytes(made)


# ------------------------------------------------------------------ headers


def _cards(raw, pattern=rb""):
    """Where header cards with a value begin whose keywords match."""
    return [
        i
        for i in range(0, len(raw) - 79, 80)
        if raw[i + 8 : i + 10] == b"= "
        and raw[i : i + 8].isascii()
        and re.match(pattern, raw[i : i + 8])
    ]


def _with_card(raw, at, value, key=None):
    key = raw[at : at + 8] if key is None else key.encode().ljust(8)
    return raw[:at] + key + b"= " + value[:70].ljust(70) + raw[at + 80 :]


def _card(raw, rng):
    """Another value for a card, or another card in its place."""
    cards = _cards(raw)
    if not cards:
        return raw
    at, other = rng.choice(cards, 2)
    way = rng.integers(5)
    if way == 0:
        return _with_card(raw, at, raw[other + 10 : other + 80])
    if way == 1:
        return raw[:at] + b"COMMENT ".ljust(80) + raw[at + 80 :]
    if way == 2:
        return raw[:at] + raw[other : other + 80] + raw[at + 80 :]
    value = ODD[rng.integers(len(ODD))].encode()
    return _with_card(raw, at, value.rjust(20) if rng.random() < 0.5 else value)


def _column(raw, rng):
    """Another type, unit, name or scale of a column, or another number of rows."""
    forms = _cards(raw, rb"TFORM")
    if not forms:
        return _card(raw, rng)
    at = int(rng.choice(forms))
    number = raw[at + 5 : at + 8].decode().strip()
    form = raw[at + 10 : at + 30].decode("latin-1").strip(" '")
    way = rng.integers(5)
    if way == 0:
        alike = next((one.split() for one in ALIKE if form.lstrip("1") in one.split()), ["1J"])
        made = alike[rng.integers(len(alike))]
        if (repeat := re.fullmatch(r"(\d+)([BIJKED])", form)) and rng.random() < 0.8:
            made = repeat[1] + OF_OTHERS[repeat[2]]
        return _with_card(raw, at, f"'{made:8s}'".encode())
    if way == 1:
        unit = UNITS[rng.integers(len(UNITS))]
        there = _cards(raw, rb"TUNIT%d *$" % int(number)) if number.isdigit() else []
        if there:
            return _with_card(raw, int(rng.choice(there)), f"'{unit:8s}'".encode())
        return _into_spare(raw, f"TUNIT{number}", f"'{unit:8s}'", rng)
    if way == 2:
        key = ["TSCAL", "TZERO", "TNULL", "TDIM"][rng.integers(4)]
        return _into_spare(raw, f"{key}{number}", ODD[rng.integers(len(ODD))], rng)
    if way == 3:
        names = _cards(raw, rb"TTYPE")
        if not names:
            return raw
        a, b = rng.choice(names, 2)
        return _with_card(raw, a, raw[b + 10 : b + 80])
    rows = _cards(raw, rb"NAXIS2")
    return (
        _with_card(raw, int(rng.choice(rows)), str(rng.integers(3)).rjust(20).encode())
        if rows
        else raw
    )


def _into_spare(raw, key, value, rng):
    """A new card in the place of one that no structure depends on."""
    spare = _cards(raw, rb"(?!NAXIS|BITPIX|XTENSION|TF|TT|PCOUNT|GCOUNT|SIMPLE)")
    if not spare:
        return raw
    return _with_card(raw, int(rng.choice(spare)), value.encode().rjust(20), key)


# ------------------------------------------------------------------ text


def _word(raw, rng):
    """Another word or number in a text."""
    text = raw.decode("utf-8", "replace")
    found = list(re.finditer(r"[-+.\w]+|\W", text))
    if not found:
        return raw
    match = found[rng.integers(len(found))]
    word = WORDS[rng.integers(len(WORDS))]
    return (text[: match.start()] + word + text[match.end() :]).encode("utf-8", "replace")


def _line(raw, rng):
    lines = raw.split(b"\n")
    at, way = rng.integers(len(lines)), rng.integers(4)
    other = lines[rng.integers(len(lines))]
    if way == 0:
        del lines[at]
    elif way == 3:
        lines[at:at] = [other] * int(rng.choice([10, 10, 10, 10, 1000]))
    else:
        lines[at : at + way - 1] = [other]
    return b"\n".join(lines)


# ------------------------------------------------------------------ inside of posteriors


def _inside_posterior(raw, rng):
    """Other attributes, numbers or bytes in a netCDF file, with a hash that fits, or with none."""
    import hashlib

    from jaxspec.sample.netcdf import SEAL

    inner = raw.rpartition(SEAL)[0]
    if rng.random() < 0.05:  # a file that was cut off before its hash, or written by others
        return _several(inner, _BYTES, rng)
    inner = _other_content(inner, rng)
    return inner + SEAL + hashlib.sha256(inner).hexdigest().encode()


def _other_content(inner, rng):
    import h5py

    stream = io.BytesIO(inner)
    texts = ("model", "settings", "names", "best", "format", "log_constant")
    with h5py.File(stream, "r+") as file:
        way = rng.integers(4)
        if way < 2:
            key = texts[rng.integers(len(texts))]
            held = file.attrs[key]
            if isinstance(held, str):
                held = _json_or_text(held, rng)
            else:
                held = [np.nan, np.inf, "x", np.arange(3), -1e300][rng.integers(5)]
            if rng.random() < 0.1:
                del file.attrs[key]
            else:
                file.attrs[key] = held
        else:
            group = file[["posterior", "sample_stats"][rng.integers(2)]]
            name = sorted(group)[rng.integers(len(group))]
            values = group[name][...].astype(float)
            if way == 2 and values.size:
                values.flat[rng.integers(values.size)] = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
                if group[name].dtype.kind == "f":
                    group[name][...] = values
            else:
                del group[name]
                if rng.random() < 0.7:
                    other = (values[:1], values.astype("i2"), values.ravel(), values[..., None])
                    group[name] = other[rng.integers(4)]
    return stream.getvalue()


def _json_or_text(text, rng):
    """JSON text with another value somewhere in it, or with other words."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if rng.random() < 0.3 or not isinstance(content, dict | list):
        return (
            _several(text.encode(), (_word, _line), rng)
            .decode("utf-8", "replace")
            .replace("\0", "")
        )
    holder = content
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return json.dumps(content)
        key = keys[rng.integers(len(keys))]
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
            continue
        odd = [
            None,
            True,
            -1,
            0,
            1e300,
            float("nan"),
            float("inf"),
            "x",
            "",
            [],
            {},
            [[1, 2]],
            "9" * 400,
        ]
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = odd[rng.integers(len(odd))]
        return json.dumps(content)


_BYTES = (_flip, _cut, _append, _drop, _twice, _number)
_FITS = (*_BYTES, *[_card] * 4, *[_column] * 3, *[_number] * 2)
_TEXT = (_word, _word, _word, _word, _line, _line, _flip, _cut)
