"""Takes requests from the ledger and draws them: one process per device; a crash loses nothing."""
