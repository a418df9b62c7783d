"""Pictures of faces from HDF5 files, zips or folders, cut to squares."""
