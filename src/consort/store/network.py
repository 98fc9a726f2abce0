"""How a server is reached from this machine: whose certificates are trusted, and by way of which proxy.

The variables are those of other programs, read as they read them: AWS_CA_BUNDLE (the AWS tools), REQUESTS_CA_BUNDLE,
SSL_CERT_FILE and SSL_CERT_DIR (OpenSSL), HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import certifi
import urllib3

from consort.errors import InputError

BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class Network:
    variables: Mapping[str, str] = field(repr=False)  # proxies' addresses have passwords
    """An environment, of which those variables count."""

    def trusted(self) -> dict[str, str]:
        """Arguments to urllib3 that say whose certificates are trusted; InputError for a bundle that is none."""
        name = next((name for name in BUNDLES if self.variables.get(name)), None)
        if name is None:
            return {"ca_certs": certifi.where()}
        path = Path(self.variables[name])
        try:
            if path.is_dir():
                return {"ca_cert_dir": str(path)}
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except OSError as e:  # ssl.SSLError is one
            why = "it is no file of certificates in PEM form" if isinstance(e, ssl.SSLError) else e.strerror
            raise InputError(f"{name} is {path}, and no certificates can be read from it: {why}. It names the file "
                             "with the certificates of the authorities to trust, or a folder of such.") from e
        return {"ca_certs": str(path)}

    def proxy(self, host: str, secure: bool) -> tuple[str, str] | None:
        """The proxy's address and the variable that names it; None where the host is reached directly."""
        if _is_loopback(host) or self._spared(host):
            return None
        for name in ("https_proxy" if secure else "http_proxy", "all_proxy"):
            for variable in (name, name.upper()):
                if address := self.variables.get(variable):
                    return address, variable
        return None

    def _spared(self, host: str) -> bool:
        """Whether NO_PROXY names the host, a domain around it, or a network that its address is in."""
        spared = self.variables.get("no_proxy") or self.variables.get("NO_PROXY") or ""
        return bool(proxy_bypass_environment(host, {"no": spared})) or any(_is_in(host, n) for n in spared.split(","))


def connections(environment: Mapping[str, str], host: str, secure: bool, **settings: Any
                ) -> tuple[urllib3.PoolManager, str]:
    """Connections to a host (with port), and words for by way of what, empty for nothing.

    Raises InputError for variables that cannot be used; messages have no passwords.
    """
    network = Network(environment)
    if secure:
        settings |= {"cert_reqs": "CERT_REQUIRED", **network.trusted()}
    chosen = network.proxy(host, secure)
    if chosen is None:
        return urllib3.PoolManager(**settings), ""
    address, variable = chosen
    try:
        url = urlsplit(address if "://" in address else f"http://{address}")
        shown = f"{url.scheme}://{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}"
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError
    except ValueError:
        raise InputError(f"{variable} is not the address of a proxy such as http://proxy:3128 (proxies over http and "
                         f"https are used, not SOCKS). Correct it, or put {host} into NO_PROXY.") from None
    if url.username is not None:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"
        settings["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(shown, **settings), f"by way of the proxy {shown} ({variable})"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return urlsplit(f"//{host}").hostname == "localhost" if address is None else address.is_loopback


def _is_in(host: str, network: str) -> bool:
    address = _address(host)
    try:
        return address is not None and address in ipaddress.ip_network(network.strip(), strict=False)
    except ValueError:
        return False
