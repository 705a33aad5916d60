"""Compile the hot path's modules beside their sources: what `make` does first.

Each is an option: what imports it does the same in Python, with more CPU, where it was
not compiled. So a machine without a C compiler or Python's headers is told what it
lacks, and goes on (`--required`: stops). A result that is older than its source, or has
none any more, is removed before anything else: what is imported is never out of date.

The C is written to .cache and removed. A result is put in place whole, so that neither
an interrupted run nor a process that has the old one loaded is harmed. The compiler is
$CC, or the one that built this Python, or `cc`.
"""

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from Cython.Build import cythonize
from Cython.Compiler.Errors import CompileError
from setuptools import Distribution, Extension
from setuptools.errors import BaseError, CCompilerError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("codec", "proto", "relay", "runtime", "transceiver")

SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""How this Python's compiled modules end: another one's are not imported."""

FIELDS = "fields.py"
"""Python that compiled modules share fields with, in the room that its C gives them."""

SOURCES = (FIELDS, "*.pyx")
"""What is compiled, in order: none is ever in place without the fields it knows."""

FLAGS = ["-O2", "-g0", "-ffp-contract=off", "-Werror=incompatible-pointer-types"]
"""For any CPU of the kind; no fused arithmetic, whose figures are not Python's; and an
error with every compiler what is one with clang and the newer gcc."""


class Module(NamedTuple):
    """A module to compile: its dotted name, its source, and what is imported."""

    name: str
    source: Path
    result: Path


def main() -> int:
    """Compile what is new; return 1 for a compile error, or if required and missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--required", action="store_true", help="fail where nothing can be compiled"
    )
    required = parser.parse_args().required
    for path in outdated(ROOT):
        path.unlink()
    due = [module for module in modules(ROOT) if not module.result.exists()]
    if not due:
        return 0
    compiler = next(filter(compiles, candidates(os.environ)), None)
    if compiler is None:
        say(lack(sys.platform))
        return int(required)
    try:
        build(due, ROOT, compiler)
    except (CompileError, CCompilerError, BaseError) as error:  # shown by their tools
        say(f"failed: {error}")
        return 1
    return 0


def modules(root: Path) -> list[Module]:
    """Return what there is to compile."""
    return [
        Module(
            ".".join(source.relative_to(root).with_suffix("").parts),
            source,
            source.with_name(source.stem + SUFFIX),
        )
        for pattern in SOURCES
        for source in _files(root, pattern)
    ]


def outdated(root: Path) -> list[Path]:
    """Return the results, of any Python, that no longer are what their source says."""
    shared = [*_files(root, "*.pxd"), *_files(root, FIELDS)]
    return [
        result
        for result in _files(root, "*.so")
        if _is_outdated(result, [_source_of(result), *shared])
    ]


def candidates(environ: Mapping[str, str]) -> list[str]:
    """Return the commands to try as C compiler; one that was asked for is the only."""
    if asked := environ.get("CC", "").strip():
        return [asked]
    return [str(sysconfig.get_config_var("CC") or "cc"), "cc"]


def compiles(compiler: str) -> bool:
    """Whether a command is a C compiler that finds Python's headers, and libc's."""
    paths = {sysconfig.get_path(name) for name in ("include", "platinclude")}
    command = [*shlex.split(compiler), *(f"-I{path}" for path in paths)]
    command += ["-E", "-x", "c", "-"]
    try:
        done = subprocess.run(
            command, input=b"#include <Python.h>\n", capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def lack(platform: str) -> str:
    """Return what to say where nothing can be compiled."""
    install = f"apt-get install gcc python3.{sys.version_info.minor}-dev"
    if platform == "darwin":
        install = "xcode-select --install"
    return (
        "no C compiler, or no Python.h: about a sixth fewer calls on a core, "
        f"nothing else is lost; to have them: {install}"
    )


def build(due: Iterable[Module], root: Path, compiler: str) -> None:
    """Compile modules and put them in place.

    Raises:
        CompileError: Cython does not accept a source, and has said why.
        CCompilerError: The compiler does not accept Cython's, and has said why.
        BaseError: The compiler cannot be started.
    """
    cache = root / ".cache"
    cache.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=cache, prefix="compile-") as scratch,
        contextlib.chdir(root),  # for the names in tracebacks
    ):
        os.environ["CC"] = compiler  # setuptools is told in no other way
        for module in due:
            say(f"compiling {module.name}")
            source = str(module.source.relative_to(root))
            extension = Extension(module.name, [source], extra_compile_args=FLAGS)
            extensions = cythonize(extension, build_dir=scratch, quiet=True)  # type: ignore[no-untyped-call]  # of Cython's
            distribution = Distribution({"ext_modules": extensions})
            command = distribution.get_command_obj("build_ext")
            command.build_lib = command.build_temp = scratch
            command.ensure_finalized()
            command.run()
            os.replace(command.get_ext_fullpath(module.name), module.result)


def say(line: str) -> None:
    """Tell on standard error what takes time, or is amiss."""
    print(f"compile: {line}", file=sys.stderr, flush=True)


def _source_of(result: Path) -> Path:
    name = result.name.partition(".")[0]
    return result.with_name(FIELDS if f"{name}.py" == FIELDS else f"{name}.pyx")


def _is_outdated(result: Path, sources: Iterable[Path]) -> bool:
    written_ns = result.stat().st_mtime_ns
    return any(
        not source.exists() or source.stat().st_mtime_ns > written_ns
        for source in sources
    )


def _files(root: Path, pattern: str) -> list[Path]:
    return sorted(path for name in PACKAGES for path in (root / name).rglob(pattern))


if __name__ == "__main__":
    sys.exit(main())
