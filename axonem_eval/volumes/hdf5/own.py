"""What an HDF5 file holds itself. Links and storage may name any other file, which its sender must not get to read."""

from pathlib import Path

import h5py

from axonem_eval.errors import InputError


def own_member(path: Path, group: h5py.Group, key: str) -> h5py.Group | h5py.Dataset | None:
    """What a hard link of a group leads to; None for any other link within the file, or none.

    Raises InputError for a link into another file, and KeyError where what it leads to cannot be opened.
    """
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        name = f"{group.name}/{key}".lstrip("/")
        raise InputError.of(
            "external_link",
            f"{path.name}: {name!r} is a link into another file; such links are never followed. Copy the data "
            f"into this file (in h5py: g.copy(f['name'], {key!r}, expand_external=True)) and remove the link",
        )
    return group[key] if isinstance(link, h5py.HardLink) else None


def require_own_data(path: Path, dataset: h5py.Dataset) -> None:
    """Raise InputError where the data lie in other files."""
    if dataset.is_virtual or dataset.external:
        raise InputError.of(
            "external_storage",
            f"{path.name}: dataset {dataset.name!r} keeps its data in other files (virtual or external "
            "storage), which are never read. Write the data into this file",
        )
