"""Pictures of faces from HDF5 files, zips, folders or the project's own pen, cut to squares."""
