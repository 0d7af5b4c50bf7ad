"""WHERE pictures rest: those that callers upload and those that engines make."""
