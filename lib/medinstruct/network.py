"""Network: keys of the environment, the own network, proxies, and what an address answers."""

import ipaddress
import os
import re
import socket
import string
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass, proxy_bypass_environment

import httpx2
import yaml

from medinstruct.errors import UserError

RULES = yaml.safe_load((Path(__file__).parent / "data/network.yaml").read_text(encoding="utf-8"))
NETWORKS = [ipaddress.ip_network(text) for text in RULES["networks"]]
EDGES = string.whitespace + "\xa0\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'`“”„‟‘’‚‛«»"
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
FAILING = (407, 502, 503, 504)  # how a proxy answers where it does not reach the server


def key(variable: str) -> str:
    """Return the key in an environment variable, "" if it is not set.

    Blanks, quotes and invisible characters around it are removed; a text that can be no key, such
    as a placeholder, is a UserError that does not repeat it.
    """
    text = os.environ.get(variable, "").strip(EDGES).removesuffix("\\n").removesuffix("\\r")
    for fault, pattern in RULES["faults"].items():
        if re.search(pattern, text, re.IGNORECASE):
            do = f"Set {variable} to the key alone, as its provider shows it."
            raise UserError(f"{variable} holds no usable key.", got=fault, do=do)
    return text


def is_own(url: str) -> bool:
    """Return whether a server is on this machine or in the own network, where none needs a key.

    By its host: a loopback, private or link-local address, one of Tailscale, a name without a dot
    (as Docker's), or one that ends in .local, .lan, .internal and the like.
    """
    host = httpx2.URL(url).host.rstrip(".")
    if address := _address(host):
        return any(address in network for network in NETWORKS)
    return bool(re.fullmatch(f"{RULES['here']}|{RULES['own']}", host))


def proxy(url: str) -> tuple[str, str]:
    """Return the words that name the proxy of a URL, and the proxy; two empty texts for none.

    Past any proxy go this machine, private addresses, *.local, the names of the own network that
    this machine can resolve, and what NO_PROXY lists: names, addresses, 10.0.0.0/8 or *.
    """
    given = {kind: text.strip(EDGES) for kind, text in getproxies().items()}
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise UserError(
            f"{url} is no address.", got=error, do="Write http://host:port/v1."
        ) from None
    kind = next((kind for kind in (parts.scheme, "all") if given.get(kind)), "")
    if not kind or _is_direct(parts, given.get("no", "")):
        return "", ""
    names = (f"{kind}_proxy", f"{kind.upper()}_PROXY")
    variable = next((name for name in names if os.environ.get(name)), f"the system ({kind})")
    scheme, login, place = _proxy_parts(given[kind])
    if re.fullmatch(r"https?|socks5h?", scheme) and re.fullmatch(r"(\[.+\]|[^:/]+)(:\d+)?", place):
        if scheme[0] == "h" or find_spec("socksio"):
            return f" through the proxy in {variable} ({place})", f"{scheme}://{login}{place}"
        do = "Install what SOCKS needs: .venv/bin/pip install socksio"
    else:
        do = f"Write http://host:port or socks5://host:port in {variable}, or unset it."
    raise UserError(f"The proxy in {variable} cannot be used.", got=f"{scheme}://{place}", do=do)


def tidy_proxies() -> None:
    """Write the proxies of the environment as every library takes them, such as the hub's."""
    for name, text in os.environ.items():
        if re.fullmatch("(?i)(http|https|all)_proxy", name) and text.strip(EDGES):
            scheme, login, place = _proxy_parts(text)
            os.environ[name] = f"{scheme}://{login}{place}"


def _proxy_parts(text: str) -> tuple[str, str, str]:
    """Return scheme, user with password and "@", host with port; socks:// means version 5."""
    scheme, _, rest = text.strip(EDGES).rpartition("://")
    login, sign, place = rest.rpartition("@")
    scheme = {"": "http", "socks": "socks5"}.get(scheme.lower(), scheme.lower())
    return scheme, quote(login, safe=":%") + sign, place.strip("/")


def _is_direct(url: httpx2.URL, listed: str) -> bool:
    """Return whether a URL is asked past any proxy; `listed` is NO_PROXY."""
    host, names = url.host.rstrip("."), re.split(r"[\s,]+", listed)
    address, place = _address(host), f"{host}:{url.port or (443, 80)[url.scheme == 'http']}"
    if is_own(str(url)):
        with suppress(OSError, UnicodeError):
            if address or re.fullmatch(RULES["here"], host) or socket.getaddrinfo(host, None):
                return True
    for name in names:
        with suppress(ValueError):
            if name == "*" or (address and address in ipaddress.ip_network(name, strict=False)):
                return True
    form = {"no": ",".join(name.removeprefix("*") for name in names)}
    return bool(proxy_bypass(host) or proxy_bypass_environment(place, form))


def _address(host: str) -> Any:
    """Return the IP address that a host is, also as "127.1"; None for a name."""
    for read in (socket.inet_aton, str):
        with suppress(OSError, ValueError):
            address = ipaddress.ip_address(read(host))
            return getattr(address, "ipv4_mapped", None) or address
    return None


def route(kind: Callable, url: str, proxy: str, **settings: Any) -> Any:
    """Return a transport of httpx2; UserError where the certificates for https cannot be read."""
    try:
        is_open = url.lower().startswith("http:") and not proxy
        return kind(proxy=proxy or None, verify=not is_open, **settings)
    except OSError as error:  # those of TLS are some
        named = {name: os.environ[name] for name in CERTIFICATES if os.environ.get(name)}
        got, do = f"{named} {error}", f"Name a readable file in {' and '.join(named)}, or unset it."
        raise UserError("The certificates cannot be read.", got=got, do=do) from None


def public(url: str) -> str:
    """Return a URL without its user and password."""
    return re.sub(r"//[^/]*@", "//", url)


def fetch(url: str, *, method: str = "GET", timeout: float = 60) -> httpx2.Response:
    """Return the response of an address, asked through its proxy; UserError where it has none."""
    words, address = proxy(url)
    way = route(httpx2.HTTPTransport, url, address)
    try:
        with httpx2.Client(transport=way, timeout=timeout, follow_redirects=True) as client:
            response = client.request(method, url, headers={"Accept-Encoding": "identity"})
        if not words or response.status_code not in FAILING:
            return response
        got = f"{response.status_code} {response.reason_phrase}"
    except Exception as error:  # those of httpx2, and of a SOCKS proxy
        got = str(error) or type(error).__name__
    do = "Check the address, the network and the proxy."
    raise UserError(f"{public(url)} does not answer{words}.", got=got, do=do)
