"""Says what a file is that was handed in by mistake."""

_BEGINNINGS = (
    (b"version https://git-lfs.github.com", "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"),
    (b"/annex/objects", "a git-annex pointer, not the file itself; fetch it with `git annex get`"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"BM", "a BMP image"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x80\x04", "a pickle, which is never loaded because unpickling runs code"),
    (b"ply\n", "a mesh (.ply)"),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office"),
)
_MARKS = (
    (b"<!doctype html", "a web page, such as an error or a login in place of the download; download it again"),
    (b"<html", "a web page, such as an error or a login in place of the download; download it again"),
    (b"<things", "an NML file (KNOSSOS, webKnossos), which is not read; save each of its trees as SWC"),
    (b"<traces", "a .traces file of SNT, which is not read; save each of its paths as SWC"),
    (b"<?xml", "an XML file"),
)


def foreign_content(data: bytes) -> str | None:
    """What a file is by its first bytes, with what to do; None for what may well be a skeleton or a volume."""
    for beginning, words in _BEGINNINGS:
        if data.startswith(beginning) and (beginning != b"BM" or b"\0" in data[:32]):
            return words
    head = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<"):
        return next((words for mark, words in _MARKS if mark in head), "a file in a markup language (XML)")
    if head.startswith((b"{", b"[")) and b'"' in head:
        return "a JSON file"
    return None
