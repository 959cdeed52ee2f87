"""What the pages ask the store. The shape of every answer is described in `API.md`."""
