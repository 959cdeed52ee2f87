"""What is published: the wheel, the source distribution, the page on the package index, and the image's recipe."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.environments import Environments
from tests.support.paths import REPOSITORY
from tests.systems.test_examples import EXAMPLES, entrypoint

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
RECIPE = (EXAMPLES / "view" / "Dockerfile").read_text()
_TIMEOUT = 300
MEGABYTE = 1_000_000


def _called(*command: str | Path, cwd: Path) -> str:
    # The gate tells pip to be quiet.
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_QUIET")}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(environments: Environments) -> Path:
    """Return an interpreter with the tools that publish, and with this clone installed for development."""
    return environments.python("package", ["build", "pip", "twine"])


@pytest.fixture(scope="module")
def dist(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    _called(python, "-m", "build", "--outdir", folder, REPOSITORY, cwd=folder)
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def metadata(dist: Path) -> Message:
    with zipfile.ZipFile(only(dist, "*.whl")) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(wheel.read(name).decode())


def test_the_package_index_accepts_what_is_built(python: Path, dist: Path) -> None:
    checked = _called(python, "-m", "twine", "check", "--strict", *dist.iterdir(), cwd=dist)

    assert checked.count("PASSED") == 2


def test_the_page_on_the_package_index_has_no_relative_link_and_is_short(dist: Path) -> None:
    page = metadata(dist).get_payload()

    assert isinstance(page, str)
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not link.startswith(("https://", "#"))] == []
    version = PROJECT["version"]
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert picture.startswith("https://raw.githubusercontent.com/")
    assert picture.endswith(f"/v{version}/docs/images/session-light.png")
    # The launcher parses it at each start of an app.
    assert len(page.encode()) < 16_384


def test_the_metadata_name_the_authors_the_urls_and_each_python(dist: Path) -> None:
    found = metadata(dist)

    assert found["Author"] == "the helicone-otel developers"
    assert {url.partition(",")[0] for url in found.get_all("Project-URL", ())} == set(PROJECT["urls"])
    pythons = [name.rpartition(" ")[2] for name in found.get_all("Classifier", ()) if re.search(r":: 3\.\d+$", name)]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]


def test_the_changelog_has_the_version_as_a_release() -> None:
    (first, *_) = re.findall(r"^## (.+)$", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert re.fullmatch(rf"{re.escape(PROJECT['version'])} - \d{{4}}-\d\d-\d\d", first)


def test_the_distributions_hold_what_is_needed_and_no_recordings(dist: Path) -> None:
    package = REPOSITORY / "src" / "helicone_otel"
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    wanted = {name for name in files if "__pycache__" not in name}
    sdist = only(dist, "*.tar.gz")
    with zipfile.ZipFile(only(dist, "*.whl")) as wheel, tarfile.open(sdist) as sources:
        in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
        in_sources = {name.partition("/")[2] for name in sources.getnames()}

    assert in_wheel == wanted
    assert {f"src/{name}" for name in wanted} <= in_sources
    assert [name for name in in_sources if name.startswith("tests/")] == []
    assert sdist.stat().st_size < MEGABYTE
    assert only(dist, "*.whl").stat().st_size < MEGABYTE


def test_the_command_that_a_hint_names_works_in_a_clone_too(python: Path, tmp_path: Path) -> None:
    """`helicone-otel view` without its extra says `pip install "helicone-otel[view]"`."""
    planned = _called(python, "-m", "pip", "install", "--dry-run", "helicone-otel[view]", cwd=tmp_path)

    assert "Requirement already satisfied: helicone-otel[view]" in planned
    assert "uvicorn" in planned


def test_the_recipe_of_the_image_installs_and_starts_the_view(environments: Environments, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for line in re.findall(r"^COPY (.+)$", RECIPE, flags=re.MULTILINE):
        *names, target = line.split()
        to = source / target.removeprefix("/source").strip("/")
        for name in names:
            copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
            source.mkdir(exist_ok=True)
            copy(REPOSITORY / name, to)
    (extra,) = re.findall(r'pip install --no-cache-dir "/source\[(\w+)\]"', RECIPE)
    folder = environments.copy("view-image", [f"{source}[{extra}]"])
    arguments = [part.replace("/data", str(tmp_path)).replace("0.0.0.0", "127.0.0.1") for part in entrypoint()[1:]]

    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-S", "-m", "helicone_otel", *arguments, "--free-ports"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as view:
        assert view.stdout is not None
        assert view.stdout.readline().startswith("The view: http://127.0.0.1:")
        view.send_signal(signal.SIGINT)
        assert view.wait(_TIMEOUT) == 0
    assert (tmp_path / "sessions.db").exists()
