"""Begins the work of a module's tests before they run, two at a time: most of it waits for other processes.

    @pytest.mark.ahead(work=add)
    @pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 4)])
    def test_a_sum_is_a_number(one: int, other: int, outcome: int) -> None: ...

`outcome` is what `add(one=1, other=2)` returned. What it raised is raised in the test.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import pytest

P = ParamSpec("P")
R = TypeVar("R")

# As many as the smallest machine in CI has cores.
_AT_A_TIME = 2


def once(function: Callable[P, R]) -> Callable[P, R]:
    """Keep what a function returned for the same arguments, and let a thread wait for another that asks for it."""
    locks: defaultdict[tuple[Any, ...], threading.Lock] = defaultdict(threading.Lock)
    kept = functools.cache(function)

    @functools.wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        with locks[args, *kwargs.items()]:
            return kept(*args, **kwargs)

    return asked


def inherited(*unwanted: str) -> dict[str, str]:
    """Return the variables of this process, without pytest's own and those that begin so.

    Other threads may run tests meanwhile, and pytest changes its variables with each.
    """
    given = {name: os.environ.get(name) for name in list(os.environ) if not name.startswith(("PYTEST_", *unwanted))}
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture
def outcome(request: pytest.FixtureRequest, _outcomes: dict[str, Future[Any]]) -> Any:
    """Return what the function in the mark `ahead` returned for this test."""
    return _outcomes[request.node.nodeid].result()


@pytest.fixture(scope="module")
def _outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """Begin the work of all tests of the module that were selected, in their order."""
    pool = ThreadPoolExecutor(_AT_A_TIME)
    yield {
        item.nodeid: pool.submit(_work(item, mark.kwargs["work"], request))
        for item in request.session.items
        if item.getparent(pytest.Module) is request.node and (mark := item.get_closest_marker("ahead"))
    }
    pool.shutdown(cancel_futures=True)


def _work(item: pytest.Item, function: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Return a function with its arguments, which are parameters of the test, or fixtures of the module or session."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    names = inspect.signature(function).parameters
    return functools.partial(
        function, **{name: given[name] if name in given else request.getfixturevalue(name) for name in names}
    )
