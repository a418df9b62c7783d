"""The trainer: any system, exact resume, no tracking library."""
