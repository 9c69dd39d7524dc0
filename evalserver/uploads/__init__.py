"""Files that come in: with a form, or piece by piece over the resumable protocol (tus)."""

from evalserver.uploads.files import HashingUploadHandler, display_name, file_sha256, local_path

__all__ = ["HashingUploadHandler", "display_name", "file_sha256", "local_path"]
