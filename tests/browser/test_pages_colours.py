"""The colours of paths: people with colour blindness can tell each from all others, in light and dark mode."""

from __future__ import annotations

from itertools import combinations
from math import cbrt, dist
from typing import TYPE_CHECKING

import pytest

from tests.browser.window import BrowserWindow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from helicone_otel.tools.view.server import View

pytestmark = pytest.mark.browser

# In OKLab, colours at a distance of 0.02 are just told apart. https://bottosson.github.io/posts/oklab/
LEAST = 0.05
# What people see of linear RGB who lack one kind of cones: Machado, Oliveira and Fernandes, 2009, severity 1.
# https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html
SIGHT = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_each_two_colours_can_be_told_apart(seeded: View, browser: Browser, scheme: str, sight: str) -> None:
    from helicone_otel.tools.view.colours import HUES  # noqa: PLC0415  # needs the extra "view"

    with BrowserWindow.at(browser, color_scheme=scheme) as window:
        page = window.session(seeded.url, "review/1", "reviewer")
        drawn = page.evaluate(
            'async (hues) => { const { colour } = await import("/static/colour.js"); return hues.map(colour); }',
            list(HUES),
        )

    seen = {hue: _oklab(_seen(colour, SIGHT[sight])) for hue, colour in zip(HUES, drawn, strict=True)}
    assert [pair for pair in combinations(HUES, 2) if dist(seen[pair[0]], seen[pair[1]]) < LEAST] == []


def _seen(colour: str, cones: tuple[tuple[float, ...], ...]) -> list[float]:
    linear = [_linear(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5)]
    mixed = (sum(factor * part for factor, part in zip(row, linear, strict=True)) for row in cones)
    return [min(1.0, max(0.0, part)) for part in mixed]


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _oklab(linear: list[float]) -> tuple[float, float, float]:
    red, green, blue = linear
    long = cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )
