"""Every writer of the package, disturbed in all ways: run by test_files.py in a process of its own.

Writes one line for each writer: its name, how often it was killed, and what was wrong.
"""

import os
import resource
import signal
import sys
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from toy import toy_response, toy_spectrum
from toy_posterior import flat_posterior, toy_image

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.fit.joint_result import JointResult
from jaxspec.fit.rows import Rows
from jaxspec.read.write import write_rmf
from jaxspec.report.save import save
from jaxspec.run.folder import write_json
from jaxspec.sample.posteriors import Posteriors

STEPS = {"open", "os.rename", "os.link", "os.remove", "os.chmod", "os.truncate"}


def things(version):
    """What is written; a second version differs from the first."""
    spectrum = toy_spectrum(np.arange(32.0) + version, name=f"s{version}")
    spectra = js.SpectrumList([spectrum])
    result = Rows(js.Model("powerlaw"), spectra).result()
    posterior = flat_posterior(toy_image(seed=version), n_draw=40 + version)
    return spectrum, spectra, result, posterior


def joint(result, name):
    made = JointResult({name: result})
    made.slots, made.own = [[(name, 0)]], {}
    return made


def writers(version):
    """Name of the file and a function of the folder, for every writer."""
    spectrum, spectra, result, posterior = things(version)
    response = toy_response(32 + version, n_energy=40 + version)
    many = Posteriors(["a"], [posterior], [0], ["-"], result, 1.0)
    yield "a.pha", lambda d: js.write_pha(spectrum, d / "a.pha", overwrite=True)
    yield "a.pha.gz", lambda d: js.write_pha(spectrum, d / "a.pha.gz", overwrite=True)
    yield "a.arf", lambda d: js.write_arf(response, d / "a.arf", overwrite=True)
    yield "a.rsp", lambda d: js.write_response(response, d / "a.rsp", overwrite=True)
    yield "a.rmf", lambda d: write_rmf(response, d / "a.rmf", overwrite=True)
    image = toy_image(seed=version)
    yield "i.fits", lambda d: js.write_image(image, d / "i.fits", overwrite=True)
    few, elsewhere = image.replace(mask=image.counts <= version), "memory://every_writer/i.fits"
    yield (
        "m.fits",
        lambda d: js.write_image(few, elsewhere, mask=d / "m.fits", overwrite=True),
    )
    for end in ("ecsv", "fits", "parquet"):
        yield f"fit.{end}", lambda d, end=end: result.write(d / f"fit.{end}", overwrite=True)
    together = joint(result, f"a{version}")
    yield "joint.ecsv", lambda d: together.write(d / "joint.ecsv", overwrite=True)
    yield "many.ecsv", lambda d: many.write(d / "many.ecsv", overwrite=True)
    yield "p.nc", lambda d: posterior.save(d / "p.nc", overwrite=True)
    yield "spectra.png", lambda d: save(spectra, d, overwrite=True)
    yield "summary.json", lambda d: write_json(d, {"version": version, "long": "x" * 3000})


@contextmanager
def full_disk(size):
    """No file of this process may grow beyond some bytes, as on a disk without room."""
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


def killed(write, folder, step):
    """Write in a child that kills itself before a step on the folder; whether it came so far."""
    child = os.fork()
    if child == 0:
        count = [0]

        def watch(event, arguments):
            names = [a for a in arguments if isinstance(a, str | bytes | os.PathLike)]
            if event in STEPS and any(str(folder) in os.fsdecode(a) for a in names):
                count[0] += 1
                if count[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        write(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def cut_off(write, folder, size):
    """Write in a child that the system ends in the middle of a write, after some bytes."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        write(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXFSZ


def tried(name, first, second, folder):
    """What is wrong with one writer, and how often it was killed."""
    path, wrong, kills = folder / name, [], 0
    first(folder)
    before = path.read_bytes()
    for size in (0, len(before) // 2):
        with full_disk(size):
            try:
                second(folder)
                wrong.append("a full disk is no error")
            except InputError as error:
                if name not in str(error) and str(folder) not in str(error):
                    wrong.append(f"does not name the file: {error}")
        if path.read_bytes() != before:
            wrong.append("a full disk spoils the file")
        if len(left := list(folder.iterdir())) != 1:
            wrong.append(f"a full disk leaves {[p.name for p in left]}")
    if not cut_off(second, folder, len(before) // 2):
        wrong.append("was not cut off")
    if path.read_bytes() != before:
        wrong.append("an end in the middle of a write spoils the file")
    with tempfile.TemporaryDirectory() as other:
        second(Path(other))
        after = (Path(other) / name).read_bytes()
    if after == before:
        wrong.append("both versions are the same")
    while killed(second, folder, kills + 1):
        kills += 1
        if path.read_bytes() not in (before, after):
            wrong.append(f"killed at step {kills}: neither the old nor the new file")
    if path.read_bytes() != after:
        wrong.append("not written in the end")
    return kills, wrong


def main():
    warnings.simplefilter("ignore")
    for (name, first), (_, second) in zip(writers(1), writers(2), strict=True):
        with tempfile.TemporaryDirectory() as folder:
            kills, wrong = tried(name, first, second, Path(folder).resolve())
        print(name, kills, *wrong, sep="\t", flush=True)


if __name__ == "__main__":
    main()
