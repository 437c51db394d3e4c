"""The user's environment: keys, proxies, the own network, files saved by other programs; over sockets."""

import asyncio
import base64
import hashlib
import json
import os
import socket
import ssl
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer

import httpx
import openai
import pytest

from medinstruct import llm, models, network, params, paths, records
from medinstruct.errors import UserError
from medinstruct.pipeline import doctor, sweep

KEY = "sk-abcdefgh12345"
SECRET = "abcdefgh12345"
PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "all", "no")]
ANSWER = {"role": "assistant", "content": "Rest and ice."}
ROW = {"id": "m", "object": "model", "created": 0, "owned_by": "us"}
DEAD = "127.0.0.1:9"
HOSPITAL = "http://llm.hospital.test/v1"


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """An environment without keys and proxies, and a doctor that has asked no server yet."""
    for name in [*PROXIES, *map(str.upper, PROXIES), "OPENAI_API_KEY", "HF_TOKEN"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDINSTRUCT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("medinstruct.llm.retry.FIRST_RETRIES", 0)
    doctor.served.cache_clear()


class Api(BaseHTTPRequestHandler):
    """A server of one model and of files, which also is a proxy: it answers for every host."""

    status, files, error = 200, {}, ""

    def answer(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body * (self.command != "HEAD"))

    def handle_any(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.seen.append((self.command, self.path, self.headers))
        choice = {"index": 0, "message": ANSWER, "finish_reason": "stop"}
        chat = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
        body = {"object": "list", "data": [ROW]} if "/models" in self.path else chat
        body = body if "/models" in self.path else body | {"choices": [choice]}
        name = self.path.partition("?")[0].rpartition("/")[2]
        if self.status != 200:
            return self.answer(self.error.encode(), self.status)
        if name in self.files:
            content, headers = self.files[name]
            return self.answer(content, **headers)
        self.answer(json.dumps(body).encode(), Content_Type="application/json")

    do_GET = do_POST = do_HEAD = do_CONNECT = handle_any

    def log_message(self, *_):
        pass


@contextmanager
def serving(server):
    with server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def api(**attributes):
    """The address of an `Api`, as host:port, and what it was asked: method, path, headers."""
    handler = type("Handler", (Api,), attributes)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        server.seen = []
        yield f"127.0.0.1:{server.server_port}", server.seen


@contextmanager
def socks(place, *, login=b""):
    """The address of a SOCKS5 proxy that leads everywhere to `place`, and the hosts it was asked."""
    seen = []

    class Server(ThreadingTCPServer):
        daemon_threads = True

    class Socks(StreamRequestHandler):
        def handle(self):
            methods = self.rfile.read(self.rfile.read(2)[1])
            self.wfile.write(b"\x05\x02" if 2 in methods else b"\x05\x00")
            if 2 in methods:
                user = self.rfile.read(self.rfile.read(2)[1])
                ok = user + b":" + self.rfile.read(self.rfile.read(1)[0]) == login
                self.wfile.write(b"\x01\x00" if ok else b"\x01\x01")
                if not ok:
                    return
            seen.append(self.rfile.read(self.rfile.read(5)[4] + 2)[:-2].decode())
            self.wfile.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            host, port = place.split(":")
            with socket.create_connection((host, int(port))) as there:
                back = threading.Thread(target=self.pipe, args=(there, self.connection))
                back.start()
                self.pipe(self.connection, there)
                back.join()

        def pipe(self, source, target):
            while data := source.recv(9000):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with serving(Server(("127.0.0.1", 0), Socks)) as server:
        yield f"127.0.0.1:{server.server_address[1]}", seen


def ask(url, **fields):
    client = llm.Client(url=url, model="m", **fields)
    request = llm.Request(messages=[{"role": "user", "content": "What helps a sprain?"}])
    return asyncio.run(client.ask_all([request]))[0].text


def look(url, **values):
    """What the doctor says of a profile whose teacher is at this address: obstacles, remarks."""
    values = params.merged("demo") | {"teacher": f"m@{url}"} | values
    return [" ".join(row) for row in doctor.obstacles(values)], list(doctor.remarks(values))


# Keys


@pytest.mark.parametrize(
    "form",
    ["{}\r", " {} ", "{}\r\n", "\t{}\n", "\ufeff{}", "{}\u200b", "\xa0{}\u2060", '"{}"', "'{}'"]
    + ["“{}”", "‘{}’", "„{}“", " «{}» ", '\ufeff"{}" \r\n', "{}\\r", "`{}`"],
)
def test_what_surrounds_a_key_is_no_part_of_it(form, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", form.format(KEY))
    with api() as (place, seen):
        assert ask(f"http://{place}/v1") == ANSWER["content"]
    assert seen[0][2]["Authorization"] == f"Bearer {KEY}"


BAD = {
    "blank": ["sk-abcd efgh12345", f"{KEY}\n{KEY}", "sk-abcdefgh12345 # mine"],
    "placeholder": ["…", "sk-…", "...", "sk-...", "<your key>", "your-api-key", "YOUR_API_KEY_HERE"]
    + ["sk-xxxxxxxxxxxx", "$OPENAI_API_KEY", "${MY_KEY}", "%KEY%", "sk-proj-****abcd", "{{ key }}"],
    "words before": [f"Bearer {KEY}", f"export OPENAI_API_KEY={KEY}", f"OPENAI_API_KEY={KEY}"]
    + [f"Authorization: Bearer {KEY}", f"set X={KEY}", f'$env:OPENAI_API_KEY="{KEY}'],
    "no key has": ["sk-abcd”efgh12345", "sk-äbcdefgh12345", "sk-\u200babcdefgh", "sk-ab\x07cdefgh"]
    + ["sk-abcd\x7fefgh", "ｓｋ-abcdefgh12345", "sk–abcdefgh12345", "sk-аbcdefgh12345"],
}


@pytest.mark.parametrize("fault, text", [(fault, text) for fault in BAD for text in BAD[fault]])
def test_what_can_be_no_key_is_refused_without_showing_it(fault, text, monkeypatch):
    monkeypatch.setenv("SOME_KEY", text)
    with pytest.raises(UserError, match=f"SOME_KEY holds no usable key(.|\n)*{fault}") as caught:
        ask("http://127.0.0.1:9/v1", key="SOME_KEY")
    shown = str(caught.value)
    assert text not in shown and not any(
        piece in shown for piece in ("efgh", "sk-", "abcd", "12345")
    )


@pytest.mark.parametrize(
    "text", ["EMPTY", "none", "x", "ollama", "sk-no-key-required", "p@ss=w0rd!$1", "aGVsbG8gd29=="]
)
def test_the_keys_of_local_servers_and_gateways_are_keys(text, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", text)
    assert network.key("OPENAI_API_KEY") == text


@pytest.mark.parametrize("text", ["", "  ", '""', "\r\n", "“”"])
def test_an_empty_key_is_not_set(text, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", text)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        ask(HOSPITAL)


@pytest.mark.parametrize("key, echo", [(KEY, KEY), (f" {KEY}\r", KEY), (KEY, "sk-abcde*****2345")])
def test_a_key_that_a_server_repeats_is_not_shown(key, echo, monkeypatch):
    monkeypatch.setenv("CLINIC_KEY", key)
    error = f'{{"error": {{"message": "Wrong key: {echo}."}}}}'
    refused = pytest.raises(UserError, match="CLINIC_KEY was refused")
    with api(status=401, error=error) as (place, _), refused as caught:
        ask(f"http://{place}/v1", key="CLINIC_KEY")
    assert "Wrong key: [key]." in str(caught.value) and "abcde" not in str(caught.value)


def test_a_key_of_one_letter_leaves_a_servers_words_whole(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    error = '{"error": {"message": "The maximum exceeds six."}}'
    with api(status=400, error=error) as (place, _), pytest.raises(UserError, match="exceeds six"):
        ask(f"http://{place}/v1")


def test_the_doctor_says_of_a_key_what_the_run_says(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-…")
    with api() as (place, seen):
        rows, _ = look(f"http://{place}/v1")
    (row,) = rows
    assert row.startswith("OPENAI_API_KEY holds no usable key (a placeholder) Set OPENAI_API_KEY")
    monkeypatch.setenv("HF_TOKEN", "hf_your token")
    assert any("HF_TOKEN is no usable key" in line for line in doctor._machine())
    assert not seen


# Proxies


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "proxy", [f"http://{DEAD}", f"socks5://{DEAD}", f"socks://{DEAD}/", f"socks4://{DEAD}", "what:"]
)
def test_this_machine_is_asked_past_any_proxy(name, proxy, monkeypatch):
    monkeypatch.setenv(name, proxy)
    with api() as (place, seen):
        port = place.partition(":")[2]
        assert ask(f"http://{place}/v1") and ask(f"http://localhost:{port}/v1")
        assert look(f"http://127.1:{port}/v1")[0] == []
    assert [path for _, path, _ in seen] == ["/v1/chat/completions"] * 2 + ["/v1/models"]


@pytest.mark.parametrize(
    "url",
    ["http://localhost:1/v1", "http://LocalHost./v1", "http://127.5.5.5/v1", "http://[::1]:8000/v1"]
    + ["http://0.0.0.0:8000/v1", "http://a.localhost/v1", "http://ward.local/v1"]
    + ["http://host.docker.internal:11434/v1", "http://10.1.2.3/v1", "http://192.168.0.7:1234/v1"]
    + [
        "http://172.31.0.9/v1",
        "http://[fd00::5]/v1",
        "http://100.101.102.103/v1",
        "http://u:p@10.1/",
    ],
)
def test_no_proxy_is_asked_for_private_addresses(url, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{DEAD}")
    assert network.proxy(url) == ""


def test_a_name_of_the_own_network_is_asked_directly(monkeypatch):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *form, **more: resolve(
            "127.0.0.1" if host in ("gpu-box", b"gpu-box") else host, *form, **more
        ),
    )
    with api() as (place, seen), api() as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy}")
        assert ask(f"http://gpu-box:{place.partition(':')[2]}/v1") and len(seen) == 1
        assert asked == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "form", ["http://{}", "{}", " http://{}/ \r\n", '"http://{}"', "HTTP://{}"]
)
def test_where_a_proxy_is_the_only_way_the_run_and_the_doctor_take_it(name, form, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with api() as (place, seen):
        monkeypatch.setenv(name, form.format(place))
        assert ask(HOSPITAL) == ANSWER["content"]
        rows, remarks = look(HOSPITAL)
    assert rows == remarks == []
    assert [path for _, path, _ in seen] == [f"{HOSPITAL}/chat/completions", f"{HOSPITAL}/models"]


@pytest.mark.parametrize("password", ["pa55word", "p#a/s@s:w?rd", "p%40ss"])
def test_user_and_password_reach_the_proxy_and_no_message(password, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with api() as (place, seen):
        monkeypatch.setenv("HTTP_PROXY", f"http://ward:{password}@{place}")
        assert ask(HOSPITAL)
        sent = seen[0][2]["Proxy-Authorization"].removeprefix("Basic ")
        assert base64.b64decode(sent).decode() == f"ward:{password}".replace("%40", "@")
        said = look(HOSPITAL)
    monkeypatch.setenv("HTTP_PROXY", f"http://ward:{password}@{DEAD}")
    with pytest.raises(UserError, match=rf"through the proxy in HTTP_PROXY \({DEAD}\)") as caught:
        ask(HOSPITAL)
    doctor.served.cache_clear()
    said += look(HOSPITAL)
    assert f"does not answer through the proxy in HTTP_PROXY ({DEAD})" in str(said)
    assert not any(text in f"{said} {caught.value}" for text in (password, "ward"))


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "SOCKS5"])
def test_a_socks_proxy_is_the_way(scheme, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with api() as (place, seen), socks(place) as (proxy, hosts):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{proxy}/")
        assert ask(HOSPITAL) and look(HOSPITAL)[0] == []
    assert hosts == ["llm.hospital.test"] * 2 and len(seen) == 2


def test_a_socks_proxy_takes_user_and_password_and_says_so_where_they_are_wrong(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with api() as (place, _), socks(place, login=b"ward:pa55") as (proxy, _):
        monkeypatch.setenv("ALL_PROXY", f"socks5://ward:pa55@{proxy}")
        assert ask(HOSPITAL)
        monkeypatch.setenv("ALL_PROXY", f"socks5://ward:wrong@{proxy}")
        with pytest.raises(UserError, match="ALL_PROXY(.|\n)*Invalid username/password") as caught:
            ask(HOSPITAL)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    "name, proxy",
    [("ALL_PROXY", f"socks4://{DEAD}"), ("http_proxy", f"socks4a://u:pa55@{DEAD}")]
    + [
        ("HTTP_PROXY", f"ftp://u:pa55@{DEAD}"),
        ("ALL_PROXY", "http://h:p"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(name, proxy, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv(name, proxy)
    with pytest.raises(UserError, match=f"{name} cannot be used") as caught:
        ask(HOSPITAL)
    assert "pa55" not in str(caught.value) and "unset" in str(caught.value)
    rows, _ = look(HOSPITAL)
    assert rows and f"{name} cannot be used" in rows[0] and "pa55" not in str(rows)


def test_without_its_package_a_socks_proxy_is_one_message_and_localhost_works(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ALL_PROXY", f"socks5://{DEAD}")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(UserError, match="ALL_PROXY cannot be used(.|\n)*socksio"):
        ask(HOSPITAL)
    with api() as (place, _):
        assert ask(f"http://{place}/v1")


@pytest.mark.parametrize("status", [403, 407, 502, 503])
@pytest.mark.parametrize("url", [HOSPITAL, "https://llm.hospital.test/v1"])
def test_a_proxy_that_refuses_is_named(status, url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with api(status=status, error="<html>Blocked</html>") as (place, seen):
        monkeypatch.setenv("ALL_PROXY", f"http://{place}")
        with pytest.raises(UserError, match=rf"through the proxy in ALL_PROXY \({place}\)"):
            ask(url)
    assert seen[0][0] == ("CONNECT" if url.startswith("https") else "POST")


def test_a_proxy_that_is_none_of_socks_is_one_message(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")

    class Web(StreamRequestHandler):
        def handle(self):
            self.rfile.read(3)
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(ThreadingTCPServer(("127.0.0.1", 0), Web)) as server:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(UserError, match="through the proxy in ALL_PROXY"):
            ask(HOSPITAL)
        assert "does not answer through the proxy" in look(HOSPITAL)[0][0]


@pytest.mark.parametrize("listed", ["llm.hospital.test", ".hospital.test", "*.hospital.test", "*"])
def test_no_proxy_is_heeded(listed, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    with api() as (place, seen):
        monkeypatch.setenv("HTTP_PROXY", f"http://{place}")
        for text in (listed, f"example.org, {listed}", f"example.org {listed}"):
            monkeypatch.setenv("NO_PROXY", text)
            with pytest.raises(UserError, match="gave no answer for `m`[.]"):
                ask(HOSPITAL)
        monkeypatch.setenv("NO_PROXY", "other.hospital.test,xllm.hospital.test,8.8.0.0/16")
        assert not seen and ask(HOSPITAL)


def test_the_lower_case_variable_comes_first_as_in_curl(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://upper:1")
    monkeypatch.setenv("http_proxy", "http://lower:2")
    monkeypatch.setenv("ALL_PROXY", "http://all:3")
    assert network.proxy(HOSPITAL) == " through the proxy in http_proxy (lower:2)"
    assert "ALL_PROXY" in network.proxy("https://llm.hospital.test")


@pytest.mark.parametrize("proxy", [f"socks4://{DEAD}", f"http://{DEAD}", "nonsense://"])
def test_the_stand_in_works_under_any_environment(proxy, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-…")
    for name in PROXIES[:3]:
        monkeypatch.setenv(name, proxy)
    assert ask("offline") and doctor.obstacles(params.merged("demo")) == []


@pytest.mark.parametrize(
    "given, tidy",
    [(f"socks://{DEAD}/", f"socks5://{DEAD}"), (f" {DEAD}\r", f"http://{DEAD}")]
    + [
        (f'"http://u:p#s@{DEAD}"', f"http://u:p%23s@{DEAD}"),
        ("http://[::1]:3128/", "http://[::1]:3128"),
    ],
)
def test_a_notebook_gives_the_hub_a_proxy_in_a_form_that_it_takes(given, tidy, monkeypatch):
    for name in ("ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, given)
    monkeypatch.setenv("HTTP_PROXY", "")
    params.check({})
    assert {os.environ[name] for name in ("ALL_PROXY", "https_proxy")} == {tidy}
    assert os.environ["HTTP_PROXY"] == "" and httpx.Client()


# Downloads


ROWS = b"question,answer\nWhat helps a sprain?,Ice\n"
LINK = "http://data.hospital.test"


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_download_takes_the_proxy_too(scheme, monkeypatch):
    with api(files={"q.csv": (ROWS, {})}) as (place, seen), socks(place) as (proxy, hosts):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{place if scheme == 'http' else proxy}")
        assert len(records.load_table(f"{LINK}/q.csv")) == 1 == len(seen)
        assert doctor._exists(f"{LINK}/q.csv") and len(seen) == 1, "it is in the cache"
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://u:pa55@{DEAD}")
    with pytest.raises(UserError, match=rf"through the proxy in ALL_PROXY \({DEAD}\)") as caught:
        records.load_table(f"{LINK}/other.csv")
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize(
    "path, headers",
    [("q.csv?download=true", {}), ("q.csv?dl=1&name=a.json", {}), ("q.csv?x=a/b.txt", {})]
    + [("content", {"Content_Disposition": 'attachment; filename="my q.csv"'})]
    + [("file?id=7", {"Content_Disposition": "inline; filename*=UTF-8''fr%C3%A4gen.CSV"})],
)
def test_a_download_is_of_the_kind_of_its_file_and_not_of_its_query(path, headers):
    name, pin = path.partition("?")[0], hashlib.sha256(ROWS).hexdigest()
    with api(files={name: (ROWS, headers)}) as (place, seen):
        for link in (f"http://{place}/{path}", f"http://{place}/{path}#sha256={pin}"):
            assert records.load_table(link) == [
                {"question": "What helps a sprain?", "answer": "Ice"}
            ]
            assert paths.downloaded(link)
        assert len(seen) == 1, "it is downloaded once"
        with pytest.raises(UserError, match="not the pinned file"):
            records.load_table(f"http://{place}/{path}#sha256={'0' * 64}")


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>", b"\n <html lang=en>", b"<!doctype HTML>"]
)
def test_a_page_about_a_file_is_not_the_file(page, tmp_path):
    refused = pytest.raises(UserError, match="a web page(.|\n)*/raw/(.|\n)*/resolve/")
    with (
        api(files={"q.csv": (page + b"</html>", {"Content_Type": "text/html"})}) as (place, _),
        refused,
    ):
        records.load_table(f"http://{place}/blob/main/q.csv")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_error_is_not_the_file(status, tmp_path):
    refused = pytest.raises(UserError, match=f"could not be downloaded(.|\n)*{status}")
    with api(status=status, error="no") as (place, _), refused:
        records.load_table(f"http://{place}/q.csv")
    assert not (tmp_path / "cache").exists()


# The own network


OWN = """localhost LOCALHOST:8000 127.0.0.1:8000 127.1:8971 127.255.255.254 [::1]:8000 0.0.0.0:8000
10.0.0.7:1234 172.16.0.1 172.31.255.255 192.168.178.20:11434 169.254.3.4 100.64.0.1 100.127.255.1
[fd12:3456::1]:8000 [fe80::1%25eth0]:8000 [::ffff:192.168.1.5] gpu-box:8000 vllm my_service:80
ward.local mac.lan llm.internal box.home.arpa host.docker.internal:11434 llm.corp user@gpu-box:8000
user:pass@10.0.0.7 box.tail12ab.ts.net a.localhost 0x7f.1 2130706433 [0:0:0:0:0:0:0:1]"""
PUBLIC = """api.openai.com 127.0.0.1.evil.com 10.evil.com 192.168.1.5.nip.io localhost.evil.com
172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 11.0.0.7 8.8.8.8 [2001:4860::8888] [::ffff:8.8.8.8]
127.0.0.1@evil.com localhost:8000@evil.com evil.com#localhost evil.com/localhost evil.com?localhost
local.evil.com mylocal.com internal.com lan.de 134744072 203.0.113.7 192.169.0.1 evil%2ecom xlocal.io"""


@pytest.mark.parametrize("place", OWN.split())
def test_a_server_of_the_own_network_needs_no_key(place):
    assert network.is_own(f"http://{place}/v1") and llm.Client(url=f"http://{place}/v1", model="m")


@pytest.mark.parametrize("place", PUBLIC.split())
def test_an_address_that_only_looks_like_it_needs_one(place):
    assert not network.is_own(f"http://{place}/v1")
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        llm.Client(url=f"http://{place}/v1", model="m")


def test_run_and_doctor_agree_on_the_own_network(monkeypatch):
    with api() as (place, seen):
        url = f"http://127.1:{place.partition(':')[2]}/v1"
        assert ask(url) and look(url) == ([], [])
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert ask(url) and seen[-1][2]["Authorization"] == f"Bearer {KEY}", (
            "a key that is set is sent"
        )
    monkeypatch.delenv("OPENAI_API_KEY")
    (row,) = look("http://127.0.0.1.evil.com/v1")[0]
    assert row.startswith("OPENAI_API_KEY is not set") and "teacher=…" in row


def test_a_model_may_be_named_with_user_and_host():
    model = models.load("qwen@http://ward:pa55@127.0.0.1:9/v1")
    assert (model.model, model.url) == ("qwen", "http://ward:pa55@127.0.0.1:9/v1")
    assert models.load("m@HTTP://LOCALHOST:8000/v1").url == "HTTP://LOCALHOST:8000/v1"
    with pytest.raises(UserError, match="http://127.0.0.1:9/v1 gave no answer") as caught:
        ask(model.url)
    assert "pa55" not in str(caught.value)


# The doctor


def test_a_profile_of_run_and_seed_runs(tmp_path):
    (tmp_path / "mine.yaml").write_text("run: mine\nseed: 42\n")
    lines, would_run = doctor.diagnose(str(tmp_path / "mine.yaml"))
    assert would_run and any(line.startswith("  yes  mine") for line in lines)


@pytest.mark.parametrize("status", [401, 403])
def test_the_doctor_says_that_a_server_wants_another_key(status):
    with api(status=status, error="{}") as (place, _):
        rows, (remark,) = look(f"http://{place}/v1")
    assert rows == [] and f"status {status}" in remark and "OPENAI_API_KEY" in remark


def test_the_address_in_the_environment_is_the_one_that_is_asked_and_named(monkeypatch):
    with api() as (place, seen):
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://{place}/v1")
        assert ask("") and len(seen) == 1
        request = llm.Request(messages=[{"role": "user", "content": "Hi"}])
        here = llm.Client(url="", model="m").key(request)
        monkeypatch.delenv("OPENAI_BASE_URL")
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        assert llm.Client(url="", model="m").key(request) != here, "no answer of another server"


@pytest.mark.parametrize("end", ["/chat/completions", "/chat/completions/", "/completions"])
def test_an_address_may_be_pasted_with_the_endpoint(end):
    with api() as (place, seen):
        assert ask(f"http://{place}/v1{end}") == "Rest and ice."
        assert look(f"http://{place}/v1{end}")[0] == []
    assert {path for _, path, _ in seen} == {"/v1/chat/completions", "/v1/models"}


LISTS = {
    "of Together": [ROW],
    "with names": {"data": [{"name": "m"}]},
    "of texts": {"data": ["m"]},
    "of a gateway": {"models": [ROW]},
    "still empty": {"object": "list", "data": None},
    "a web page": "<!doctype html><title>Log in</title>",
}


@pytest.mark.parametrize("form", LISTS)
def test_a_list_of_models_in_another_form_is_read_and_a_web_page_is_called_one(form):
    body = LISTS[form]
    content = body if isinstance(body, str) else json.dumps(body)
    files = {"models": (content.encode(), {"Content_Type": "application/json"})}
    with api(files=files) as (place, _):
        obstacles, remarks = look(f"http://{place}/v1")
    is_page = form == "a web page"
    assert not obstacles and ["web page" in text for text in remarks] == [True] * is_page


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSLKEYLOGFILE"])
def test_certificates_that_cannot_be_read_are_named_and_http_needs_none(
    name, monkeypatch, tmp_path
):
    monkeypatch.setenv(name, str(tmp_path / "no" / "ca.pem"))
    with api() as (place, _):
        assert ask(f"http://{place}/v1")
    for get in (ask, network.fetch):
        with pytest.raises(UserError, match=name):
            get(f"https://{DEAD}/v1")


def test_an_unknown_certificate_points_to_those_of_the_organization():
    error = openai.APIConnectionError(request=None)
    error.__cause__ = ssl.SSLCertVerificationError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    entry = models.Model(model="m", url="http://localhost:1/v1")
    connection = llm.retry.Connection(entry)
    assert "SSL_CERT_FILE" in str(connection.problem(connection.read(error)))


@pytest.mark.parametrize("name", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_organization_and_project_are_read_like_a_key(name, monkeypatch):
    monkeypatch.setenv(name, " org-x1\r\n")
    with api() as (place, seen):
        assert ask(f"http://{place}/v1") and "org-x1" in seen[0][2].values()
        monkeypatch.setenv(name, "org-…")
        with pytest.raises(UserError, match=name):
            ask(f"http://{place}/v1")


# YAML of other programs


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_profile_of_a_windows_editor_is_read(encoding, tmp_path):
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    path = tmp_path / "p.yaml"
    path.write_bytes(f"{mark}run: Prüfung\r\nseed: 42\r\n".encode(encoding))
    assert params.profile(path) == {"run": "Prüfung", "seed": 42}


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman", "utf-16-le", "utf-32"])
def test_a_file_that_is_not_utf_8_is_one_message(encoding, tmp_path, monkeypatch):
    path = tmp_path / "params" / "models.yaml"
    path.parent.mkdir()
    path.write_bytes("a: 1\nrun: Prüfung\n".encode(encoding))
    reads = [lambda: params.profile(path), lambda: sweep.read_grid([str(path)])]
    for read in reads:
        with pytest.raises(UserError, match="is not UTF-8 text(.|\n)*line (.|\n)*Save it as UTF-8"):
            read()
    monkeypatch.setattr(models.paths, "root", lambda: tmp_path)
    with pytest.raises(UserError, match="Save it as UTF-8"):
        models.known()


@pytest.mark.parametrize(
    "text, line, words",
    [("run: a\n\tseed: 1\n", 2, "Indent with blanks"), ("run: a\nb:\n\t- 1\n", 3, "blanks")]
    + [("run: a\nseed: [1,\n", 3, "key: value"), ("run: a\nseed:\t@1\n", 2, "")],
)
def test_a_fault_in_yaml_is_named_by_its_line(text, line, words, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"not valid YAML(.|\n)*line {line}:") as caught:
        params.profile(path)
    assert words in str(caught.value)


def test_a_date_that_is_none_and_a_folder_are_one_message_and_merged_maps_are_read(tmp_path):
    (tmp_path / "p.yaml").write_text("run: 2026-13-45\n")
    for path in (tmp_path / "p.yaml", tmp_path):
        with pytest.raises(UserError, match="valid YAML"):
            params.profile(path)
    (tmp_path / "q.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert params.profile(tmp_path / "q.yaml")["b"] == {"x": 3, "y": 2}
