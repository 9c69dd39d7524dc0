"""The optional packages of each extra of this distribution, and the message where one is missing."""

EXTRAS = {
    "formats": ("tensorstore", "tifffile"),
    "groundtruth": ("kimimaro", "scipy", "osteoid", "cc3d", "edt"),
    "view": ("neuroglancer",),
    "client": ("httpx", "yaml"),
    "baselines": ("torch", "zarr", "fastremap", "PIL", "pydantic", "dask", "distributed"),
}


def missing_package(error: ModuleNotFoundError, extra: str = "") -> str | None:
    """One line about the package that an import lacked; None where it belongs to no extra.

    extra : name this extra instead of the one that lists the package.
    """
    package = (error.name or "").split(".")[0]
    own = next((name for name, packages in EXTRAS.items() if package in packages), None)
    return f"this needs {package}: pip install 'axonem[{extra or own}]'" if own else None
