"""What CloudFormation is given: the template as SAM expands it, offline. Usage: expand.py TEMPLATE > EXPANSION"""

import json
import logging
import sys
from pathlib import Path

import yaml
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# It warns of switches that it has within AWS alone.
logging.disable(logging.WARNING)

# What a deployment must say; every other parameter has a default.
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:task-api/dev"
PARAMETERS = {"SecretArn": f"{SECRET}-AbCdEf", "MigrationSecretArn": f"{SECRET}-migrate-GhIjKl"}


class Policies(ManagedPolicyLoader):
    """AWS's managed policies by name, without asking IAM for the list."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def expand(template, parameters=PARAMETERS, codes={}):
    """The expansion of a template's text. `codes` are keys of built code by binary, if they are not its name."""
    document = yaml_parse(template)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # As `sam package` leaves it: where the built code is.
            binary = resource["Metadata"]["BuildProperties"]["Binary"]
            resource["Properties"]["CodeUri"] = {"Bucket": "artifacts", "Key": codes.get(binary, binary)}
    return transform(document, dict(parameters), Policies())


if __name__ == "__main__":
    json.dump(expand(Path(sys.argv[1]).read_text()), sys.stdout, indent=2)
