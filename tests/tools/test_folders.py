"""Paths as nested folders, and the tree of the view that is made of them."""

from __future__ import annotations

import sqlite3

from helicone_otel.tools.folders import Folder
from helicone_otel.tools.view.queries.session import StoredRequest, tree


def a_tree(*paths: str) -> Folder[list[str]]:
    root = Folder[list[str]](list)
    for path in paths:
        root.open(path.split("/")).content.append(path)
    return root


def test_a_folder_is_made_with_all_levels_above_it() -> None:
    root = a_tree("a/b")

    assert [(folder.path, folder.segment, folder.content) for folder in root.walk()] == [
        ("/", "", []),
        ("/a", "a", []),
        ("/a/b", "b", ["a/b"]),
    ]


def test_a_folder_that_is_opened_twice_is_one_folder() -> None:
    assert a_tree("a", "a").folders["a"].content == ["a", "a"]


def test_each_folder_comes_before_what_it_holds_in_the_order_of_opening() -> None:
    assert [folder.path for folder in a_tree("b/x", "a", "b/c").walk()] == ["/", "/b", "/b/x", "/b/c", "/a"]


def test_folders_of_one_level_can_be_sorted() -> None:
    root = a_tree("b/x", "a", "b/c")

    assert [folder.path for folder in root.walk(key=lambda folder: folder.segment)] == ["/", "/a", "/b", "/b/c", "/b/x"]


def test_a_path_may_be_deeper_than_the_stack() -> None:
    assert sum(1 for _ in a_tree("/".join("x" * 5000)).walk()) == 5001


def request(path: str, start: int, error: str | None = None) -> StoredRequest:
    return StoredRequest(path, path, "llm", "m", "m", start, start + 1_000_000, None, None, None, error, "LLM")


def steps(*steps: tuple[str, int, str | None]) -> list[sqlite3.Row]:
    """Return steps as the database has them: of path, start and error."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    sql = "SELECT ?, 'task', ?, ?, ?, 0, 0"
    rows = [connection.execute(sql, (path, start, start + 9, error)).fetchone() for path, start, error in steps]
    connection.close()
    return rows


def test_the_view_has_folders_only_where_requests_are() -> None:
    shown = tree([request("/a/b/c", 3)], steps(("/a", 0, None), ("/a/x", 1, None), ("/y", 2, None)))

    assert [level["path"] for level in shown] == ["/a", "/a/b", "/a/b/c"]


def test_the_view_has_all_folders_of_a_session_without_requests() -> None:
    assert [level["path"] for level in tree([], steps(("/y", 2, None), ("/a/x", 1, None)))] == ["/a", "/a/x", "/y"]


def test_the_view_has_folders_in_the_order_of_their_first_requests() -> None:
    shown = list(tree([request("/b", 5_000), request("/a", 7_000)], steps(("/a", 0, None), ("/b", 3_000, None))))

    assert [(level["path"], level["first_ms"], level["start_ms"]) for level in shown] == [
        ("/b", 0.005, 0.003),
        ("/a", 0.007, 0.0),
    ]


def test_only_requests_are_errors_and_steps_that_failed_are_counted_by_themselves() -> None:
    shown = tree([request("/a/b", 1, "overloaded")], steps(("/a", 0, "overloaded"), ("/a/b", 0, None)))

    assert [(level["path"], level["errors"], level["failed_runs"]) for level in shown] == [("/a", 1, 1), ("/a/b", 1, 0)]


def test_the_view_shows_a_request_at_the_root_beside_other_paths() -> None:
    requests = [
        request(path, start, error)
        for path, start, error in (("/", 0, None), ("/a", 2_000_000, "overloaded"), ("/a/b", 5_000_000, None))
    ]

    levels = [
        (level["path"], level["requests_below"], level["errors"], level["end_ms"]) for level in tree(requests, [])
    ]

    assert levels == [("/", 1, 0, 1.0), ("/a", 2, 1, 6.0), ("/a/b", 1, 0, 6.0)]
