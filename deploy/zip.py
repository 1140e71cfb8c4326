#!/usr/bin/env python3
"""Packs a function's program for Lambda: zip.py BOOTSTRAP ZIP

The archive contains no time and no owner, so the same program always gives the same file. Lambda's CodeSha256
then shows whether a function already runs it.
"""

import sys
import zipfile

with open(sys.argv[1], "rb") as program, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as archive:
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr, entry.create_system, entry.compress_type = 0o100755 << 16, 3, zipfile.ZIP_DEFLATED
    archive.writestr(entry, program.read())
