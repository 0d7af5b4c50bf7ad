"""WHERE requests wait: one ledger, whose rows are the whole truth."""
