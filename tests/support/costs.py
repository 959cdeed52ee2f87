"""What the calls of the seeded sessions cost by the installed list of prices, and how the pages write it."""

from __future__ import annotations

from decimal import Decimal

from genai_prices import Usage, calc_price

from tests.support.view_seed import MODEL, tokens_of

# Smaller amounts are written as less than this one where there is little room.
TINY = 0.0001


def cost_of(inputs: int, outputs: int) -> float:
    """Return what a call of a review costs, in US dollars."""
    usage = Usage(input_tokens=inputs, output_tokens=outputs)
    return float(calc_price(usage, MODEL, provider_id="openai").total_price)


def cost_of_review(questions: int) -> float:
    """Return what a review of so many questions costs, in US dollars."""
    return sum(cost_of(*tokens_of(question)) for question in range(questions))


def money(dollars: float) -> str:
    """Return an amount as the pages write it: three significant digits, or cents from one dollar on."""
    return f"${Decimal(f'{dollars:.3g}'):f}" if 0 < dollars < 1 else f"${dollars:,.2f}"


def short_money(dollars: float) -> str:
    """Return an amount as a narrow column has it."""
    return f"< {money(TINY)}" if 0 < dollars < TINY else money(dollars)
