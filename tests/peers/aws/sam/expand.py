"""Expands a template as SAM does before CloudFormation gets it, offline. Usage: expand.py TEMPLATE >
EXPANSION"""

import json
import logging
import sys
from pathlib import Path

import yaml
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# The translator warns about feature switches that exist only inside AWS.
logging.disable(logging.WARNING)

# The required parameters. Every other one has a default.
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:task-api/dev"
PARAMETERS = {"SecretArn": f"{SECRET}-AbCdEf", "MigrationSecretArn": f"{SECRET}-migrate-GhIjKl"}


class Policies(ManagedPolicyLoader):
    """AWS-managed policies by name, without requesting the list from IAM."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def expand(template, parameters=PARAMETERS, codes={}):
    """Returns the expansion of a template's text.

    `codes` maps binaries to the S3 keys of their code. The default key is the binary's name.
    """
    document = yaml_parse(template)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam package` replaces the folder by the place of the uploaded code.
            binary = resource["Metadata"]["BuildProperties"]["Binary"]
            resource["Properties"]["CodeUri"] = {"Bucket": "artifacts", "Key": codes.get(binary, binary)}
    return transform(document, dict(parameters), Policies())


if __name__ == "__main__":
    json.dump(expand(Path(sys.argv[1]).read_text()), sys.stdout, indent=2)
