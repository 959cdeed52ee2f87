"""Only hosts on a list get session headers; hosts that look similar get none."""

from __future__ import annotations

import ipaddress
import string
import urllib.parse

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helicone_otel import Settings, SettingsError
from helicone_otel.destinations import Destination, Destinations, HostList, calls_model
from helicone_otel.tools.fakes.server import API_HOSTS, GATEWAY_HOSTS, LOG_HOSTS
from tests.support.examples import examples

GATEWAY, SERVICE, UNKNOWN = Destination.GATEWAY, Destination.SERVICE, Destination.UNKNOWN

LISTED = Destinations(
    gateways=(
        "gw.acme.test",
        "Gw.Upper.Test",
        "ported.acme.test:8443",
        "10.0.0.7",
        "[2001:db8::1]:8585",
        "127.0.0.1:8787",
    ),
    services=("planner.acme.test", ".svc.cluster.local", "*.mesh.acme.test", "ported.acme.test:8080"),
)

GATEWAYS = [
    "https://ai-gateway.helicone.ai/v1/chat/completions",
    "https://gateway.helicone.ai",
    "https://oai.helicone.ai/v1",
    "https://oai.hconeai.com/v1",
    "https://anthropic.helicone.ai",
    "https://anthropic.hconeai.com/",
    "https://gateway.hconeai.com?x",
    "https://bedrock.helicone.ai#top",
    "https://oai.eu.hconeai.com/v1",
    # The case of letters, a port, a trailing dot and credentials do not matter.
    "HTTPS://OAI.HELICONE.AI/v1",
    "https://Oai.Helicone.Ai/v1",
    "https://oai.helicone.ai./v1",
    "https://oai.helicone.ai:443/v1",
    "https://oai.helicone.ai:8443/v1",
    "https://oai.helicone.ai.:8443/v1",
    "http://oai.helicone.ai/v1",
    "https://key@oai.helicone.ai/v1",
    "https://user:pass@oai.helicone.ai:443/v1",
    "https://evil.test%40@oai.helicone.ai/",
    "https://gw.acme.test/",
    "https://gw.acme.test:9000/",
    "https://GW.ACME.TEST./",
    "https://gw.upper.test/",
    "https://ported.acme.test:8443/",
    "http://10.0.0.7/",
    "http://10.0.0.7:1234/",
    "http://[2001:db8::1]:8585/",
    "http://[2001:DB8::1]:8585/",
    "http://127.0.0.1:8787/v1",
]

SERVICES = [
    "https://planner.acme.test/plan",
    "http://a.svc.cluster.local/",
    "http://a.b.svc.cluster.local:8080/",
    "https://x.mesh.acme.test/",
    "https://ported.acme.test:8080/",
]

UNLISTED = [
    # Look-alikes.
    "https://helicone.ai.evil.test/",
    "https://oai.helicone.ai.evil.test/",
    "https://nothelicone.ai/",
    "https://oai.nothelicone.ai/",
    "https://oai-helicone.ai/",
    "https://helicone.ai/",
    "https://hconeai.com/",
    "https://oai.helicone.com/",
    "https://oai.helicone.ai.com/",
    "https://oai.helicone.aix/",
    "https://oai.helicone.a/",
    "https://.helicone.ai/",
    "https://..helicone.ai/",
    "https://oai..helicone.ai/",
    "https://oai.helicone.ai../",
    "https://evil.test/oai.helicone.ai",
    "https://evil.test/.helicone.ai/",
    "https://evil.test?host=oai.helicone.ai",
    "https://evil.test?.helicone.ai/",
    "https://evil.test#.helicone.ai/",
    "https://evil.test#@oai.helicone.ai/",
    # Credentials before the host.
    "https://oai.helicone.ai@evil.test/",
    "https://oai.helicone.ai:443@evil.test/",
    "https://oai.helicone.ai%2F@evil.test/",
    "https://a@oai.helicone.ai@evil.test/",
    "https://oai.helicone.ai:@evil.test:443/",
    # Backslashes, which some parsers read as slashes and others as part of the host.
    "https://evil.test\\@oai.helicone.ai/",
    "https://evil.test\\.helicone.ai/",
    "https://oai.helicone.ai\\@evil.test/",
    "https://oai.helicone.ai\\.evil.test/",
    "https:\\\\oai.helicone.ai/",
    # Homographs: Cyrillic letters, a fullwidth dot and letter, a Kelvin sign, a soft hyphen.
    "https://oai.h\u0435lic\u043ene.ai/",
    "https://oai\uff0ehelicone\uff0eai/",
    "https://oai.\uff48elicone.ai/",
    "https://oai.helicone\u3002ai/",
    "https://oai.heli\u00adcone.ai/",
    "https://oai.helicone.a\u0131/",
    "https://xn--helicone-xyz.ai/",
    # Escapes, blanks and control characters in the host.
    "https://oai%2Ehelicone.ai/",
    "https://oai.helicone.ai%00.evil.test/",
    "https://oai.helicone.ai\x00.evil.test/",
    "https://oai.helicone.ai \t.evil.test/",
    "https://oai.helicone.ai\n.evil.test/",
    "https://oai.helicone.ai\n/",
    "https://oai.helicone.ai /",
    " https://oai.helicone.ai/",
    "https:// oai.helicone.ai/",
    # Not the URL of an HTTP request.
    "",
    "https://",
    "https:///oai.helicone.ai/",
    "https:oai.helicone.ai/",
    "//oai.helicone.ai/",
    "oai.helicone.ai/v1",
    "oai.helicone.ai:443",
    "ftp://oai.helicone.ai/",
    "wss://oai.helicone.ai/",
    "xhttps://oai.helicone.ai/",
    "unix:///run/oai.helicone.ai",
    # Invalid ports.
    "https://oai.helicone.ai:99999/",
    "https://oai.helicone.ai:0/",
    "https://oai.helicone.ai:-1/",
    "https://oai.helicone.ai:443x/",
    "https://oai.helicone.ai:4 4/",
    "https://oai.helicone.ai:\u0664\u0664\u0663/",
    "https://oai.helicone.ai::443/",
    # The API, the dashboard and the site.
    "https://api.helicone.ai/v1/session/query",
    "https://api.worker.helicone.ai/custom/v1/log",
    "https://api.us.hconeai.com/",
    "https://api.eu.hconeai.com/",
    "https://eu.api.helicone.ai/",
    "https://api.hconeai.com/",
    "https://API.HELICONE.AI./",
    "https://us.helicone.ai/",
    "https://eu.helicone.ai/",
    "https://www.helicone.ai/",
    "https://docs.helicone.ai/features/sessions",
    # The providers' own hosts.
    "https://api.openai.com/v1/chat/completions",
    "https://api.anthropic.com/v1/messages",
    "https://generativelanguage.googleapis.com/",
    "https://my-resource.openai.azure.com/openai/deployments/x",
    "https://bedrock-runtime.us-east-1.amazonaws.com/",
    "https://openrouter.ai/api/v1",
    # Similar to the hosts that the user listed.
    "https://ported.acme.test/",
    "https://ported.acme.test:443/",
    "https://ported.acme.test:84430/",
    "https://xgw.acme.test/",
    "https://x.gw.acme.test/",
    "https://acme.test/",
    "https://svc.cluster.local/",
    "https://xsvc.cluster.local/",
    "https://mesh.acme.test/",
    "https://planner.acme.test.evil.test/",
    "http://10.0.0.70/",
    "http://110.0.0.7/",
    "http://0x0a000007/",
    "http://167772167/",
    "http://127.0.0.1/v1",
    "http://127.0.0.1:87870/v1",
    "http://localhost:8787/v1",
    "http://[::1]:8787/v1",
    "http://[2001:db8::1]/",
    "http://[2001:db8::1]:8586/",
    "http://2001:db8::1:8585/",
    "http://[2001:db8::1%25eth0]:8585/",
    "http://[2001:db8::1].helicone.ai:8585/",
    "http://[oai.helicone.ai]/",
    # Very long ones.
    "https://" + "a" * 100_000 + ".helicone.ai/",
    "https://" + "a." * 50_000 + "helicone.ai/",
    "https://" + "@" * 100_000 + "oai.helicone.ai/",
    "https://oai.helicone.ai" + "." * 100_000,
]


@pytest.mark.parametrize("url", GATEWAYS)
def test_a_gateway_is_recognised_however_its_url_is_written(url: str) -> None:
    assert LISTED.of_url(url) is GATEWAY


@pytest.mark.parametrize("url", SERVICES)
def test_an_own_service_is_recognised(url: str) -> None:
    assert LISTED.of_url(url) is SERVICE


@pytest.mark.parametrize("url", UNLISTED, ids=lambda url: ascii(url)[1:60])
def test_no_other_host_is_recognised(url: str) -> None:
    assert LISTED.of_url(url) is UNKNOWN


def test_each_host_of_helicones_is_a_gateway_if_it_is_on_a_route_of_a_gateway() -> None:
    destinations = Destinations()
    found = {host: destinations.of_url(f"https://{host}/v1") for host in GATEWAY_HOSTS | LOG_HOSTS | API_HOSTS}

    assert found == {**dict.fromkeys(GATEWAY_HOSTS, GATEWAY), **dict.fromkeys(LOG_HOSTS | API_HOSTS, UNKNOWN)}


def test_without_lists_only_helicones_hosts_are_gateways() -> None:
    destinations = Destinations()

    assert [destinations.of_url(url) for url in (GATEWAYS[0], "https://gw.acme.test/", SERVICES[0])] == [
        GATEWAY,
        UNKNOWN,
        UNKNOWN,
    ]


def test_a_host_on_both_lists_is_a_gateway() -> None:
    assert Destinations(("both.test",), ("both.test",)).of_url("https://both.test/") is GATEWAY


@pytest.mark.parametrize(
    ("authority", "destination"),
    [
        ("oai.helicone.ai", GATEWAY),
        ("OAI.helicone.ai:443", GATEWAY),
        ("gw.acme.test", GATEWAY),
        ("ported.acme.test:8443", GATEWAY),
        ("ported.acme.test:8080", SERVICE),
        # Without a scheme the default port is unknown.
        ("ported.acme.test", UNKNOWN),
        ("oai.helicone.ai.evil.test", UNKNOWN),
        ("oai.helicone.ai@evil.test", UNKNOWN),
        ("oai.helicone.ai/", UNKNOWN),
        ("oai.helicone.ai, evil.test", UNKNOWN),
        ("oai.helicone.ai\r\nx: y", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_a_host_header_says_where_a_request_goes(authority: str, destination: Destination) -> None:
    assert LISTED.of_authority(authority) is destination


def test_a_host_header_without_a_port_matches_no_entry_with_a_port() -> None:
    destinations = Destinations(("tls.test:443", "plain.test:80"))

    assert [destinations.of_authority(host) for host in ("tls.test", "plain.test")] == [UNKNOWN, UNKNOWN]
    assert [destinations.of_url(f"{host}/") for host in ("https://tls.test", "http://plain.test")] == [GATEWAY, GATEWAY]
    assert [destinations.of_url(f"{host}/") for host in ("http://tls.test", "https://plain.test")] == [UNKNOWN, UNKNOWN]


UTF8 = Destinations(utf8=(".helicone.ai", "plain.test", "ported.test:8443", "[2001:db8::1]:8585"))


@pytest.mark.parametrize(
    ("host", "port", "scheme", "reads"),
    [
        ("oai.helicone.ai", None, "https", True),
        ("OAI.Helicone.AI", 443, "https", True),
        ("helicone.ai.evil.test", None, "https", False),
        ("plain.test", 80, "http", True),
        ("ported.test", 8443, "https", True),
        ("ported.test", None, "https", False),
        ("2001:db8::1", 8585, "http", True),
        ("api.openai.com", None, "https", False),
        ("", None, "https", False),
    ],
)
def test_only_listed_hosts_read_utf8(host: str, port: int | None, scheme: str, reads: bool) -> None:
    bracketed = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{bracketed}:{port}/v1" if port else f"{scheme}://{bracketed}/v1"

    assert UTF8.reads_utf8(host, port, scheme) is reads
    assert UTF8.reads_utf8(host.encode(), port, scheme.encode()) is reads
    assert UTF8.url_reads_utf8(url) is reads


def test_by_default_helicones_hosts_read_utf8_and_the_entry_none_stands_for_no_host() -> None:
    urls = ("https://oai.helicone.ai/v1", "https://gateway.hconeai.com/v1", "https://acme.test/v1")

    assert [Destinations(("acme.test",)).url_reads_utf8(url) for url in urls] == [True, True, False]
    assert [Destinations(utf8=("none",)).url_reads_utf8(url) for url in urls] == [False] * 3


@pytest.mark.parametrize(
    ("host", "port", "scheme", "destination"),
    [
        ("oai.helicone.ai", None, "https", GATEWAY),
        ("ported.acme.test", 8443, "https", GATEWAY),
        ("ported.acme.test", None, "https", UNKNOWN),
        ("2001:db8::1", 8585, "http", GATEWAY),
        ("2001:db8::1", None, "http", UNKNOWN),
        ("api.openai.com", None, "https", UNKNOWN),
        ("oai.helicone.ai:443@evil.test", None, "https", UNKNOWN),
        ("", None, "https", UNKNOWN),
    ],
)
def test_a_host_is_recognised_by_its_name_port_and_scheme(
    host: str, port: int | None, scheme: str, destination: Destination
) -> None:
    assert LISTED.of_host(host, port, scheme) is destination


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        ".",
        "*.",
        "*",
        "*acme.test",
        "a.*.test",
        "https://gw.acme.test",
        "gw.acme.test/v1",
        "gw.acme.test:port",
        "gw.acme.test:99999",
        "gw.acme.test:0",
        "gw.acme.test:",
        ":8080",
        ".acme.test:8080",
        "*.acme.test:8080",
        "..acme.test",
        ".acme..test",
        "a..test",
        "user@gw.acme.test",
        "2001:db8::1",
        "[2001:db8::1",
        "b\u00fccher.test",
        ".b\u00fccher.test",
        "gw acme.test",
        "gw.acme.test\nevil.test",
        ".\u212alingon.test",
    ],
)
def test_an_entry_that_could_never_match_is_refused_and_named(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is not a host, host:port or \.suffix") as raised:
        HostList((entry,))

    shown = "…@" + entry.rpartition("@")[2] if "@" in entry else entry
    assert repr(shown)[:80] in str(raised.value)


@pytest.mark.parametrize("field", ["gateway_hosts", "propagate_hosts"])
def test_the_error_for_such_an_entry_names_the_setting(field: str) -> None:
    with pytest.raises(SettingsError, match=rf"HELICONE_{field.upper()}.*'https://gw\.acme\.test'"):
        Settings(**{field: ("gw.acme.test", "https://gw.acme.test")})


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        (" gw.acme.test ", "https://gw.acme.test/"),
        ("GW.ACME.TEST.", "https://gw.acme.test/"),
        (" .acme.test", "https://gw.acme.test/"),
        ("*.ACME.test.", "https://gw.acme.test/"),
        ("gw.acme.test:0443", "https://gw.acme.test/"),
        ("gw.acme.test.:443", "https://gw.acme.test/"),
        ("gw_1-a.acme.test", "https://gw_1-a.acme.test/"),
        ("gw", "http://gw/"),
        ("[::1]", "http://[::1]:1234/"),
        ("xn--bcher-kva.test", "https://xn--bcher-kva.test/"),
    ],
)
def test_an_entry_may_be_written_in_other_ways(entry: str, url: str) -> None:
    assert Destinations((entry,)).of_url(url) is GATEWAY


# --- compared with the URL parsers of urllib and httpx -------------------------------------------

# Most parts are plain, so that many URLs have exactly one odd part.


def _mostly(plain: list[str], *odd: str) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(plain), st.sampled_from(plain), st.sampled_from([*plain, *odd]))


_LABEL = _mostly(
    ["oai", "ai-gateway", "eu", "a1"], "api", "www", "helicone", "xn--e1afmkfd", "a" * 63, "-", "\u0435", ""
)
_TAIL = _mostly(
    ["helicone.ai", "hconeai.com", "svc.cluster.local"], "evil.test", "helicone.ai.evil.test", "helicone.ai."
)
_HOST = st.one_of(
    st.builds(lambda labels, tail: ".".join([*labels, tail]), st.lists(_LABEL, min_size=1, max_size=3), _TAIL),
    st.sampled_from(["127.0.0.1", "[::1]", "[2001:db8::1]", "10.0.0.7", "planner.acme.test", "ported.acme.test"]),
    st.text(string.ascii_letters + string.digits + ".-_@:%[]\\#?/ \t\n\u0435\uff0e\u212a", max_size=30),
)
_URL = st.one_of(
    st.builds(
        lambda scheme, user, host, port, rest: f"{scheme}{user}{host}{port}{rest}",
        _mostly(["https://", "http://", "HTTPS://"], "ftp://", "//", "https:/", "", "https:\\\\"),
        _mostly(["", "u@", "u:p@"], "oai.helicone.ai@", "u@v@", "@", "\\@", "%40@", "#@", "?@"),
        _HOST,
        _mostly(["", ":443", ":8443", ":8080", ":8585", ":8787"], ":", ":80", ":0", ":65536", ":x", ":\u0664"),
        _mostly(["", "/", "/v1", "?q", "#f"], "\\", "/@oai.helicone.ai", "?@oai.helicone.ai", "\n", " "),
    ),
    st.text(max_size=60),
)


def _reference(host: str | None, port: int | None, scheme: str) -> Destination:
    """Classify a host in another way than the library does."""
    if not host or scheme not in ("http", "https") or not host.isascii():
        return UNKNOWN
    host = host.lower().removesuffix(".")
    port = port or {"http": 80, "https": 443}[scheme]
    labels = host.split(".")
    if len(labels) > 2 and labels[-2:] in (["helicone", "ai"], ["hconeai", "com"]) and all(labels):
        below = labels[:-2]
        if "api" not in below and below not in (
            ["www"],
            ["docs"],
            ["us"],
            ["eu"],
            ["app"],
            ["status"],
            ["mcp"],
            ["cdn"],
        ):
            return GATEWAY
    if host in ("gw.acme.test", "gw.upper.test", "10.0.0.7"):
        return GATEWAY
    if (host, port) in (("ported.acme.test", 8443), ("2001:db8::1", 8585), ("127.0.0.1", 8787)):
        return GATEWAY
    if host == "planner.acme.test" or (host, port) == ("ported.acme.test", 8080):
        return SERVICE
    below_suffix = host.endswith((".svc.cluster.local", ".mesh.acme.test"))
    return SERVICE if below_suffix else UNKNOWN


def _by_urllib(url: str) -> Destination:
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
        if host and ":" in host:
            ipaddress.IPv6Address(host)
    except ValueError:
        return UNKNOWN
    return _reference(host, port, parts.scheme)


def _by_httpx(url: str) -> Destination:
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return UNKNOWN
    return _reference(parts.raw_host.decode("ascii"), parts.port, parts.scheme)


@given(_URL)
@example("https://oai.helicone.ai@evil.test/")
@example("https://evil.test\\@oai.helicone.ai/")
@settings(max_examples=examples(800), deadline=None)
def test_a_host_that_urllib_reads_differently_is_unknown(url: str) -> None:
    assert LISTED.of_url(url) in (_by_urllib(url), UNKNOWN)


@given(_URL)
@example("https://evil.test\\@oai.helicone.ai/")
@settings(max_examples=examples(800), deadline=None)
def test_a_host_that_httpx_reads_differently_is_unknown(url: str) -> None:
    assert LISTED.of_url(url) in (_by_httpx(url), UNKNOWN)


@given(
    st.builds(
        lambda scheme, labels, tail, port, rest: f"{scheme}://{'.'.join([*labels, tail])}{port}{rest}",
        st.sampled_from(["https", "http", "HTTP"]),
        st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=8), max_size=4),
        st.sampled_from(["helicone.ai", "hconeai.com", "acme.test", "svc.cluster.local", "HELICONE.ai."]),
        st.sampled_from(["", ":443", ":8080", ":8443"]),
        st.sampled_from(["", "/", "/v1/chat", "?q=1", "#f"]),
    )
)
@settings(max_examples=examples(300), deadline=None)
def test_plain_urls_are_read_as_urllib_and_httpx_read_them(url: str) -> None:
    assert (LISTED.of_url(url), LISTED.of_url(url)) == (_by_urllib(url), _by_httpx(url))


@given(st.one_of(_URL, _HOST, st.text()), st.one_of(st.none(), st.integers()), st.text(max_size=8))
@settings(max_examples=examples(500), deadline=None)
def test_no_text_raises_an_error(text: str, port: int | None, scheme: str) -> None:
    answers = (LISTED.of_url(text), LISTED.of_authority(text), LISTED.of_host(text, port, scheme))

    assert set(answers) <= {GATEWAY, SERVICE, UNKNOWN}


@given(_HOST, st.one_of(st.none(), st.sampled_from([80, 443, 8080, 8443, 8585, 8787])))
@settings(max_examples=examples(300), deadline=None)
def test_a_url_and_its_parts_give_the_same_destination(host: str, port: int | None) -> None:
    try:
        url = httpx2.URL(scheme="https", host=host, port=port, path="/")
    except (httpx2.InvalidURL, ValueError):
        return

    assert LISTED.of_host(url.raw_host.decode("ascii"), url.port, url.scheme) is LISTED.of_url(str(url))


@given(st.text(max_size=40))
@settings(max_examples=examples(300), deadline=None)
def test_an_entry_is_either_refused_or_matches_itself(entry: str) -> None:
    try:
        destinations = Destinations((entry,))
    except ValueError:
        return
    host = entry.strip().removeprefix("*")
    url = f"https://{'a' if host.startswith('.') else ''}{host}/"

    assert destinations.of_url(url) is GATEWAY


@pytest.mark.parametrize(
    ("url", "is_call"),
    [
        ("https://api.openai.com/v1/chat/completions", True),
        ("https://models.test/v1/chat/completions/?api-version=1", True),
        ("https://x.openai.azure.com/openai/deployments/e/embeddings?api-version=1", True),
        ("https://api.anthropic.com/v1/messages", True),
        ("https://generativelanguage.googleapis.com/v1beta/models/gemini-3:streamGenerateContent?alt=sse", True),
        ("https://chat.test/v1/messages", False),
        ("https://p.supabase.test/rest/v1/embeddings?select=id", False),  # a table of this name
        ("https://shop.test/orders", False),
    ],
)
def test_a_request_to_a_model_is_known_by_its_address(url: str, is_call: bool) -> None:
    assert calls_model(url) is is_call
