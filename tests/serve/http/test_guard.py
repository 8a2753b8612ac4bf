# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that the guard of a server refuses, and answers that it makes safe."""

import contextlib
import hashlib
import json
import socket
import time

import httpx
import pytest
from starlette.requests import Request

from mugv_jax.serve.http import guard, running
from mugv_jax.serve.http.app import make_app
from mugv_jax.serve.http.body import json_object
from mugv_jax.serve.http.errors import too_many
from mugv_jax.serve.http.guard import Policy
from mugv_jax.serve.http.keys import Keys
from tests.serve.threads import serving

KEY = "k" * 20
MOST = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of a server with a page, a key and one path for every kind of answer."""
    page = tmp_path_factory.mktemp("page")
    (page / "index.html").write_text("<p>page</p>")
    (page.parent / "secret").write_text("secret")
    (page / "link").symlink_to(page.parent / "secret")
    keys = Keys({hashlib.sha256(KEY.encode()).hexdigest(): "anna"})
    policy = Policy(who=keys.who, hosts=("Videos.Example",), most_bytes=lambda _: MOST)
    app = make_app("test", policy, page=page)

    @app.post("/echo")
    async def echo(request: Request) -> dict:
        return {"owner": request.state.owner, "body": await json_object(request)}

    @app.get("/fail")
    async def fail() -> dict:
        raise RuntimeError("inner detail")

    @app.get("/busy")
    async def busy() -> dict:
        raise too_many("later.", 2.4, "busy")

    @app.get("/large")
    async def large() -> dict:
        return {"text": "x" * 20_000_000}

    with serving(app) as address:
        yield address


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


def error(answer, status):
    assert answer.status_code == status, answer.text
    found = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


def raw(server, content, *, wait_s=5.0):
    """Everything that the server says to these bytes until it closes the connection."""
    with socket.create_connection((server.host, server.port), timeout=wait_s) as connection:
        connection.sendall(content)
        said = b""
        while part := connection.recv(65536):
            said += part
        return said


def gone(connection):
    """Whether the kernel knows that the other side has ended a connection."""
    try:
        connection.send(b"x")
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_a_key_says_who_asks(client):
    answer = client.post("/echo", json={"a": 1})
    assert answer.json() == {"owner": "anna", "body": {"a": 1}}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
    ],
)
def test_nothing_but_the_page_is_answered_without_a_key(server, header):
    found = httpx.post(server.url + "echo", json={}, headers=header)
    assert error(found, 401)["type"] == "authentication_error"
    assert found.headers["www-authenticate"] == "Bearer"
    assert error(httpx.get(server.url + "nothing", headers=header), 401)
    for public in ("", "static/index.html"):
        assert httpx.get(server.url + public, headers=header).text == "<p>page</p>"


def test_every_answer_has_safe_headers(client):
    for path in ("/", "/static/index.html", "/nothing", "/fail", "/busy"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "localhost:80:80",
        "localhost@evil.example",
    ],
)
def test_a_name_that_is_not_the_servers_is_refused(client, host):
    assert (
        error(client.post("/echo", json={}, headers={"Host": host}), 400)["code"] == "unknown_host"
    )


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "[::1]:8000", "10.1.2.3", "videos.example"]
)
def test_names_of_the_server_are_known(client, host):
    assert client.post("/echo", json={}, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(client, headers):
    assert error(client.post("/echo", json={}, headers=headers), 403)["code"] == "cross_site"


def test_the_servers_own_page_may(server, client):
    origin = server.url.removesuffix("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/echo", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused(client, chunked):
    body = b'"' + b"x" * 2 * MOST + b'"'
    answer = client.post("/echo", content=iter([body]) if chunked else body)
    assert f"at most {MOST} bytes" in error(answer, 413)["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 900,
        b'{"a": 1e999}',
        b'{"a": NaN}',
        b"[1]",
        b"\xff",
        b'{"a": ' + b"9" * 900 + b"}",
        b'{"a": "\\ud800"}',
    ],
)
def test_a_body_that_is_no_plain_object_is_refused(client, body):
    assert error(client.post("/echo", content=body), 400)["code"] == "invalid_json"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static//etc/passwd",
        "/static/%00",
        "/static/link",
        "/static/",
        "/static/..\\secret",
        "/static/%252e%252e/secret",
    ],
)
def test_only_files_of_the_page_are_served(server, path):
    said = raw(
        server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert said.split()[1] in (b"404", b"401", b"400", b"405")
    assert b'secret"' not in said.replace(path.encode(), b"")
    assert b"root:" not in said


def test_a_failure_tells_no_detail_and_the_server_goes_on(client):
    found = error(client.get("/fail"), 500)
    assert found["type"] == "server_error"
    assert "inner" not in found["message"]
    assert client.post("/echo", json={}).status_code == 200


def test_a_refusal_says_when_to_try_again(client):
    answer = client.get("/busy")
    assert error(answer, 429)["code"] == "busy"
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: localhost\r\n"]
)
def test_a_client_that_sends_no_headers_is_left(server, begun, monkeypatch):
    monkeypatch.setattr(running, "HEADERS_S", 0.1)
    with contextlib.suppress(ConnectionResetError):
        assert raw(server, begun) == b""


def test_a_client_that_sends_its_body_slowly_is_left(server, monkeypatch):
    monkeypatch.setattr(guard, "BODY_S", 0.1)
    head = f"POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    said = raw(server, f"{head}Content-Length: 10\r\n\r\n123".encode())
    assert said.split()[1] == b"408"
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"


def test_a_client_that_does_not_read_is_left(server, monkeypatch):
    monkeypatch.setattr(running, "READ_S", 0.1)
    request = f"GET /large HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        read = connection.recv(100)
        assert read
        deadline = time.monotonic() + 10
        while not gone(connection):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 400_000,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # smuggles a request past a proxy
    ],
    ids=range(8),
)
def test_what_is_no_request_is_refused(server, garbage):
    said = b""
    with contextlib.suppress(ConnectionResetError):
        said = raw(server, garbage)
    assert said[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    assert httpx.get(server.url).status_code == 200
