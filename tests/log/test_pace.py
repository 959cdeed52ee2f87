"""How the queue of rows behaves towards servers in trouble, in simulated time: no test here waits or sends."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from helicone_otel.log.delivery import lane, pace
from helicone_otel.log.delivery.answer import Answer
from helicone_otel.log.delivery.lane import PendingRow
from helicone_otel.log.delivery.queue import RowQueue
from helicone_otel.log.delivery.verdict import BROKEN_OFF, Delivery, DeliveryResult, result_of_answer

TAKEN = DeliveryResult(Delivery.DELIVERED)
TOO_LATE = DeliveryResult(Delivery.LATER, "too late", blames_row=True)


def answered(status: int, retry_after: str | None = None) -> DeliveryResult:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return result_of_answer(Answer(status, headers, b"ok" if status == 200 else b""), "")


FAILURES = (answered(503), answered(500), BROKEN_OFF)


@dataclass
class Simulation:
    """A queue, and a server that answers each row with what `server` returns.

    Attributes:
        server: Called with a row and the time; returns the result, and after how many seconds it comes.
        now: The time.
        results: How often each result came, by key: `delivered` or the reason.
        times: When the rows of each key were delivered.
    """

    server: Callable[[PendingRow, float], tuple[DeliveryResult, float]]
    max_rows: int = 2048
    max_bytes: int = 64 * 2**20
    now: float = 1000.0
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue = RowQueue(self.max_rows, self.max_bytes, clock=lambda: self.now)
        self._coming: list[tuple[float, int, PendingRow, DeliveryResult]] = []
        self._number = 0

    def put(self, count: int, key: str = "a", body: bytes = b"{}") -> int:
        """Queue rows; return how many rows were dropped, of any key."""
        dropped = 0
        for _ in range(count):
            self._number += 1
            dropped += len(self.queue.put(PendingRow(str(self._number), key, "http://log.test/log", body)))
        return dropped

    def run(self, seconds: float = 1e6) -> float:
        """Let the time go on until no row is left, or for so long; return how many seconds it took."""
        began, end = self.now, self.now + seconds
        while len(self.queue):
            while (row := self.queue.take_now()) is not None:
                result, after = self.server(row, self.now)
                self._number += 1
                heapq.heappush(self._coming, (self.now + after, self._number, row, result))
            moments = [moment for moment in (self._next_answer(), self.queue.opens_at()) if moment is not None]
            self.now = max(min(moments), self.now)
            if self.now > end:
                self.now = end
                break
            while self._coming and self._coming[0][0] <= self.now:
                self._settle(*heapq.heappop(self._coming)[2:])
        return self.now - began

    def _next_answer(self) -> float | None:
        return self._coming[0][0] if self._coming else None

    def _settle(self, row: PendingRow, result: DeliveryResult) -> None:
        reason = result.reason or "delivered"
        self.results[row.key, reason] += 1
        if result.delivery is Delivery.DELIVERED:
            self.queue.delivered(row)
            self.times.setdefault(row.key, []).append(self.now)
        elif result.delivery is Delivery.REFUSED:
            self.queue.refused(row)
        else:
            self.queue.put_back(row, result)

    def delivered(self, key: str = "a") -> int:
        return self.results[key, "delivered"]


class Limited:
    """A server that takes so many rows a second."""

    def __init__(self, rate: float, burst: float, beyond: DeliveryResult, until: float = 1e9) -> None:
        self.rate, self.burst, self.beyond, self.until = rate, burst, beyond, until
        self.left, self.since = 1.0, 1000.0
        self.refused = 0

    def __call__(self, _row: PendingRow, now: float) -> tuple[DeliveryResult, float]:
        if now >= self.until:
            return TAKEN, 0.01
        self.left = min(self.left + (now - self.since) * self.rate, self.burst)
        self.since = now
        if self.left < 1:
            self.refused += 1
            return self.beyond, 0.01
        self.left -= 1
        return TAKEN, 0.01


@pytest.fixture(autouse=True)
def fixed_jitter(monkeypatch: pytest.MonkeyPatch) -> Iterator[random.Random]:
    chance = random.Random(7)
    monkeypatch.setattr(pace, "CHANCE", chance)
    monkeypatch.setattr(lane, "CHANCE", chance)
    return chance


# --- a rate limit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "burst", "beyond", "rows", "refused"),
    [
        (5, 5, answered(429, "1"), 200, 100),
        (5, 5, answered(429), 200, 150),
        (5, 5, answered(503, "1"), 200, 200),
        (5, 5, answered(503), 200, 300),
        (1, 1, answered(429, "1"), 60, 100),
        (1, 1, answered(429), 60, 100),
        (1, 60, answered(429, "60"), 60, 50),
        (0.5, 1, answered(429, "2"), 30, 80),
        (100, 100, answered(429, "1"), 2000, 100),
    ],
    ids=lambda value: value.reason if isinstance(value, DeliveryResult) else str(value),
)
def test_a_rate_limit_loses_nothing_and_is_nearly_used_up(
    rate: float, burst: float, beyond: DeliveryResult, rows: int, refused: int
) -> None:
    server = Limited(rate, burst, beyond)
    simulation = Simulation(server)
    simulation.put(rows)

    took = simulation.run()

    assert (simulation.delivered(), simulation.queue.lost) == (rows, 0)
    assert took < rows / rate * 1.5 + 5
    assert server.refused < refused  # the first burst is 32


def test_a_lane_speeds_up_again_when_the_limit_is_gone() -> None:
    simulation = Simulation(Limited(5, 5, answered(429, "1"), until=1030.0))
    simulation.put(2000)
    simulation.run(30)
    slow = simulation.delivered()

    took = simulation.run()

    assert 100 < slow < 200
    assert (simulation.delivered(), simulation.queue.lost) == (2000, 0)
    assert took < 60


def test_what_was_learned_of_a_key_stays_when_its_rows_are_gone() -> None:
    server = Limited(5, 5, answered(429, "1"))
    simulation = Simulation(server)
    simulation.put(50)
    simulation.run()
    refused = server.refused

    simulation.put(20)
    simulation.run()

    assert simulation.delivered() == 70
    assert server.refused - refused < 5


# --- some 503s, and a server that is down -----------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "share", "speed"),
    [
        *((failure, *one) for failure in FAILURES for one in ((0.02, 0.9), (0.1, 0.75), (0.2, 0.6))),
        # A server of many nodes, of which one is at its limit now and then.
        *((answered(429), *one) for one in ((0.01, 0.9), (0.02, 0.6))),
    ],
    ids=lambda value: value.reason if isinstance(value, DeliveryResult) else str(value),
)
def test_some_failures_do_not_slow_the_others_down(
    failure: DeliveryResult, share: float, speed: float, fixed_jitter: random.Random
) -> None:
    def seconds(share: float) -> float:
        simulation = Simulation(
            lambda _row, _now: (failure if fixed_jitter.random() < share else TAKEN, 0.005), max_rows=100_000
        )
        simulation.put(10_000)
        simulation.run()
        assert (simulation.delivered(), simulation.queue.lost) == (10_000, 0)
        # Without the last few rows, which nothing else delays any more.
        return simulation.times["a"][9_800] - 1000

    assert seconds(0) / seconds(share) > speed


@pytest.mark.parametrize("seed", range(10))
def test_a_server_that_fails_in_many_ways_is_not_taken_for_one_that_limits_the_rate(
    seed: int, fixed_jitter: random.Random
) -> None:
    fixed_jitter.seed(seed)
    odd = (*[answered(503)] * 2, answered(429, "0.1"), *[BROKEN_OFF] * 3)

    def server(_row: PendingRow, now: float) -> tuple[DeliveryResult, float]:
        is_down = 1015 <= now < 1018
        return answered(503) if is_down else fixed_jitter.choice(odd) if fixed_jitter.random() < 0.06 else TAKEN, 0.05

    simulation = Simulation(server, max_rows=100_000)
    for _ in range(300):
        simulation.put(fixed_jitter.randrange(50))
        end = simulation.now + 0.1
        simulation.run(0.1)
        simulation.now = end

    assert simulation.run() < 15
    assert simulation.queue.lost == 0


@pytest.mark.parametrize("failure", [answered(503), answered(502), BROKEN_OFF, TOO_LATE], ids=lambda one: one.reason)
def test_a_server_that_is_down_gets_few_requests_and_then_all_rows(failure: DeliveryResult) -> None:
    simulation = Simulation(lambda _row, now: (failure if now < 1300 else TAKEN, 0.01))
    simulation.put(2000)
    simulation.run(299)
    asked = sum(simulation.results.values())

    took = simulation.run()

    assert asked < 100
    assert (simulation.delivered(), simulation.queue.lost) == (2000, 0)
    assert took < 15


def test_nothing_is_given_up_however_often_a_server_fails(fixed_jitter: random.Random) -> None:
    simulation = Simulation(lambda _row, _now: (answered(500) if fixed_jitter.random() < 0.7 else TAKEN, 0.01))
    simulation.put(500)

    simulation.run()

    assert (simulation.delivered(), simulation.queue.lost) == (500, 0)


@pytest.mark.parametrize(("poisoned", "seconds"), [(1, 1), (20, 10), (300, 500)])
def test_rows_that_alone_fail_are_given_up_and_do_not_hold_up_the_others_for_long(
    poisoned: int, seconds: float
) -> None:
    simulation = Simulation(lambda row, _now: (answered(500) if row.body == b"poison" else TAKEN, 0.01))
    simulation.put(poisoned, body=b"poison")
    simulation.put(200)

    while len(simulation.queue):
        simulation.run(1)
        simulation.put(1 if simulation.queue.lost < poisoned and simulation.now < 3000 else 0)

    assert simulation.queue.lost == poisoned
    assert simulation.times["a"][150] < 1000 + seconds


# --- tenants ----------------------------------------------------------------------------------------


def hangs(_row: PendingRow, _now: float) -> tuple[DeliveryResult, float]:
    return TOO_LATE, 30.0


@pytest.mark.parametrize(
    "refuse",
    [
        lambda _row, _now: (answered(429, "60"), 0.01),
        lambda _row, _now: (answered(429), 0.01),
        lambda _row, _now: (answered(503), 0.01),
        lambda _row, _now: (answered(401), 0.01),
        hangs,
    ],
    ids=["429 with Retry-After", "429", "503", "401", "hangs"],
)
@pytest.mark.parametrize("others", [1, 60])
def test_keys_that_are_refused_for_ever_hold_up_no_other(
    refuse: Callable[[PendingRow, float], tuple[DeliveryResult, float]], others: int
) -> None:
    simulation = Simulation(lambda row, now: (TAKEN, 0.01) if row.key == "well" else refuse(row, now))
    for _ in range(10):
        for tenant in range(others):
            simulation.put(2500 // others, key=f"refused-{tenant}")
        simulation.run(0.7)
    came = simulation.now

    for _ in range(100):
        simulation.put(1, key="well")
        simulation.run(0.01)
    simulation.run(40 if others > 1 and refuse is hangs else 5)

    assert simulation.delivered("well") == 100
    assert simulation.times["well"][0] - came < (31 if refuse is hangs and others > 1 else 1)


def test_a_key_takes_room_from_a_longer_lane_only_until_both_are_equally_long() -> None:
    simulation = Simulation(hangs, max_rows=100)

    assert simulation.put(120, "a") == 20  # one key alone may fill the queue
    assert simulation.put(80, "b") == 80
    assert {key: one.rows for key, one in simulation.queue._lanes.items()} == {"a": 50, "b": 50}
    assert len(simulation.queue) == 100
    assert simulation.queue.lost == 100


def test_room_in_bytes_is_shared_in_the_same_way() -> None:
    simulation = Simulation(hangs, max_bytes=100 * 11_024)

    simulation.put(120, "a", bytes(10_000))
    simulation.put(2, "b", bytes(100_000))

    assert simulation.queue._lanes["b"].rows == 2
    assert 780_000 < simulation.queue._lanes["a"].bytes < 900_000
    assert simulation.queue.bytes <= 100 * 11_024


def test_a_row_that_is_larger_than_the_whole_queue_is_dropped_alone() -> None:
    simulation = Simulation(hangs, max_bytes=100_000)
    simulation.put(10, "a")

    assert simulation.put(1, "b", bytes(200_000)) == 1
    assert simulation.queue._lanes["a"].rows == 10


def test_keys_that_are_well_are_served_in_turn() -> None:
    simulation = Simulation(lambda _row, _now: (TAKEN, 1.0))
    simulation.put(1000, "a")
    simulation.put(64, "b")

    simulation.run(5)

    assert simulation.delivered("b") == 64
