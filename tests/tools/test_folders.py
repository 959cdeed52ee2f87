"""Paths as nested folders, and the tree of the view that is made of them."""

from __future__ import annotations

from helicone_otel.tools.folders import Folder
from helicone_otel.tools.view.queries.tree import StoredRequest, tree


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


def test_the_view_shows_a_request_at_the_root_beside_other_paths() -> None:
    requests = [
        StoredRequest(path, path, "llm", "m", "m", start, start + 1_000_000, None, None, None, error)
        for path, start, error in (("/", 0, None), ("/a", 2_000_000, "overloaded"), ("/a/b", 5_000_000, None))
    ]

    levels = [
        (level["path"], level["requests_below"], level["errors"], level["end_ms"]) for level in tree(requests, [])
    ]

    assert levels == [("/", 1, 0, 1.0), ("/a", 2, 1, 6.0), ("/a/b", 1, 0, 6.0)]
