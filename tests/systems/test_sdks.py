"""The headers that calls of real LLM SDKs carry, and the HTTP clients that send them.

Each SDK is installed into its own virtual environment, with every published HTTP instrumentation. A local server
answers as the providers do.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.ahead import inherited
from tests.support.documents import part
from tests.support.environments import Environments, installing
from tests.support.paths import TESTS
from tests.support.raw_http import Wire, expected, in_any_case, listening

HERE = TESTS / "apps"
INSTRUMENTATIONS = ("requests", "urllib3", "aiohttp-client", "urllib", "botocore")
OURS = expected(id="ours", path="/ours", name="Ours")


class Sdk(NamedTuple):
    """An SDK.

    Attributes:
        package: What pip installs.
        calls: The functions of `sdk_calls.py`, and the HTTP client that each uses.
        own_spans: The scopes of spans that the SDK makes itself.
        note: A remark for the table in the documentation.
    """

    package: str
    calls: dict[str, str]
    own_spans: tuple[str, ...] = ()
    note: str = ""


SDKS = [
    Sdk("openai[aiohttp]", {"openai": "httpx2", "openai_async": "httpx2", "openai_aiohttp": "aiohttp"}),
    Sdk("anthropic", {"anthropic": "httpx2", "anthropic_async": "httpx2"}, ("com.anthropic.sdk.python",)),
    Sdk("google-genai", {"google_genai": "httpx2", "google_genai_async": "httpx2"}),
    Sdk("google-genai[aiohttp]", {"google_genai": "httpx2", "google_genai_async": "aiohttp"}),
    Sdk("mistralai", {"mistralai": "httpx2", "mistralai_async": "httpx2"}),
    Sdk("cohere", {"cohere": "httpx", "cohere_async": "httpx"}),
    Sdk("litellm", {"litellm": "httpx", "litellm_async": "aiohttp"}),
    Sdk("ollama", {"ollama": "httpx", "ollama_async": "httpx"}),
    Sdk("boto3", {"boto3": "urllib3"}, note="; AWS's signature stays valid"),
]

ANSWERS = {
    ":generateContent": {"candidates": [{"content": {"role": "model", "parts": [{"text": "OK"}]}}]},
    "/v2/chat": {
        "id": "1",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "OK"}]},
    },
    "/api/chat": {"model": "m", "done": True, "message": {"role": "assistant", "content": "OK"}},
    "/converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "OK"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    },
}


def test_the_table_in_the_documentation_is_the_one_tested_here() -> None:
    assert part("sdks").splitlines() == [
        "| SDK | sends by | headers, without and with HTTP instrumentation |",
        "|---|---|---|",
        *(f"| {_cell(sdk)} | {', '.join(dict.fromkeys(sdk.calls.values()))} | each once{sdk.note} |" for sdk in SDKS),
    ]


def _cell(sdk: Sdk) -> str:
    return f"`{sdk.package}`" + (" (Bedrock)" if sdk.package == "boto3" else "")


class Called(NamedTuple):
    """What two calls by the same function of `sdk_calls.py` sent and printed: one to a gateway, one to a provider."""

    asked: tuple[str, bool]
    gateway: Wire
    provider: Wire
    at_gateway: dict[str, Any]
    at_provider: dict[str, Any]


def called(sdk: Sdk, environments: Environments) -> list[Called]:
    """Make each call of an SDK, without and with HTTP instrumentation."""
    python = _environment(environments, sdk.package)
    return [_called(python, call, instrumented) for call in sdk.calls for instrumented in (False, True)]


def _called(python: Path, call: str, instrumented: bool) -> Called:
    with listening(answers=ANSWERS) as gateway, listening(answers=ANSWERS) as provider:
        at_gateway = _call(python, call, gateway, gateway.netloc, instrumented)
        at_provider = _call(python, call, provider, gateway.netloc, instrumented)
    return Called((call, instrumented), gateway, provider, at_gateway, at_provider)


@pytest.mark.slow
@pytest.mark.ahead(work=called)
@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.package)
def test_each_sdks_calls_carry_each_header_once(sdk: Sdk, outcome: list[Called]) -> None:
    assert [each.asked for each in outcome] == [(call, with_http) for call in sdk.calls for with_http in (False, True)]
    for asked, gateway, provider, at_gateway, at_provider in outcome:
        call, instrumented = asked
        client = sdk.calls[call]
        core = {"httpx": "httpcore", "httpx2": "httpcore2"}.get(client, client)
        assert (asked, [in_any_case(gateway.helicone(n)) for n in range(len(gateway.heads))]) == (
            asked,
            [in_any_case(OURS)],
        )
        assert (asked, [provider.helicone(n) for n in range(len(provider.heads))]) == (asked, [[]])
        assert (asked, at_gateway["sent_by"], at_provider["sent_by"]) == (asked, [core], [core])
        assert (asked, at_gateway["ids"]) == (asked, gateway.row_ids)
        scopes = [scope for scope, _ in at_gateway["spans"]]
        assert {path for _, path in at_gateway["spans"]} <= {"/ours"}
        assert instrumented or scopes == list(sdk.own_spans)
        if call == "boto3":
            assert [_has_valid_signature(wire) for wire in (gateway, provider)] == [True, True]


def _environment(environments: Environments, package: str) -> Path:
    python = environments.python(f"sdk {package}", [package])
    newest = subprocess.run(
        [python, "-c", "from importlib.metadata import version as v; print(v('opentelemetry-instrumentation'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    # Without dependencies, because each pins all others at its own version.
    wanted = [f"opentelemetry-instrumentation-{name}<={newest}" for name in INSTRUMENTATIONS]
    alone = [*wanted, "opentelemetry-propagator-aws-xray"]
    subprocess.run([*installing(python), "--no-deps", *alone], check=True)
    return python


def _call(python: Path, call: str, wire: Wire, hosts: str, instrumented: bool) -> dict[str, Any]:
    run = subprocess.run(
        [python, HERE / "sdk_calls.py", call, wire.url, hosts, "yes" if instrumented else "no"],
        # Without the second variable litellm downloads a list of prices.
        env={**inherited(), "NO_PROXY": "*", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def _has_valid_signature(wire: Wire) -> bool:
    """Compute AWS's signature of what arrived, as AWS does, and compare.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    headers = {name.decode().lower(): value.decode() for name, value in wire.headers()}
    method, path, _ = wire.heads[-1].decode().split(" ", 2)
    found = re.match(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/(.+), SignedHeaders=(.+), Signature=(.+)", headers["authorization"]
    )
    assert found is not None
    scope, signed, signature = found.groups()
    lines = [f"{name}:{headers[name]}" for name in signed.split(";")]
    body = hashlib.sha256(wire.bodies[-1]).hexdigest()
    request = "\n".join([method, path, "", *lines, "", signed, body])
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    for text in (*scope.split("/"), "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])):
        key = hmac.digest(key, text.encode(), "sha256")
    return key.hex() == signature


def test_a_wrong_signature_is_not_valid() -> None:
    head = (
        b"POST /model/m/converse HTTP/1.1\r\nhost: h\r\nx-amz-date: 20261122T000000Z\r\n"
        b"authorization: AWS4-HMAC-SHA256 Credential=A/20261122/eu-west-1/bedrock/aws4_request, "
        b"SignedHeaders=host;x-amz-date, Signature=00\r\n\r\n"
    )

    assert not _has_valid_signature(Wire("http://h", heads=[head], bodies=[b""]))
