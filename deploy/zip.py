#!/usr/bin/env python3
"""Packs a function's program for Lambda: zip.py BOOTSTRAP ZIP

The archive has no time and no owner in it, so the same program always makes the same file, and Lambda's CodeSha256
tells whether a function already runs it.
"""

import sys
import zipfile

with open(sys.argv[1], "rb") as program, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as archive:
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr, entry.create_system, entry.compress_type = 0o100755 << 16, 3, zipfile.ZIP_DEFLATED
    archive.writestr(entry, program.read())
