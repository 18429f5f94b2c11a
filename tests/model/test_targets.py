"""A destination is a public HTTPS URL, unless the operator allows more."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

import contextlib
import ipaddress
import pickle
from urllib.parse import urlsplit

import attrs
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unihooks._model.targets import TargetPolicy
from unihooks.exceptions import TargetRefused

PUBLIC = TargetPolicy()
LOOPBACK = TargetPolicy(allow_http=True, allow=["127.0.0.0/8", "::1/128"])
INTRANET = TargetPolicy(allow=["10.0.0.0/8"], deny=["10.66.0.0/16", "93.184.216.0/24"])

NORMALISED = {
    "https://example.com": "https://example.com/",
    "https://example.com/": "https://example.com/",
    "HTTPS://EXAMPLE.com/Path": "https://example.com/Path",
    "https://example.com.": "https://example.com/",
    "https://example.com:443/a": "https://example.com/a",
    "https://example.com:0443/a": "https://example.com/a",
    "https://example.com:8443": "https://example.com:8443/",
    "https://example.com:1024/": "https://example.com:1024/",
    "https://example.com:65535/": "https://example.com:65535/",
    "https://example.com?a=b": "https://example.com/?a=b",
    "https://example.com/?": "https://example.com/?",
    "https://example.com/a?b=c&d=%20?e": "https://example.com/a?b=c&d=%20?e",
    "https://example.com/a/../b//c/": "https://example.com/b//c/",
    "https://example.com/..": "https://example.com/",
    "https://example.com/a/./b/..?c/../d": "https://example.com/a/?c/../d",
    'https://example.com/a"<b>`{c}|d?e={f}': "https://example.com/a%22%3Cb%3E%60%7Bc%7D|d?e={f}",
    "https://example.com/%2e%2e/a%zz": "https://example.com/%2e%2e/a%zz",
    "https://example.com/@me:pw": "https://example.com/@me:pw",
    "https://example.com/مرحبا?x=é": "https://example.com/%D9%85%D8%B1%D8%AD%D8%A8%D8%A7?x=%C3%A9",
    "https://münchen.example/": "https://xn--mnchen-3ya.example/",
    "https://MÜNCHEN.example/": "https://xn--mnchen-3ya.example/",
    "https://xn--mnchen-3ya.example/": "https://xn--mnchen-3ya.example/",
    "https://Ｅxample。com/": "https://example.com/",
    "https://xn--i-7iq.ws/": "https://xn--i-7iq.ws/",
    "https://XN--LS8H.la/": "https://xn--ls8h.la/",
    "https://xn--qq8hq8f.example/": "https://xn--qq8hq8f.example/",
    "https://i❤.ws/": "https://xn--i-7iq.ws/",
    "https://i❤️.ws/": "https://xn--i-7iq.ws/",
    "https://💩.example/": "https://xn--ls8h.example/",
    "https://my_host.xn--p1ai/": "https://my_host.xn--p1ai/",
    "https://my_host.рф/": "https://my_host.xn--p1ai/",
    "https://grün_blau.example/": "https://xn--grn_blau-75a.example/",
    "https://ab--cd.xn--p1ai/": "https://ab--cd.xn--p1ai/",
    "https://axn--b.example/": "https://axn--b.example/",
    "https://r3---sn-abc.example/": "https://r3---sn-abc.example/",
    "https://straße.example": "https://xn--strae-oqa.example/",
    "https://موقع.وزارة-الاتصالات.مصر/": "https://xn--4gbrim.xn----ymcbaaajlc6dj7bxne2c.xn--wgbh1c/",
    "https://localhost.example.com/": "https://localhost.example.com/",
    "https://local.example.com/": "https://local.example.com/",
    "https://notlocalhost.com/": "https://notlocalhost.com/",
    "https://internal.com/": "https://internal.com/",
    "https://arpa.home.com/": "https://arpa.home.com/",
    "https://127.0.0.1.example.com/": "https://127.0.0.1.example.com/",
    "https://1.example/": "https://1.example/",
    "https://0xyz.com/": "https://0xyz.com/",
    "https://my_service.example.com/": "https://my_service.example.com/",
    "https://8.8.8.8/x": "https://8.8.8.8/x",
    "https://8.8.8.8.:8443/x": "https://8.8.8.8:8443/x",
    "https://[2606:4700:4700::1111]/": "https://[2606:4700:4700::1111]/",
    "https://[2606:4700:4700:0:0:0:0:1111]:9000": "https://[2606:4700:4700::1111]:9000/",
    "https://[2A00:1450:4001::AB]/": "https://[2a00:1450:4001::ab]/",
    "https://[::ffff:8.8.8.8]/": "https://8.8.8.8/",
    "https://" + "a" * 63 + ".com/": "https://" + "a" * 63 + ".com/",
}

# A control character, a space, an unassigned one, a surrogate, and marks that change how a name reads.
NO_NAMES = ["a\x85", "a\u00a0b", "a\u3000", "a\u2028", "a\u0378", "a\U000e0fff", "a\u202eb", "a\u200bb", "a\xad"]

_BAD_TEXT = [
    "",
    " ",
    "/",
    "example.com",
    "//example.com/",
    "https:",
    "https:/",
    "https://",
    "https:///",
    "https:///path",
    "https:example.com",
    "https:/example.com",
    "https//example.com",
    "://example.com",
    "http://example.com/",
    "HTTP://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "ws://example.com/",
    "wss://example.com/",
    "javascript://example.com/",
    "unix:///var/run/docker.sock",
    "httpsx://example.com/",
    "http\u017f://example.com/",
    "\uff48ttps://example.com/",
    "view-source:https://example.com",
    " https://example.com/",
    "https://example.com/ ",
    "https://example.com/a b",
    "https://exa mple.com/",
    "https://example.com/a\tb",
    "https://exam\tple.com/",
    "https://example.com/\r\nHost: x",
    "https://example.com/\n",
    "https://exam\nple.com",
    "https://example.com/\x00",
    "https://example.com\x00.evil.com/",
    "https://example.com/\x7f",
    "https://example.com/\x85",
    "https://example.com/\u2028",
    "https://example.com/\u00a0",
    "https://example.com/\u200b",
    "https://exa\u00admple.com/",
    "https://example.com/\u202e",
    "https://example.com/\ud800",
    "https://\ud800.com/",
    "https:\\\\example.com\\",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/a\\b",
    "https://example.com/#",
    "https://example.com/#frag",
    "https://example.com#@127.0.0.1/",
    "https://example.com/?a#b",
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://:pass@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://a@b@example.com/",
    "https://%75ser@example.com/",
    "https://example.com/" + "a" * 2048,
    "https://example.com/" + "é" * 400,
]
_BAD_PORT = [
    f"https://example.com:{port}/"
    for port in (
        *("", "0", "1", "21", "22", "23", "25", "53", "80", "110", "143", "389", "442", "444"),
        *("445", "465", "587", "993", "1023", "1719", "1720", "1723", "2049", "3659", "4045"),
        *("4190", "5060", "5061", "6000", "6379", "6566", "6665", "6666", "6667", "6668", "6669"),
        *("6679", "6697", "10080", "11211", "65536", "99999", "100000", "-1", "+443", "a", "0x1bb"),
        *("443:443", "8443:", "44 3", "４４３", "٤٤٣", "443.0", "1e4"),
    )
]
_BAD_HOST = [
    f"https://{host}/"
    for host in (
        # this machine and private names
        *("localhost", "LOCALHOST", "localhost.", "app.localhost", "a.b.localhost.", "ｌocalhost"),
        *("localhost:8443", "intranet", "a", "printer.local", "local", "db.internal"),
        *("metadata.google.internal", "METADATA.google.INTERNAL.", "nas.localdomain"),
        *("localhost.localdomain", "router.home.arpa", "home.arpa", "internal", "x.local:8443"),
        # numbers that resolvers take for addresses
        *("2130706433", "0x7f000001", "017700000001", "0", "0x7f.1", "127.1", "127.0.1", "0x"),
        *("127.0.0.1", "127.0.0.1.", "127。0。0。1", "１２７.0.0.1", "①②⑦.0.0.1", "0177.0.0.1"),
        *("127.0.0.01", "08.8.8.8", "8.8.8", "8.8.8.8.8", "256.8.8.8", "8.8.8.0x8", "1.2.3.4..."),
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200"),
        *("168.63.129.16", "0.0.0.0", "255.255.255.255", "224.0.0.1", "198.18.0.1", "192.0.0.192"),
        *("example.1", "example.0x1", "a.b.999", "-1", "1e1.0"),
        # IPv6
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[fe80::1]"),
        *("[fe80::1%25eth0]", "[fe80::1%eth0]", "[2606:4700::1%25eth0]", "[fd00:ec2::254]"),
        *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001::1]", "[2001:db8::1]", "[ff02::1]"),
        *("[::ffff:100.64.0.1]", "[fec0::1]", "[100::1]", "[]", "[", "]", "[8.8.8.8]", "[::1"),
        *("::1", "2606:4700:4700::1111", "[example.com]", "[2606:4700::1]x", "x[2606:4700::1]"),
        *("[[2606:4700::1]]", "[2606:4700::1]:22", "[2606:4700::1]:", "[v1.x]", "[::gggg]"),
        # not names
        *(".", "..", ".com", "example..com", "example.com..", ".example.com", "-a.com", "a-.com"),
        *("exa%6dple.com", "%31%32%37.0.0.1", "example.com%00", "example.com%2f", "a!.com"),
        *("exa$mple.com", "a,b.com", "a;b.com", "a'b.com", "a*b.com", "*.example.com", "a(b).com"),
        *("a=b.com", "a&b.com", "a+b.com", "a~b.com", "a|b.com", "<a>.com", "a`b.com", "{a}.com"),
        *("a" * 64 + ".com", ".".join(["a" * 60] * 5), "xn--a.com", "xn--.com", "xn--a-ÿ.com"),
        *("xn--localhost-.com", "xn--localhost.com", "xn--0.com", "xn--99999999.com", "xn--a-❤.com"),
        *(f"xn--{label.encode('punycode').decode()}.com" for label in NO_NAMES),
        *("ex℀mple.com", "a．．b.com", "❤⁄.com", "\u0301a.com", "\u0301❤.com", "a\uff0fb.com", "⁄.com"),
    )
]
BAD_URLS = _BAD_TEXT + _BAD_PORT + _BAD_HOST

BAD_ADDRESSES = [
    # not plain addresses
    *("", " ", "x", "localhost", "127.1", "1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "8.8.8.08"),
    *("8.8.8.8 ", " 8.8.8.8", "8.8.8.8\n", "8.8.8.8/32", "8.8.8.8:443", "[2606:4700::1]", "8.8.8"),
    *("8.8.8.8.", "8.8.8.256", "８.8.8.8", "٨.8.8.8", "fe80::1%eth0", "2606:4700::1%1", "::1%lo"),
    *("2606:4700::1%", "1:2:3:4:5:6:7", "::ffff:8.8.8.8%1", "::g", ":::", "\ud800", "\x00"),
    # the IPv4 table: first, inner and last address of each network
    *("0.0.0.0", "0.1.2.3", "0.255.255.255", "10.0.0.0", "10.9.8.7", "10.255.255.255"),
    *("100.64.0.0", "100.100.100.200", "100.127.255.255", "127.0.0.0", "127.0.0.1"),
    *("127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.170.2"),
    *("169.254.255.255", "172.16.0.0", "172.20.1.1", "172.31.255.255", "192.0.0.0"),
    *("192.0.0.192", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.31.196.0"),
    *("192.31.196.255", "192.52.193.0", "192.52.193.255", "192.88.99.0", "192.88.99.255"),
    *("192.168.0.0", "192.168.1.1", "192.168.255.255", "192.175.48.0", "192.175.48.255"),
    *("198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0"),
    *("203.0.113.255", "224.0.0.0", "224.0.0.251", "239.255.255.255", "240.0.0.0", "250.1.1.1"),
    "255.255.255.255",
    # IPv4 inside of IPv6
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:100.64.0.1", "::FFFF:0:0"),
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::127.0.0.1", "::8.8.8.8"),
    *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    # outside 2000::/3, and the holes in it
    *("::", "::1", "0:0:0:0:0:0:0:1", "100::", "1fff:ffff::", "4000::", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "febf::1", "fec0::1", "feff::1", "ff00::", "ff02::1", "ff0e::1", "ffff::"),
    *("2001::", "2001:1ff:ffff::", "2001:10::1", "2001:20::1", "2001:db8::", "2001:db8:ffff::1"),
    *("2002::", "2002:ffff::1", "2620:4f:8000::", "2620:4f:8000:ffff::1", "3fff::", "3fff:fff::1"),
]

GOOD_ADDRESSES = {
    "8.8.8.8": "8.8.8.8",
    "1.0.0.0": "1.0.0.0",
    "9.255.255.255": "9.255.255.255",
    "11.0.0.0": "11.0.0.0",
    "100.63.255.255": "100.63.255.255",
    "100.128.0.0": "100.128.0.0",
    "126.255.255.255": "126.255.255.255",
    "128.0.0.0": "128.0.0.0",
    "168.63.129.15": "168.63.129.15",
    "168.63.129.17": "168.63.129.17",
    "172.15.255.255": "172.15.255.255",
    "172.32.0.0": "172.32.0.0",
    "192.0.1.0": "192.0.1.0",
    "192.167.255.255": "192.167.255.255",
    "198.17.255.255": "198.17.255.255",
    "198.20.0.0": "198.20.0.0",
    "223.255.255.255": "223.255.255.255",
    "::ffff:8.8.8.8": "8.8.8.8",
    "2000::": "2000::",
    "2001:200::1": "2001:200::1",
    "2001:DB7::1": "2001:db7::1",
    "2003::1": "2003::1",
    "2606:4700:4700:0:0:0:0:1111": "2606:4700:4700::1111",
    "2620:4f:8001::": "2620:4f:8001::",
    "3ffe::1": "3ffe::1",
    "3fff:1000::": "3fff:1000::",
}


def refused(check, text):
    with pytest.raises(TargetRefused) as raised:
        check(text)
    assert raised.value.name == "url"
    assert not raised.value.message.endswith(".")


@pytest.mark.parametrize("url", NORMALISED)
def test_a_public_url_is_accepted_in_its_normal_form(url):
    assert PUBLIC.check_url(url) == NORMALISED[url]
    assert PUBLIC.check_url(NORMALISED[url]) == NORMALISED[url]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_url_is_refused(url):
    refused(PUBLIC.check_url, url)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address):
    refused(PUBLIC.check_address, address)


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_a_public_address_is_accepted_in_its_canonical_form(address):
    assert PUBLIC.check_address(address) == GOOD_ADDRESSES[address]


def test_the_tables_are_wide_enough():
    assert len(set(BAD_URLS)) >= 150
    assert len(set(BAD_ADDRESSES)) >= 100


@pytest.mark.parametrize("value", [None, 5, b"https://example.com/", ["https://a.b"], object()])
def test_what_is_not_text_is_refused(value):
    refused(PUBLIC.check_url, value)
    refused(PUBLIC.check_address, value)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:c4n4ry@example.com/",
        "https://example.com/?token=c4n4ry#x",
        "https://example.com:22/?token=c4n4ry",
        "http://example.com/c4n4ry",
        "https://c4n4ry@[::1]/c4n4ry",
    ],
)
def test_a_refusal_never_repeats_a_possible_secret(url):
    with pytest.raises(TargetRefused) as raised:
        PUBLIC.check_url(url)
    assert "c4n4ry" not in f"{raised.value!r}{raised.value.name}{raised.value.__cause__}"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/",
        "https://127.0.0.2/",
        "http://[::1]:8080/x",
        "http://localhost:8000/",
        "https://app.localhost:8443/",
        "http://receiver:8080/",
        "https://hooks.internal/",
        "https://example.com/",
        "http://example.com/",
        "https://8.8.8.8/",
    ],
)
def test_allowed_networks_open_their_addresses_and_private_names(url):
    assert LOOPBACK.check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:8080/",
        "http://[fd00::1]/",
        "http://2130706433/",
        "http://127.1/",
        "http://example.com:443/",
        "http://example.com:81/",
        "http://localhost:6379/",
        "https://example.com:80/",
        "ftp://localhost/",
        "http://user@localhost/",
        "http://localhost/#x",
    ],
)
def test_allowed_networks_open_nothing_else(url):
    refused(LOOPBACK.check_url, url)


def test_port_80_is_the_default_of_http():
    assert LOOPBACK.check_url("http://example.com:80/a") == "http://example.com/a"


def test_localhost_needs_loopback_among_the_allowed_networks():
    refused(INTRANET.check_url, "https://localhost/")
    assert INTRANET.check_url("https://intranet/") == "https://intranet/"
    only_v6 = TargetPolicy(allow="::1/128")
    assert only_v6.check_url("https://localhost/") == "https://localhost/"


def test_deny_beats_allow_and_allow_beats_the_table():
    assert INTRANET.check_address("10.1.2.3") == "10.1.2.3"
    refused(INTRANET.check_address, "10.66.0.1")
    refused(INTRANET.check_address, "::ffff:10.66.0.1")
    refused(INTRANET.check_address, "93.184.216.34")
    refused(INTRANET.check_url, "https://93.184.216.34/")
    refused(INTRANET.check_address, "192.168.0.1")


def test_a_mapped_network_means_its_ipv4_network():
    assert TargetPolicy(allow=["::ffff:10.0.0.0/104"]).check_address("10.1.1.1") == "10.1.1.1"
    refused(TargetPolicy(deny=["::ffff:8.0.0.0/104"]).check_address, "8.8.8.8")


@pytest.mark.parametrize("network", ["", "x", "10.0.0.5/8", "10.0.0.0/33", "fe80::%eth0/64", None])
def test_a_malformed_network_is_refused(network):
    with pytest.raises(TargetRefused, match="CIDR"):
        TargetPolicy(allow=[network])
    with pytest.raises(TargetRefused):
        TargetPolicy(deny=[network])


def test_listed_ports_are_accepted_besides_the_others():
    policy = TargetPolicy(allow_http=True, ports=[444, 6000, 25])
    for url in ("https://example.com:444/", "http://example.com:444/", "https://example.com:6000/"):
        assert policy.check_url(url) == url
    assert policy.check_url("https://example.com:8443/") == "https://example.com:8443/"
    assert policy.check_url("https://example.com:443/") == "https://example.com/"
    refused(policy.check_url, "https://example.com:445/")
    refused(policy.check_url, "https://10.0.0.1:444/")
    assert TargetPolicy(ports=(port for port in (444,))) == TargetPolicy(ports={444})


@pytest.mark.parametrize("ports", ["444", [0], [-1], [65536], [444.0], ["444"], [True], b"444", 444, object()])
def test_a_value_that_is_no_list_of_ports_is_refused(ports):
    with pytest.raises(TargetRefused, match="ports must be a list of numbers from 1 to 65535") as raised:
        TargetPolicy(ports=ports)
    assert raised.value.name == "ports"


def test_a_policy_is_a_value():
    assert attrs.evolve(INTRANET, allow_http=True).deny == INTRANET.deny
    assert pickle.loads(pickle.dumps(INTRANET)) == INTRANET
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        INTRANET.allow = ()


NASTY = st.text(alphabet=st.sampled_from("ahtps:/.@#?[]%\\0127xn- \té。１ſ℀\ud800:8fF_"))
HOSTS = st.one_of(
    st.text(), NASTY, st.ip_addresses().map(str), st.just("xn--").flatmap(lambda head: st.text().map(head.__add__))
)
URLS = st.one_of(
    st.text(),
    NASTY,
    st.builds("https://{}{}".format, HOSTS, st.text()),
    st.builds("http://[{}]:{}/{}".format, HOSTS, st.integers(), NASTY),
    st.builds("https://{}.com/{}?{}".format, HOSTS, st.text(), st.text()),
)


@given(URLS)
@example("https://xn--0.com/")
@example("https://xn--\u0661.com/")
def test_a_checked_url_is_a_fixed_point_in_printable_ascii_or_refused(url):
    for policy in (PUBLIC, LOOPBACK):
        with contextlib.suppress(TargetRefused):
            checked = policy.check_url(url)
            assert policy.check_url(checked) == checked
            assert checked.isascii()
            assert checked.isprintable()


@given(URLS)
@example("https://例え.テスト/é")
@example("https://xn--i-7iq.ws/")
@example("https://example.com/a%zz|^`{}<>")
def test_the_http_client_reads_a_checked_url_as_it_was_checked(url):
    with contextlib.suppress(TargetRefused):
        checked = LOOPBACK.check_url(url)
        parsed, plain = httpx.URL(checked), urlsplit(checked)
        assert parsed.raw_host.decode() == plain.hostname
        assert (parsed.scheme, parsed.port) == (plain.scheme, plain.port)
        assert checked.endswith(parsed.raw_path.decode())


@given(st.ip_addresses() | st.ip_addresses(network="::ffff:0:0/96"))
def test_what_is_accepted_is_global_for_the_standard_library_too(address):
    with contextlib.suppress(TargetRefused):
        assert ipaddress.ip_address(PUBLIC.check_address(str(address))).is_global
