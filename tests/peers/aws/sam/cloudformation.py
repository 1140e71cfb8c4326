"""Expands a template as SAM's transforms do, and resolves it as CloudFormation does: evaluates conditions,
rules and intrinsic functions, and generates names.

Usage: cloudformation.py TEMPLATE, which prints the expansion.
"""

import json
import logging
import re
import sys
from pathlib import Path

from samcli.lib.cfn_language_extensions.api import create_default_intrinsic_resolver
from samcli.lib.cfn_language_extensions.models import TemplateProcessingContext
from samcli.lib.cfn_language_extensions.processors.foreach import ForEachProcessor
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# The translator warns about feature switches that exist only inside AWS.
logging.disable(logging.WARNING)

ROOT = Path(__file__).resolve().parents[4]
ACCOUNT, REGION = "123456789012", "eu-central-1"
SUFFIX = "1ABCDEFGHIJKL"
REMOVED = object()
# The required parameters. Every other one has a default.
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:task-api/dev"
PARAMETERS = {"SecretArn": f"{SECRET}-AbCdEf", "MigrationSecretArn": f"{SECRET}-migrate-GhIjKl"}


class Refused(Exception):
    """A call that AWS would reject."""


class Policies(ManagedPolicyLoader):
    """AWS-managed policies by name, without requesting the list from IAM."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def expand(template, parameters=PARAMETERS, codes={}):
    """Returns the expansion of a template's text. `codes` maps binaries to the S3 keys of their code, by
    default their names."""
    context = TemplateProcessingContext(fragment=yaml_parse(template), parameter_values={})
    ForEachProcessor(create_default_intrinsic_resolver(context)).process_template(context)
    document = context.fragment
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam package` replaces the folder by the place of the uploaded code.
            binary = resource["Metadata"]["BuildProperties"]["Binary"]
            resource["Properties"]["CodeUri"] = {"Bucket": "artifacts", "Key": codes.get(binary, binary)}
    return transform(document, dict(parameters), Policies())


def arn(service, resource, region=REGION):
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


# What Ref returns, by the section "Return values" of each type's page. The addresses of the pages begin with
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-
REF = {
    "AWS::ApiGatewayV2::Api": lambda name: "a1b2c3d4e5",  # apigatewayv2-api.html: the ID
    "AWS::ApiGatewayV2::DomainName": lambda name: name,  # apigatewayv2-domainname.html: the domain name
    "AWS::ApiGatewayV2::Stage": lambda name: "$default",  # apigatewayv2-stage.html: the name
    "AWS::CloudWatch::Alarm": lambda name: name,  # cloudwatch-alarm.html: the name
    "AWS::CodeDeploy::Application": lambda name: name,  # codedeploy-application.html: the name
    "AWS::CodeDeploy::DeploymentGroup": lambda name: name,  # codedeploy-deploymentgroup.html: the name
    "AWS::IAM::ManagedPolicy": lambda name: arn("iam", f"policy/{name}", ""),  # iam-managedpolicy.html
    "AWS::IAM::Role": lambda name: name,  # iam-role.html: the name
    "AWS::Lambda::Alias": lambda name: arn("lambda", f"function:{name}"),  # lambda-alias.html: the ARN
    "AWS::Lambda::Function": lambda name: name,  # lambda-function.html: the name
    "AWS::Lambda::Version": lambda name: arn("lambda", f"function:{name}"),  # lambda-version.html: the ARN
    "AWS::Logs::LogGroup": lambda name: name,  # logs-loggroup.html: the name
}
GET_ATT = {
    ("AWS::ApiGatewayV2::DomainName", "RegionalDomainName"): lambda name: f"d-1.execute-api.{REGION}.amazonaws.com",
    ("AWS::IAM::Role", "Arn"): lambda name: arn("iam", f"role/{name}", ""),
    ("AWS::Lambda::Function", "Arn"): lambda name: arn("lambda", f"function:{name}"),
    ("AWS::Lambda::Version", "Version"): lambda name: name.split(":")[1],
    # "such as arn:aws:logs:us-west-1:123456789012:log-group:/mystack-testgroup-12ABC1AB12A1:*"
    ("AWS::Logs::LogGroup", "Arn"): lambda name: arn("logs", f"log-group:{name}:*"),
}
# The property that gives a resource its name. Without one, CloudFormation generates it.
NAMED_BY = {
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
}


class Stack:
    """A stack with this name, of a template that SAM has expanded or that needs no SAM."""

    def __init__(self, template, name, parameters):
        self.template, self.name = template, name
        # The versions that were published, by the logical id of the resource.
        self.published = {}
        defaults = {key: it["Default"] for key, it in template["Parameters"].items() if "Default" in it}
        # Every value arrives as a string.
        self.parameters = {key: str(value) for key, value in (defaults | parameters).items()}
        for key, it in template["Parameters"].items():
            value = self.parameters.get(key)
            allowed = value is not None and (value in map(str, it.get("AllowedValues", [value])))
            # CloudFormation matches the pattern with the whole value.
            if not allowed or not re.fullmatch(it.get("AllowedPattern", "(?s:.*)"), value):
                raise Refused(f"Parameter {key} must have a valid value")
        for rule in template.get("Rules", {}).values():
            for assertion in rule["Assertions"] if self.resolve(rule["RuleCondition"]) else []:
                if not self.resolve(assertion["Assert"]):
                    raise Refused(assertion["AssertDescription"])

    @property
    def declared(self):
        """Returns {logical id: resource} of the resources whose condition is true."""
        return {key: it for key, it in self.template["Resources"].items()
                if "Condition" not in it or self.condition(it["Condition"])}

    @property
    def resources(self):
        return {key: self.resolve({field: value for field, value in it.items() if field != "Condition"})
                for key, it in self.declared.items()}

    def outputs(self):
        return {key: self.resolve(it["Value"]) for key, it in self.template["Outputs"].items()
                if "Condition" not in it or self.condition(it["Condition"])}

    def condition(self, name):
        return self.resolve(self.template["Conditions"][name])

    def of_type(self, kind):
        return {key: self.resolve(it.get("Properties", {})) for key, it in self.declared.items() if it["Type"] == kind}

    def physical_name(self, key):
        resource = self.template["Resources"][key]
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind in ("AWS::Lambda::Version", "AWS::Lambda::Alias"):
            qualifier = self.resolve(properties.get("Name", self.published.get(key, "1")))
            return self.resolve(properties["FunctionName"]) + ":" + qualifier
        name = properties.get(NAMED_BY.get(kind), f"{self.name}-{key}-{SUFFIX}")
        return properties.get("Path", "/")[1:] + self.resolve(name)

    def resource(self, name):
        # "Template error: Unresolved resource dependencies"
        if name not in self.declared:
            raise Refused(f"Unresolved resource dependencies [{name}]")
        return self.template["Resources"][name]

    def ref(self, name):
        if name in self.parameters:
            value = self.parameters[name]
            is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
            return [item.strip() for item in value.split(",")] if is_list else value
        if name.startswith("AWS::"):
            return {"AWS::AccountId": ACCOUNT, "AWS::NoValue": REMOVED, "AWS::Partition": "aws", "AWS::Region": REGION,
                    "AWS::StackName": self.name, "AWS::URLSuffix": "amazonaws.com"}[name]
        return REF[self.resource(name)["Type"]](self.physical_name(name))

    def get_att(self, name, attribute):
        return GET_ATT[self.resource(name)["Type"], attribute](self.physical_name(name))

    def sub(self, text, values=None):
        values = values or {}

        def value(match):
            name = match.group(1)
            if name in values:
                return self.resolve(values[name])
            return self.get_att(*name.split(".")) if "." in name else self.ref(name)

        return re.sub(r"\$\{([\w:.]+)\}", value, text)

    def resolve(self, value):
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not REMOVED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            match function:
                case "Ref":
                    return self.ref(argument)
                case "Fn::GetAtt":
                    return self.get_att(*(argument.split(".") if isinstance(argument, str) else argument))
                case "Fn::Sub":
                    return self.sub(*argument) if isinstance(argument, list) else self.sub(argument)
                case "Fn::If":
                    return self.resolve(argument[1 if self.condition(argument[0]) else 2])
                case "Fn::Equals":
                    left, right = (str(self.resolve(side)) for side in argument)
                    return left == right
                case "Fn::Not":
                    return not self.resolve(argument[0])
                case "Fn::Select":
                    return self.resolve(argument[1])[int(argument[0])]
                case "Fn::Split":
                    return self.resolve(argument[1]).split(argument[0])
                case "Fn::Join":
                    return argument[0].join(self.resolve(argument[1]))
                case _ if function.startswith("Fn::"):
                    raise NotImplementedError(function)
        fields = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in fields.items() if item is not REMOVED}


if __name__ == "__main__":
    json.dump(expand(Path(sys.argv[1]).read_text()), sys.stdout, indent=2)
