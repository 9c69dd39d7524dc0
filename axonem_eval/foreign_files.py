"""Says what a file is that was handed in by mistake where skeletons are expected."""

from axonem_eval.file_kinds import kind_of_head

# What label volumes may be, and skeletons may not.
_VOLUMES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PK\x03\x04", "a zip archive"),
)


def foreign_content(data: bytes) -> str | None:
    """What a file is by its first bytes, with what to do; None for what may well be a skeleton."""
    head = data[:600]
    for beginning, what in _VOLUMES:
        if head.startswith(beginning):
            return what
    kind = kind_of_head(head)
    if kind is None:
        return None
    if ".nml" in kind.what:
        return f"{kind.what}, which is not read; save each of its trees as SWC"
    return f"{kind.what}; {kind.remedy}" if kind.fetches else kind.what
