"""Which certificates are trusted and which proxy is taken, by the variables that other programs read."""

import certifi
import pytest
import urllib3

from consort.errors import InputError
from consort.store import S3Access
from consort.store.network import Network, connections
from consort.store.s3 import S3Store


def test_first_bundle_that_is_set_is_trusted(tmp_path):
    folder, file = tmp_path / "authorities", tmp_path / "bundle.pem"
    folder.mkdir()
    with open(certifi.where(), "rb") as known:
        file.write_bytes(known.read())
    assert Network({}).trusted() == {"ca_certs": certifi.where()}
    assert Network({"SSL_CERT_DIR": str(folder)}).trusted() == {"ca_cert_dir": str(folder)}
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        variables = {"AWS_CA_BUNDLE": "", name: str(file), "SSL_CERT_DIR": "absent"}
        assert Network(variables).trusted() == {"ca_certs": str(file)}
    assert Network({"REQUESTS_CA_BUNDLE": str(folder), "SSL_CERT_FILE": "absent"}).trusted() == {
        "ca_cert_dir": str(folder)}


def test_bundle_that_is_none_is_named(tmp_path):
    (tmp_path / "text").write_text("no certificate")
    for value, why in ((tmp_path / "absent", "No such file"), (tmp_path / "text", "no file of certificates")):
        with pytest.raises(InputError, match=f"SSL_CERT_FILE is {value}.*{why}"):
            S3Store("s3://bucket/x", S3Access("https://minio", "key", "secret", None, {"SSL_CERT_FILE": str(value)}))
    S3Store("s3://bucket/x", S3Access("http://minio", "key", "secret", None, {"SSL_CERT_FILE": "absent"}))


PROXIES = {"HTTPS_PROXY": "http://secure:1", "HTTP_PROXY": "http://plain:2"}


@pytest.mark.parametrize(("host", "secure", "variables", "expected"), [
    ("s3.example.org", True, PROXIES, ("http://secure:1", "HTTPS_PROXY")),
    ("s3.example.org", False, PROXIES, ("http://plain:2", "HTTP_PROXY")),
    ("s3.example.org", True, {"HTTP_PROXY": "http://plain:2"}, None),
    ("s3.example.org", True, {"ALL_PROXY": "http://any:3"}, ("http://any:3", "ALL_PROXY")),
    ("s3.example.org", True, PROXIES | {"https_proxy": "http://lower:4"}, ("http://lower:4", "https_proxy")),
    ("s3.example.org", True, {"HTTPS_PROXY": ""}, None),
    ("localhost:9000", False, PROXIES, None),
    ("127.0.0.9:9000", False, PROXIES, None),
    ("[::1]:9000", True, PROXIES, None),
    ("s3.example.org:9000", True, PROXIES | {"NO_PROXY": "other, example.org"}, None),
    ("s3.example.org", True, PROXIES | {"NO_PROXY": ".example.org"}, None),
    ("s3.example.org", True, PROXIES | {"no_proxy": "*"}, None),
    ("s3.example.org", True, PROXIES | {"NO_PROXY": "ample.org,10.0.0.0/8"}, ("http://secure:1", "HTTPS_PROXY")),
    ("10.1.2.3:9000", True, PROXIES | {"NO_PROXY": ".svc,10.0.0.0/8"}, None),
    ("11.1.2.3:9000", True, PROXIES | {"NO_PROXY": ".svc,10.0.0.0/8"}, ("http://secure:1", "HTTPS_PROXY")),
    ("minio.minio.svc:9000", False, PROXIES | {"NO_PROXY": ".svc,10.0.0.0/8"}, None),
])
def test_proxy(host, secure, variables, expected):
    assert Network(variables).proxy(host, secure) == expected


def test_password_of_a_proxy_is_sent_and_never_shown():
    access = S3Access("https://s3.example.org", "key", "secret", None, {"HTTPS_PROXY": "user:p%40ss@proxy:3128"})
    http, way = connections(access.environment, "s3.example.org", True)
    assert isinstance(http, urllib3.ProxyManager)
    assert http.proxy_headers == {"proxy-authorization": "Basic dXNlcjpwQHNz"}
    assert way == "by way of the proxy http://proxy:3128 (HTTPS_PROXY)"
    assert "p%40ss" not in repr(access) + repr(S3Store("s3://bucket/x", access))


@pytest.mark.parametrize("address", ["socks5://name:secretword@proxy:1080", "http://", "http://proxy:port"])
def test_address_that_is_no_proxys(address):
    with pytest.raises(InputError, match=r"ALL_PROXY is not the address.*put s3\.org:443 into NO_PROXY") as raised:
        connections({"ALL_PROXY": address}, "s3.org:443", True)
    assert "secretword" not in str(raised.value)
