"""One self-contained HTML page of all variants: scores, pictures, curves, parameters."""
