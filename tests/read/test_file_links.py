"""Files that headers name, and folders, mappings and functions in their place; compressed names."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from ogip_files import COUNTS, DENSE, arf, pha, rmf

from jaxspec.errors import InputError
from jaxspec.read.ogip import read_arf, read_response, read_spectra, read_spectrum
from jaxspec.read.paths import decompress, is_set
from jaxspec.reduce.spectra import read_pha


def said(thing, words):
    return any(words in note for note in thing.diagnostics)


def factor(response):
    """How often the matrix is that of the test files."""
    return round(response.matrix.sum() / DENSE.sum(), 6)


# ------------------------------------------------------------------ values of keywords


@pytest.mark.parametrize(
    ("link", "names"),
    [
        ("none", False),
        ("NONE", False),
        ("None given", False),
        ("none, see the log", False),
        ("none...", False),
        ("", False),
        ("   ", False),
        ("\0\0", False),
        (None, False),
        ("nonesuch.rsp", True),
        ("none.rsp", True),
        ("a.rsp", True),
    ],
)
def test_links_that_name_no_file(link, names):
    assert is_set(link) is names


@pytest.mark.parametrize("name", ["a.rmf", "a_much_longer_name.rmf"])
@pytest.mark.parametrize("after", [b"CONTINUE  ''", b"CONTINUE  '' / of it", b"COMMENT none"])
def test_ampersand_at_the_end_of_a_link(put, name, after):
    put(name, rmf())
    raw = bytearray(pha(RESPFILE=name + "&", ANCRFILE="X" * 60))
    at = raw.find(b"ANCRFILE=", raw.find(b"RESPFILE=", 2880))
    raw[at : at + 80] = after.ljust(80)
    at = raw.find(b"RESPFILE=", 2880)
    card = bytes(raw[at + 80 : at + 160])
    for other in range(2880, len(raw), 80):  # the card behind RESPFILE
        if bytes(raw[other : other + 80]) == after.ljust(80):
            raw[other : other + 80], raw[at + 80 : at + 160] = card, after.ljust(80)
            break
    assert read_spectrum(put("a.pha", bytes(raw))).response.name == name


def test_padded_links(put):
    put("a.rmf", rmf())
    path = put("a.pha", pha(RESPFILE="  a.rmf" + 20 * " ", BACKFILE="none given"))
    s = read_spectrum(path)
    assert s.response.name == "a.rmf" and s.background is None


def test_tilde_in_a_link_is_text(put, tmp_path, monkeypatch):
    put("home/secret.rmf", rmf())
    put("obs/~/secret.rmf", rmf(dense=DENSE * 2))
    put("obs/a.pha", pha(RESPFILE="~/secret.rmf"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "obs")
    assert factor(read_spectrum("a.pha").response) == 2


# ------------------------------------------------------------------ in place of links


def archive(put):
    """Three spectra, two responses in folders of their own, one background."""
    put("rsp/one/x.rmf", rmf())
    put("rsp/two/y.rmf.gz", gzip.compress(rmf(dense=DENSE * 2)))
    put("arf/x.arf", arf())
    put("sky/deep/sky.pha", pha(counts=COUNTS * 7))
    for name, link in (("a", "x.rmf"), ("b", "../rsp/two/y.rmf"), ("c", "/home/old/one/x.rmf")):
        keys = dict(RESPFILE=link, ANCRFILE="x.arf", BACKFILE="sky.pha", OBS_ID=f"0{name}")
        put(f"spectra/{name}.pha", pha(**keys))
    return os.path.dirname(put("spectra/log.txt", b""))


def test_folders_in_place_of_links(put):
    folder = archive(put)
    at = {key: f"{folder}/../{name}" for key, name in (("response", "rsp"), ("arf", "arf"))}
    spectra = read_pha(f"{folder}/*.pha", **at, background=Path(folder).parent / "sky")
    assert [factor(s.response) for s in spectra] == [1, 2, 1]
    assert spectra[0].response is spectra[2].response and spectra[0].response.area[3] == 40
    assert all(np.array_equal(s.background.counts, COUNTS * 7) for s in spectra)
    with pytest.raises(InputError, match=r"BACKFILE is 'sky.pha', and there is no such file in"):
        read_pha(f"{folder}/*.pha", **at, background=folder + "/../rsp")
    alone = put("d/d.pha", pha())
    s = read_spectrum(alone, response=folder + "/../rsp")
    assert s.response is None and said(s, "RESPFILE names no file, so that none is looked for")


@pytest.mark.parametrize("root", [str, Path])
def test_root_of_an_archive(put, root):
    folder = archive(put)
    top = root(os.path.dirname(folder))
    a, b, c = read_pha([f"{folder}/{n}.pha" for n in "abc"], root=top)
    assert [factor(s.response) for s in (a, b, c)] == [1, 2, 1] and a.background is not None
    assert said(a, "'x.rmf' was found as") and said(c, "one/x.rmf")
    assert not said(b, "RESPFILE")  # where the link says
    with pytest.raises(InputError, match="a folder that holds both as root="):
        read_spectrum(f"{folder}/b.pha", arf=None, background=None)
    with pytest.raises(InputError, match="is no folder"):
        read_spectrum(f"{folder}/b.pha", root=folder + "/nowhere")


def test_root_is_not_left(put, tmp_path):
    put("secret.rmf", rmf())
    put("top/obs/x", b"")
    for link in ("../../secret.rmf", f"{tmp_path}/secret.rmf", "../../top/../secret.rmf"):
        path = put("top/obs/a.pha", pha(RESPFILE=link))
        with pytest.raises(InputError, match="leads out of the folder"):
            read_spectrum(path, root=tmp_path / "top")
        assert read_spectrum(path, root=tmp_path).response is not None


def test_files_of_one_name_in_a_root(put, tmp_path):
    first, other = rmf(), rmf(dense=DENSE * 2)
    put("one/x.rmf", first)
    put("two/x.rmf", first)
    path = put("obs/a.pha", pha(RESPFILE="x.rmf"))
    assert factor(read_spectrum(path, root=tmp_path).response) == 1
    put("two/x.rmf", other)
    with pytest.raises(InputError, match="RESPFILE may be any of 2 files"):
        read_spectrum(path, root=tmp_path)
    path = put("obs/b.pha", pha(RESPFILE="/old/two/x.rmf"))
    assert factor(read_spectrum(path, root=tmp_path).response) == 2


@pytest.mark.parametrize(
    "key", ["a", "a.pha", "0a", "x.rmf", "path", "Path"], ids=lambda key: f"by {key}"
)
def test_mappings_in_place_of_links(put, key):
    folder = archive(put)
    path = f"{folder}/a.pha"
    key = {"path": path, "Path": Path(path)}.get(key, key)
    other = put("z.rmf", rmf(dense=DENSE * 3))
    none = dict(arf=None, background=None)
    assert factor(read_spectrum(path, response={key: other}, **none).response) == 3
    assert read_spectrum(path, response={key: None}, **none).response is None
    rsp = {key: folder + "/../rsp"}
    assert factor(read_spectrum(path, response=rsp, **none).response) == 1
    with pytest.raises(InputError, match=r"response= has no entry .* add 'b'"):
        read_spectrum(f"{folder}/b.pha", response={key: other}, **none)


def test_functions_in_place_of_links(put):
    folder = archive(put)
    three = read_response(put("z.rmf", rmf(dense=DENSE * 3)))
    behind = {"a": "optional", "b": None, "c": f"{folder}/../sky/deep/sky.pha"}
    spectra = read_pha(
        f"{folder}/*.pha",
        response=lambda s: three if s.header["OBS_ID"] == "0c" else f"{folder}/../rsp",
        arf=lambda s: None,
        background=lambda s: behind[s.name],
    )
    assert [factor(s.response) for s in spectra] == [1, 2, 3]
    assert [s.background is None for s in spectra] == [True, True, False]
    row = read_pha(f"{folder}/a.pha", background=lambda s: s.header["GONE"], on_error="status")[0]
    assert "background= ended in KeyError: 'GONE'" in row.message
    with pytest.raises(InputError, match="response is a int; give a path"):
        read_spectra(f"{folder}/a.pha", response=lambda s: 5, arf=None, background=None)


def test_backgrounds_that_may_be_absent(put, tmp_path):
    put("b.pha", pha(counts=COUNTS * 7))
    put("a1.pha", pha(BACKFILE="b.pha"))
    put("a2.pha", pha(BACKFILE="gone.pha"))
    put("a3.pha", pha(BACKFILE=f"{tmp_path}/../nowhere/gone.pha"))
    spectra = read_pha(str(tmp_path / "a*.pha"), background="optional")
    assert [s.background is None for s in spectra] == [False, True, True]
    assert said(spectra[1], "'gone.pha', but") and said(spectra[1], "read without background")
    with pytest.raises(InputError, match="background=None, or 'optional'"):
        read_pha(str(tmp_path / "a2.pha"))
    put("gone.pha", pha()[:3000])  # there, but damaged
    with pytest.raises(InputError, match="gone.pha"):
        read_pha(str(tmp_path / "a2.pha"), background="optional")


def test_remote_root_and_folders():
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/arch/rsp/deep/a.rmf.gz", gzip.compress(rmf(dense=DENSE * 2)))
    fs.pipe("/arch/obs/a.pha", pha(RESPFILE="../rsp/deep/a.rmf"))
    fs.pipe("/arch/obs/b.pha", pha(RESPFILE="a.rmf"))
    fs.pipe("/arch/obs/c.pha", pha(RESPFILE="../../other/a.rmf"))
    fs.pipe("/other/a.rmf", rmf())
    fs.pipe("/arch2/a.rmf", rmf())
    for name in "abc":
        s = read_spectrum(f"memory://arch/obs/{name}.pha", root="memory://arch")
        assert factor(s.response) == 2
    for folder in ("memory://arch/rsp/", "memory://arch/rsp"):
        s = read_spectrum("memory://arch/obs/b.pha", response=folder)
        assert factor(s.response) == 2
    fs.pipe("/arch/obs/d.pha", pha(RESPFILE="../../arch2/a.rmf"))
    fs.rm("/arch/rsp/deep/a.rmf.gz")
    with pytest.raises(InputError, match="leads out of the folder"):
        read_spectrum("memory://arch/obs/d.pha", root="memory://arch")


# ------------------------------------------------------------------ compressed files


def lzw(raw, bits=16):
    """Bytes as compress(1) writes them, without ever clearing the table; gzip reads them."""
    table, following, width = {bytes([i]): i for i in range(256)}, 257, 9
    stream, codes, word = bytearray(b"\x1f\x9d" + bytes([0x80 | bits])), [], b""

    def flush(size=None):
        value = sum(code << (width * i) for i, code in enumerate(codes))
        stream.extend(value.to_bytes(width if size is None else size, "little"))
        codes.clear()

    for byte in raw:
        longer = word + bytes([byte])
        if longer in table:
            word = longer
            continue
        codes.append(table[word])
        if len(codes) == 8:  # codes come in groups of eight, filled up where their width changes
            flush()
        if following < 1 << bits:
            table[longer], following = following, following + 1
            if following > 1 << width and width < bits:
                if codes:
                    flush()
                width += 1
        word = bytes([byte])
    codes.append(table[word])
    flush(-(-len(codes) * width // 8))
    return bytes(stream)


def test_files_of_compress(put):
    put("a.rmf.Z", lzw(rmf()))
    put("b.arf.Z", lzw(arf()))
    for name in ("a.pha.Z", "a.pha", "a.pha.gz"):
        path = put("a.pha.Z", lzw(pha(RESPFILE="a.rmf", ANCRFILE="b.arf")))
        s = read_spectrum(path.replace("a.pha.Z", name))
        assert s.name == "a" and np.array_equal(s.counts, COUNTS)
        assert np.array_equal(s.response.area, [10, 20, 30, 40])
    assert read_arf(put("named.arf", lzw(arf())))[2][0] == 10  # by its content
    rng = np.random.default_rng(1)
    for raw in (rng.integers(0, 4, 3000, np.uint8).tobytes(), rng.bytes(3000), b"\0" * 9000):
        assert decompress(lzw(raw), "a.Z") == raw
        assert decompress(lzw(raw, 10), "a.Z") == raw


def test_damaged_files_of_compress(put):
    whole = lzw(pha())
    for raw in (whole[:2], b"\x1f\x9d\x08" + whole[3:], whole[:40] + b"\xff" * 400, whole[:400]):
        with pytest.raises(InputError, match="a.pha.Z"):
            read_spectrum(put("a.pha.Z", raw))
