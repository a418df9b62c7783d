"""Timing our training against plain loops of the same networks."""
