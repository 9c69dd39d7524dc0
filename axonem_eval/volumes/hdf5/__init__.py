"""Label volumes in HDF5, read chunk by chunk, with or without the HDF5 library."""
