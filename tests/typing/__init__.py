"""Users' code: `mypy --strict` and `pyright` in strict mode check it, and nobody runs it.

Each `assert_type` names the type that both must infer. Where a call must be refused, a comment ignores the error,
and both report a comment that ignores nothing. No file is named `test_…`, so pytest collects none.
"""
