"""Networks only, one file an architecture; no losses, no data."""
