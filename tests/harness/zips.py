"""ZIP archives whose entries have the modes that a test wants."""

import io
import stat
import zipfile


def zip_of(entries):
    """{name: bytes, or (bytes, mode)} as a ZIP; a mode with a file type in it is taken as it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            content, mode = entry if isinstance(entry, tuple) else (entry, 0o644)
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (mode if mode >> 12 else stat.S_IFREG | mode) << 16
            archive.writestr(info, content)
    return out.getvalue()
