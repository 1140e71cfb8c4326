"""Copies the output of `sam build` to TARGET/PACKAGE/bootstrap. Usage: bootstraps.py BUILD-FOLDER TARGET"""

import shutil
import sys
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

build, target = map(Path, sys.argv[1:])
for function in yaml_parse((build / "template.yaml").read_text())["Resources"].values():
    if function["Type"] == "AWS::Serverless::Function":
        folder = target / function["Metadata"]["BuildProperties"]["Binary"]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(build / function["Properties"]["CodeUri"] / "bootstrap", folder / "bootstrap")
