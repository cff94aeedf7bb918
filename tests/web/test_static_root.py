"""Files of one directory: no link leads out of it, nothing hidden is shown, nothing but a file is opened."""

from __future__ import annotations

import os

import pytest

from p2pool.web.static_files import MAX_KEPT_FILE
from tests.logged import logged
from tests.web.pages import Pool

SECRET = b"nobody may read this"


@pytest.fixture
def root(tmp_path):
    """The directory that is served, with secrets beside it and links of all kinds in it."""
    pages, outside = tmp_path / "pages", tmp_path / "outside"
    (pages / "sub").mkdir(parents=True)
    (outside / "deep").mkdir(parents=True)
    (pages / "index.html").write_text("first page")
    (pages / "sub" / "x.txt").write_text("x")
    for place in (outside, outside / "deep"):
        (place / "secret").write_bytes(SECRET)
        (place / "index.html").write_bytes(SECRET)
    (tmp_path / "pages-secret").write_bytes(SECRET)
    (outside / "large").write_bytes(SECRET * (MAX_KEPT_FILE // len(SECRET) + 1))
    for name, target in {
        "file": outside / "secret",
        "relative": "../outside/secret",
        "directory": outside,
        "twice": "file",
        "large": outside / "large",
        "neighbour": tmp_path / "pages-secret",
        "index.htm": outside / "secret",
        "up": "..",
        "loop": "loop",
        "dangling": "nowhere",
        "passwd": "/etc/passwd",
        "sub/up": "../../outside/secret",
    }.items():
        (pages / name).symlink_to(target)
    (pages / "only-index").mkdir()
    (pages / "only-index" / "index.html").symlink_to(outside / "secret")
    return pages


@pytest.mark.parametrize(
    "path",
    [
        *(
            "file",
            "relative",
            "directory",
            "directory/",
            "directory/secret",
            "directory/deep/secret",
            "twice",
            "large",
        ),
        *("neighbour", "up", "up/outside/secret", "up/pages-secret", "loop", "dangling", "passwd", "sub/up"),
        *("index.htm", "only-index/", "only-index/index.html", "up/", "file/"),
    ],
)
def test_a_link_out_of_the_directory_leads_nowhere(root, path):
    pool = Pool(web_static=root)
    for method in ("GET", "HEAD"):
        with logged() as log:
            answer = pool.ask("/static/" + path, method)
        assert answer.status == 404
        assert SECRET not in answer.body
        assert not log.tracebacks


def test_links_within_the_directory_and_to_it_are_followed(root, tmp_path):
    (root / "inside").symlink_to("sub")
    (root / "page").symlink_to(root / "index.html")
    (root / "sub" / "top").symlink_to("../index.html")
    (tmp_path / "current").symlink_to(root)
    for place in (root, tmp_path / "current"):
        pool = Pool(web_static=place)
        for path, body in (("inside/x.txt", b"x"), ("page", b"first page"), ("sub/top", b"first page")):
            answer = pool.ask("/static/" + path)
            assert (answer.status, answer.body) == (200, body)
    # A release that takes the place of another one is served at once.
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "index.html").write_text("next")
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("next")
    assert pool.ask("/static/index.html").body == b"next"


@pytest.mark.parametrize("name", [".env", ".git/config", ".htpasswd", "sub/.hidden", "%2eenv", ".%65nv"])
def test_hidden_files_stay_hidden(root, name):
    for path in (root / ".env", root / ".git" / "config", root / ".htpasswd", root / "sub" / ".hidden"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(SECRET)
    answer = Pool(web_static=root).ask("/static/" + name)
    assert answer.status == 404
    assert SECRET not in answer.body


def test_what_is_no_file_is_not_opened(root):
    os.mkfifo(root / "pipe")  # to open one waits for its other end: for ever, and the whole node with it
    (root / "device").symlink_to("/dev/zero")
    (root / "unreadable.bin").write_bytes(b"x" * (MAX_KEPT_FILE + 1))
    pool = Pool(web_static=root)
    for name in ("pipe", "device"):
        assert pool.ask("/static/" + name).status == 404
