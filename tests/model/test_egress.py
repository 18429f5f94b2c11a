from __future__ import annotations

import pytest

from unihooks import Egress
from unihooks.exceptions import InvalidArgument


@pytest.mark.parametrize("bind", ["", "example.com", "10.0.0.0/8", "fe80::1%eth0", "127.1", 7])
def test_bind_is_an_address(bind):
    with pytest.raises(InvalidArgument, match="such as") as caught:
        Egress(bind=bind)
    assert caught.value.name == "bind"


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy.internal:3128",
        "https://proxy.internal",
        "socks5://proxy.internal",
        "http://s3cr3t@proxy.internal",
        "http://hooks:s3cr3t@",
        "http://proxy.internal:0",
        "http://proxy.internal:70000",
        "http://proxy.internal/s3cr3t",
        "http://proxy.internal:3128\r\nx: s3cr3t",
        7,
    ],
)
def test_proxy_is_the_url_of_an_http_proxy_and_never_quoted(proxy):
    with pytest.raises(InvalidArgument, match="such as") as caught:
        Egress(proxy=proxy)
    assert caught.value.name == "proxy"
    assert "s3cr3t" not in str(caught.value)


def test_a_proxy_is_taken_apart():
    way = Egress(proxy="http://hooks%40acme:p%3Ass@[2001:db8::1]:3128/").way
    assert (way.host, way.port) == ("2001:db8::1", 3128)
    assert way.authorization == "Basic aG9va3NAYWNtZTpwOnNz"
    assert Egress(proxy="http://proxy.internal").way.port == 80
    assert Egress().way is None


def test_no_repr_shows_a_password():
    egress = Egress(bind="127.0.0.1", proxy="http://hooks:s3cr3t@proxy.internal:3128")
    assert repr(egress) == "Egress(bind='127.0.0.1', proxy='http://proxy.internal:3128')"
    assert "s3cr3t" not in f"{egress} {egress.way!r} {egress.way}"
    assert "aG9va3" not in repr(egress.way)
