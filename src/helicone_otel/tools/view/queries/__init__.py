"""The queries of the pages. `API.md` describes every answer."""
