"""Build and run the image without a container engine: the steps of the Dockerfile, in a root made by debootstrap.

It needs root, debootstrap and unshare, and uses mount and process namespaces, a read-only root and a user without capabilities.
Layers, container networks and other processors are not covered.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_IN_SLIM = ("doc", "man", "info", "locale", "groff", "linda", "lintian")
"""Folders of /usr/share that Debian's slim images leave out."""
_APT_CLEAN = """
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
"""Apt settings of those images."""
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_OLD_MIRRORS = b'Acquire::Check-Valid-Until "false";\n'
"""A local mirror may be some weeks old. Signatures are still checked."""

# The mounts are in their own namespace, so they always end with it.
_ENTER = """
set -e
root=$1 data=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
if [ -n "$data" ]; then
    mount -o remount,bind,ro "$root"
    mount --bind "$data" "$root/data"
    mount -t tmpfs tmpfs "$root/tmp"
fi
exec chroot "$root" "$@"
"""


@dataclass
class Image:
    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    folder: str = "/"
    user: str = "0:0"
    labels: str = ""
    volume: str = ""
    port: str = ""
    stop_signal: str = ""
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def argv(self, command: Sequence[str], environment: Mapping[str, str], data: Path | None = None) -> list[str]:
        """Return the arguments that run a command: in the finished image if `data` is given, else as a build step."""
        uid, _, gid = self.user.partition(":")
        keep = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if data else []
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh"]
        argv += [str(self.root), str(data or ""), "setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", *keep]
        given = {**self.environment, **environment}
        argv += ["env", "--ignore-environment", f"--chdir={self.folder}", *(f"{k}={v}" for k, v in given.items())]
        return [*argv, *command]


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    lines = [line for line in dockerfile.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for whole in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, text = whole.partition(" ")
        yield word, text.strip()


def build(dockerfile: Path, folder: Path) -> tuple[Image, Path]:  # noqa: PLR0912  # one branch for each instruction
    """Build all stages. Return the last one, and the root of its base image."""
    stages: dict[str, Image] = {}
    image, fetched = Image(folder), folder
    for word, text in instructions(dockerfile):
        print(f"{word} {text}", flush=True)
        match word:
            case "FROM":
                source, _, name = text.partition(" AS ")
                image = Image(folder / f"stage-{len(stages)}")
                if source in stages:
                    image.environment = dict(stages[source].environment)
                    _copy(stages[source].root, image.root)
                else:
                    fetched = _bootstrap(source, folder)
                    _copy(fetched, image.root)
                stages[name or "last"] = image
            case "RUN":
                _run(image, _form(text))
            case "COPY":
                _copy_files(text, image, stages)
            case "ENV":
                for pair in shlex.split(text):
                    name, _, value = pair.partition("=")
                    image.environment[name] = value.replace("$PATH", image.environment["PATH"])
            case "WORKDIR":
                image.folder = text
                (image.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "HEALTHCHECK":
                image.health = _form(text.partition("CMD ")[2])
            case "ENTRYPOINT":
                image.entrypoint = _form(text)
            case "CMD":
                image.command = _form(text)
            case "USER" | "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL":
                members = {"LABEL": "labels", "EXPOSE": "port", "STOPSIGNAL": "stop_signal"}
                setattr(image, members.get(word, word.lower()), text)
            case _:
                sys.exit(f"{dockerfile.name} has the instruction {word}, which this rehearsal does not support.")
    return image, fetched


def _bootstrap(name: str, folder: Path) -> Path:
    found = re.fullmatch(r"debian:([a-z]+)-slim", name)
    if not found:
        sys.exit(f"FROM {name}: expected debian:SUITE-slim.")
    root = folder / "fetched"
    subprocess.run(["debootstrap", "--variant=minbase", found[1], root], check=True, stdout=subprocess.DEVNULL)
    kept = "".join(f"path-exclude /usr/share/{left_out}/*\n" for left_out in _NOT_IN_SLIM)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(kept + "path-include /usr/share/doc/*/copyright\n")
    for left_out in _NOT_IN_SLIM:
        shutil.rmtree(root / "usr/share" / left_out, ignore_errors=True)
    (root / "etc/apt/apt.conf.d/docker-clean").write_text(_APT_CLEAN)
    for place in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / place)
    return root


def _form(text: str) -> list[str]:
    return list(json.loads(text)) if text.startswith("[") else ["/bin/sh", "-c", text]


def _run(image: Image, command: Sequence[str]) -> None:
    """Run a build step with the network settings of this machine, which are removed afterwards."""
    carried = {"/etc/resolv.conf": Path("/etc/resolv.conf").read_bytes(), "/tmp/apt": _OLD_MIRRORS}
    given = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    given["APT_CONFIG"] = "/tmp/apt"
    if _CERTIFICATES.exists():
        carried["/tmp/certificates"] = _CERTIFICATES.read_bytes()
        given["PIP_CERT"] = "/tmp/certificates"
    for place, content in carried.items():
        (image.root / place[1:]).write_bytes(content)
    subprocess.run(image.argv(command, given), check=True, stdin=subprocess.DEVNULL)
    for place in carried:
        (image.root / place[1:]).unlink()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--archive", "--reflink=auto", source, target], check=True)


def _copy_files(text: str, image: Image, stages: dict[str, Image]) -> None:
    *options, source, target = text.split()
    place = image.root / PurePosixPath(image.folder, target).relative_to("/")
    if options:
        ((_, stage),) = (option.split("=") for option in options)
        _copy(stages[stage].root / source.lstrip("/"), place)
        return
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in kept if source == "." else [source]:
        whole, goal = ROOT / name, place / name if source == "." else place
        if whole.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(whole, goal, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(whole, goal)


def try_out(image: Image, folder: Path) -> None:
    data = folder / "data"
    shutil.copytree(image.root / image.volume.lstrip("/"), data)
    shutil.copystat(image.root / image.volume.lstrip("/"), data)
    shutil.chown(data, *map(int, image.user.split(":")))
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])

    def inside(*command: str) -> subprocess.CompletedProcess[str]:
        argv = image.argv(command, {"TVARR_SERVER_PORT": port}, data)
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    refused = inside("touch", "/usr/written", "/opt/tvarr-backup/written")
    assert refused.stderr.count("Read-only file system") == 2, refused
    started = time.monotonic()
    with (folder / "log").open("wb") as log:
        argv = image.argv([*image.entrypoint, *image.command], {"TVARR_SERVER_PORT": port}, data)
        running = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
    try:
        while not _answers(f"http://127.0.0.1:{port}/admin/login/"):
            assert running.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        print(f"start of a new installation: {time.monotonic() - started:.1f} s until the first page")
        healthy = inside(*image.health)
        print(f"health check: exit status {healthy.returncode} {healthy.stderr.strip()[-200:]}")
        made = inside(*image.entrypoint, "backup", "create", "--json")
        assert made.returncode == 0, made.stderr
        print(f"backup: {json.loads(made.stdout)['filename']}")
        (first,) = map(int, Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split())
        started = time.monotonic()
        os.kill(first, getattr(signal, image.stop_signal))
        print(f"stop: exit status {running.wait(timeout=20)} after {time.monotonic() - started:.1f} s")
    finally:
        running.kill()
        print((folder / "log").read_text())
    if healthy.returncode or running.returncode:
        sys.exit("The image does not work. See above.")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as page:
            return bool(page.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _mebibytes(folder: Path) -> int:
    done = subprocess.run(["du", "--summarize", "--bytes", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0]) >> 20


def main() -> None:
    missing = [name for name in ("debootstrap", "unshare", "setpriv") if not shutil.which(name)]
    if os.geteuid() != 0 or missing:
        sys.exit(f"The rehearsal needs root, debootstrap and util-linux. Missing: {missing or 'root'}.")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        sys.exit("The rehearsal needs namespaces, which this machine does not allow.")
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        started = time.monotonic()
        image, fetched = build(ROOT / "Dockerfile", folder)
        print(f"built in {time.monotonic() - started:.0f} s")
        ours = image.root / "opt/tvarr-backup"
        sizes = (_mebibytes(image.root), _mebibytes(fetched), _mebibytes(ours))
        print("size: {} MiB unpacked, of which Debian {} MiB, tvarr-backup with its libraries {} MiB".format(*sizes))
        try_out(image, folder)


if __name__ == "__main__":
    main()
