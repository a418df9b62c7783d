"""Data sets: fetched, checked, prepared into one HDF5 container, read in batches."""
