"""Network: API keys, addresses of the own network, proxies, downloads."""

import ipaddress
import os
import re
import socket
import string
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import proxy_bypass

import httpx2
import yaml

from medinstruct.errors import UserError

RULES = yaml.safe_load((Path(__file__).parent / "data/network.yaml").read_text(encoding="utf-8"))
NETWORKS = [ipaddress.ip_network(text) for text in RULES["networks"]]
EDGES = string.whitespace + "\xa0\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'`“”„‟‘’‚‛«»"
FAILING = (407, 502, 503, 504)  # statuses of a proxy that cannot reach the server


def key(variable: str) -> str:
    """Return the API key in an environment variable, without quotes and spaces, "" if not set.

    A text that cannot be a key, such as a placeholder, raises a UserError that does not show it.
    """
    text = os.environ.get(variable, "").strip(EDGES).removesuffix("\\n").removesuffix("\\r")
    for fault, pattern in RULES["faults"].items():
        if re.search(pattern, text, re.IGNORECASE):
            do = f"Set {variable} to the key alone, as its provider shows it."
            raise UserError(f"{variable} holds no usable key.", got=fault, do=do)
    return text


def is_own(url: str) -> bool:
    """Return whether a host is this machine or in the own network, where no key is needed."""
    try:
        host = httpx2.URL(url).host.rstrip(".")
    except httpx2.InvalidURL as error:
        do = "Write http://host:port/v1."
        raise UserError(f"{public(url)} is not an address.", got=error, do=do) from None
    for read in (socket.inet_aton, str):  # the first reads "127.1" too
        with suppress(OSError, ValueError):
            address = ipaddress.ip_address(read(host))
            address = getattr(address, "ipv4_mapped", None) or address
            return any(address in network for network in NETWORKS)
    return bool(re.fullmatch(RULES["own"], host))


def proxy(url: str) -> str:
    """Return a phrase naming the proxy that a URL is requested through, "" for none."""
    tidy_proxies()
    own, parts = is_own(url), httpx2.URL(url)
    names = [form(f"{kind}_proxy") for kind in (parts.scheme, "all") for form in (str, str.upper)]
    variable = next(filter(os.environ.get, names), "")
    if not variable or own or proxy_bypass(parts.host):
        return ""
    place = re.sub(".*[/@]", "", os.environ[variable])
    return f" through the proxy in {variable} ({place})"


def tidy_proxies() -> None:
    """Rewrite the proxy variables in a form that every library accepts."""
    for name, text in os.environ.items():
        if re.fullmatch("(?i)(http|https|all)_proxy", name) and text.strip(EDGES):
            scheme, _, rest = text.strip(EDGES).rpartition("://")
            login, sign, place = rest.rpartition("@")
            scheme = {"": "http", "socks": "socks5"}.get(scheme.lower(), scheme.lower())
            place = quote(login, safe=":%") + sign + place.strip("/")
            os.environ[name] = f"{scheme}://{place}"
        elif name.lower() == "no_proxy":
            names = re.split(r"[\s,]+", text.strip(EDGES))
            names = ["*"] if "*" in names else [part.replace("*.", ".") for part in names]
            os.environ[name] = ",".join(names)


def client(kind: Callable, url: str, **settings: Any) -> Any:
    """Return an httpx2 client: direct in the own network, else through the proxies that are set."""
    try:
        if is_own(url):
            is_open = url.lower().startswith("http:")
            settings |= {"trust_env": False, "verify": not is_open and httpx2.create_ssl_context()}
        return kind(**settings)
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        kind = "SSL.+" if isinstance(error, OSError) else "(?i)(https?|all)_proxy"
        names = " and ".join(name for name in os.environ if re.fullmatch(kind, name))
        do = f"Correct or unset {names}: a proxy is http://host:port or socks5://host:port."
        got = public(str(error))
        raise UserError(f"{names} cannot be used.", got=got, do=do) from None


def public(text: str) -> str:
    """Return a text without the user and password of its URLs."""
    return re.sub(r'//[^/\s"]*@', "//", text)


def fetch(url: str, *, method: str = "GET", timeout: float = 60) -> httpx2.Response:
    """Return the response of an address; UserError if there is none."""
    way = proxy(url)
    with client(httpx2.Client, url, timeout=timeout, follow_redirects=True) as api:
        try:
            response = api.request(method, url, headers={"Accept-Encoding": "identity"})
            if not way or response.status_code not in FAILING:
                return response
            got = f"{response.status_code} {response.reason_phrase}"
        except Exception as error:  # those of httpx2, and of a SOCKS proxy
            got = str(error) or type(error).__name__
    do = "Check the address, the network and the proxy."
    raise UserError(f"{public(url)} does not answer{way}.", got=got, do=do)
