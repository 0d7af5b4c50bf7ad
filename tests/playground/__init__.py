"""The page at / in a real browser, against a real server."""
