#!/bin/sh
# What every image does to the packages that pip has just installed into it: says which they are, drops what nothing
# runs (pip itself, Ray's parts for Java and for training, test data), and compiles what is left, since the images are
# read only and PYTHONDONTWRITEBYTECODE is set.
set -eu

pip freeze --exclude velum >/opt/velum/requirements.txt
pip uninstall --quiet --yes pip setuptools
cd /opt/velum/venv/lib/python3*/site-packages
rm -rf ray/jars ray/rllib numba/tests llvmlite/tests onnx/backend/test
find . -type d -name tests -path './numpy/*' -prune -exec rm -rf {} +
# torch has a file for Pythons newer than Debian's, which this one cannot read.
python -m compileall -q -j 2 -x '/py3[0-9]+_[a-z_]+\.py$' --invalidation-mode unchecked-hash /opt/velum/venv/lib
