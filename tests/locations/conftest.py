"""Locations of each kind."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.locations.certificates import Authority
from tests.locations.places import SOURCE_BYTES, FolderPlace
from tests.locations.s3_server import S3Place, S3Server, running_moto
from tests.locations.sshd import SSHD, running_sshd
from tests.locations.webdav_server import WebDAV, running_webdav
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.stores import FileSource

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> FileSource:
    """Random bytes, more than a store sends in one piece."""
    path = tmp_path_factory.mktemp("source") / "archive"
    path.write_bytes(os.urandom(SOURCE_BYTES))
    return FileSource(path, SOURCE_BYTES, tag="sha256:one")


@pytest.fixture
def folder_place(tmp_path: Path) -> FolderPlace:
    root = tmp_path / "mnt"
    root.mkdir()
    address = read_address(LocationKind.FOLDER, {"path": str(root)})
    return FolderPlace(address, address.with_options(path=str(tmp_path / "not mounted")), root)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def s3_place(s3_server: S3Server) -> S3Place:
    return S3Place(s3_server, f"backups-{next(_numbers)}")


@pytest.fixture(scope="session")
def sftp_server() -> Iterator[SSHD]:
    with running_sshd() as server:
        yield server


@pytest.fixture
def sftp_place(sftp_server: SSHD) -> FolderPlace:
    root = sftp_server.folder / f"of {next(_numbers)}"
    root.mkdir()
    address = sftp_server.address.with_options(path=str(root))
    return FolderPlace(address, address.with_options(path=f"{root}-missing"), root)


@pytest.fixture(scope="session")
def webdav_server() -> Iterator[WebDAV]:
    with running_webdav() as server:
        yield server


@pytest.fixture
def webdav_place(webdav_server: WebDAV) -> FolderPlace:
    name = f"of {next(_numbers)}"
    root = webdav_server.folder / name
    root.mkdir()
    address = webdav_server.address.with_options(url=f"{webdav_server.address.options['url']}/{quote(name)}")
    return FolderPlace(address, address.with_options(url=f"{address.options['url']}-missing"), root)
