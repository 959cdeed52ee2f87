"""The command line: `run` and `demo`. Of the library only the instrumentor looks in here, under `run`."""
