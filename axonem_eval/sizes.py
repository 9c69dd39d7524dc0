"""Sizes of files and memory in words: kB, MB and GB of 1,000, as disks and other programs count."""

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size_in_words(n_bytes: int) -> str:
    """Three digits: 283 bytes, 1.2 MB, 1.07 GB. The page's upload.js writes the same."""
    value, unit = float(n_bytes), 0
    # What would be rounded to 1000 is one of the next unit.
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.0f} {UNITS[unit]}" if value >= 100 else f"{value:.3g} {UNITS[unit]}"
