"""Why a span is what it is: spans from a file, played again through the library itself."""
