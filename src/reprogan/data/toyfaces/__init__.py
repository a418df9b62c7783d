"""Faces drawn from a seed: no licence, nobody's photograph, and everything about them known."""
