"""Runs a function in a forked process, which may mount disks and drop root's right to ignore file modes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import pickle
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

_NEW_MOUNTS, _NEW_USER = 0x0002_0000, 0x1000_0000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 1 << 5, 1 << 12, 1 << 14, 1 << 18
_IGNORE_MODES = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
_CAPABILITY_VERSION = 0x2008_0522
_libc = ctypes.CDLL(None, use_errno=True)


class CannotRun(Exception):
    """This machine, or the user who runs the tests, cannot create a state."""


def apart(work: Callable[[], Any], folder: Path, *, seconds: float = 60) -> Any:
    """Return the result of `work` in a forked process, whose output goes to `folder/output.log`.

    Raises exceptions of `work` as an `AssertionError` with the traceback, except `CannotRun`. Kills a process that is
    too slow.
    """
    result = folder / "result"
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of pytest-xdist do nothing that matters here
        pid = os.fork()
    if pid == 0:
        _child(work, folder, result)
    descriptor = os.pidfd_open(pid)
    try:
        in_time, _, _ = select.select([descriptor], [], [], seconds)
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    finally:
        os.close(descriptor)
    if not in_time:
        raise TimeoutError(f"not within {seconds:.0f} s")
    ended, value = pickle.loads(result.read_bytes())
    if ended == "cannot run":
        raise CannotRun(value)
    assert ended == "returned", value
    return value


def _child(work: Callable[[], Any], folder: Path, result: Path) -> None:
    descriptor = os.open(result, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # before any disk is mounted
    try:
        log = os.open(folder / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for standard in (1, 2):
            os.dup2(log, standard)
        outcome = ("returned", work())
    except CannotRun as problem:
        outcome = ("cannot run", str(problem))
    except BaseException:  # noqa: BLE001  # the parent raises it
        outcome = ("raised", traceback.format_exc())
    os.write(descriptor, pickle.dumps(outcome))
    os._exit(0)


class Forks:
    """A process that warms up once, and then forks for each call of a function."""

    def __init__(self, work: Callable[..., Any], folder: Path, warm_up: Callable[[], object]) -> None:
        self._requests, child_requests = multiprocessing.Pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            self._requests.close()
            self._serve(work, folder, warm_up, child_requests)
        child_requests.close()

    def run(self, folder: Path, *arguments: Any, seconds: float = 60) -> Any:
        """Return the result of the function in a forked process, as `apart` does."""
        self._requests.send((folder, arguments, seconds))
        ended, value = self._requests.recv()
        if ended == "raised":
            raise value
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._requests.close()
        os.waitpid(self._pid, 0)

    @staticmethod
    def _serve(work: Callable[..., Any], folder: Path, warm_up: Callable[[], object], requests: Any) -> None:
        log = os.open(folder / "forks.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for standard in (1, 2):
            os.dup2(log, standard)
        try:
            warm_up()
            gc.freeze()
            while True:
                place, arguments, seconds = requests.recv()
                try:
                    value = apart(lambda: work(*arguments), place, seconds=seconds)  # noqa: B023  # called here
                    requests.send(("returned", value))
                except (CannotRun, AssertionError, TimeoutError) as problem:
                    requests.send(("raised", problem))
        except EOFError:
            os._exit(0)
        except BaseException:  # noqa: BLE001  # nothing else reports it
            os.write(2, traceback.format_exc().encode())
            os._exit(1)


def own_mounts() -> None:
    """Give this process its own mount namespace. Raises `CannotRun`."""
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_NEW_MOUNTS if user == 0 else _NEW_MOUNTS | _NEW_USER):
        raise CannotRun(f"no mount namespace (unshare: {os.strerror(ctypes.get_errno())})")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _mount(None, Path("/"), None, _RECURSIVE | _PRIVATE)


def small_disk(place: Path, size: int) -> None:
    """Mount a disk in memory of this size, which hides the contents of the folder."""
    _mount("tmpfs", place, "tmpfs", 0, f"size={size},mode=0700")


def make_read_only(place: Path) -> None:
    """Mount a folder over itself, read-only."""
    _mount(str(place), place, None, _BIND)
    _mount(str(place), place, None, _BIND | _REMOUNT | _READ_ONLY)


def fill(place: Path) -> None:
    """Write a file that fills a disk to the last byte."""
    descriptor = os.open(place / "a film.mkv", os.O_WRONLY | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while os.write(descriptor, bytes(size)):
                    pass
    os.close(descriptor)


def _mount(source: str | None, target: Path, kind: str | None, flags: int, options: str = "") -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else os.fsencode(text)

    if _libc.mount(encoded(source), os.fsencode(target), encoded(kind), flags, os.fsencode(options)):
        raise CannotRun(f"no mount at {target.name} ({os.strerror(ctypes.get_errno())})")


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Set(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextlib.contextmanager
def heeding_modes() -> Iterator[None]:
    """Apply file modes to this process and the threads it starts, even as root."""
    with _capabilities(_effective() & ~_IGNORE_MODES):
        yield


@contextlib.contextmanager
def ignoring_modes() -> Iterator[None]:
    """Let root read everything, within `heeding_modes`."""
    with _capabilities(_effective() | (_IGNORE_MODES if os.geteuid() == 0 else 0)):
        yield


def heeds_modes() -> bool:
    """Return whether file modes apply to this process."""
    return not _effective() & _IGNORE_MODES


@contextlib.contextmanager
def _capabilities(wanted: int) -> Iterator[None]:
    before = _effective()
    _set_effective(wanted)
    try:
        yield
    finally:
        _set_effective(before)


def _effective() -> int:
    header, sets = _Header(_CAPABILITY_VERSION, 0), (_Set * 2)()
    _libc.capget(ctypes.byref(header), ctypes.byref(sets))
    return int(sets[0].effective)


def _set_effective(wanted: int) -> None:
    header, sets = _Header(_CAPABILITY_VERSION, 0), (_Set * 2)()
    _libc.capget(ctypes.byref(header), ctypes.byref(sets))
    sets[0].effective = wanted & sets[0].permitted
    _libc.capset(ctypes.byref(header), ctypes.byref(sets))
