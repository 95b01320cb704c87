"""Unpacks the downloaded source archive to build/source."""

import glob
import os
import shutil
import tarfile

import bell

[archive] = glob.glob(f"build/download/{os.environ['PACKAGE']}-{os.environ['VERSION']}*.tar.gz")
shutil.rmtree("build/source", ignore_errors=True)
with tarfile.open(archive) as tar:
    # Newer Pythons refuse members that would be written elsewhere.
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    tar.extractall("build", **safe)
    [folder] = {name.split("/")[0] for name in tar.getnames()}
os.rename(os.path.join("build", folder), "build/source")

bell.result({"archive": os.path.basename(archive), "bytes": os.path.getsize(archive)})
