"""Resolves a template as CloudFormation does: evaluates conditions and intrinsic functions, and generates
names."""

import re

ACCOUNT, REGION = "123456789012", "eu-central-1"
SUFFIX = "1ABCDEFGHIJKL"
REMOVED = object()


def arn(service, resource, region=REGION):
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


# What Ref returns, by the section "Return values" of each type's page. The addresses of the pages begin with
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-
REF = {
    "AWS::ApiGatewayV2::Api": lambda name: "a1b2c3d4e5",  # apigatewayv2-api.html: the ID
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
    ("AWS::IAM::Role", "Arn"): lambda name: arn("iam", f"role/{name}", ""),
    ("AWS::Lambda::Function", "Arn"): lambda name: arn("lambda", f"function:{name}"),
    ("AWS::Lambda::Version", "Version"): lambda name: name.split(":")[1],
    # "such as arn:aws:logs:us-west-1:123456789012:log-group:/mystack-testgroup-12ABC1AB12A1:*"
    ("AWS::Logs::LogGroup", "Arn"): lambda name: arn("logs", f"log-group:{name}:*"),
}
# The property that gives a resource its name. Without one, CloudFormation generates it.
NAMED_BY = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
}


class Stack:
    """A stack with this name, of a template that SAM has expanded or that needs no SAM."""

    def __init__(self, template, name, parameters):
        self.template, self.name = template, name
        defaults = {key: it["Default"] for key, it in template["Parameters"].items() if "Default" in it}
        # Every value arrives as a string.
        self.parameters = {key: str(value) for key, value in (defaults | parameters).items()}
        missing = set(template["Parameters"]) - set(self.parameters)
        assert not missing, f"parameters without a value: {missing}"
        self.resources = {
            key: self.resolve({field: value for field, value in it.items() if field != "Condition"})
            for key, it in template["Resources"].items()
            if "Condition" not in it or self.condition(it["Condition"])
        }

    def condition(self, name):
        return self.resolve(self.template["Conditions"][name])

    def of_type(self, kind):
        return {key: it.get("Properties", {}) for key, it in self.resources.items() if it["Type"] == kind}

    def physical_name(self, key):
        resource = self.template["Resources"][key]
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind in ("AWS::Lambda::Version", "AWS::Lambda::Alias"):
            return self.resolve(properties["FunctionName"]) + ":" + self.resolve(properties.get("Name", "1"))
        name = properties.get(NAMED_BY.get(kind), f"{self.name}-{key}-{SUFFIX}")
        return properties.get("Path", "/")[1:] + self.resolve(name)

    def ref(self, name):
        if name in self.parameters:
            value = self.parameters[name]
            is_list = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
            return [item.strip() for item in value.split(",")] if is_list else value
        if name.startswith("AWS::"):
            return {"AWS::AccountId": ACCOUNT, "AWS::NoValue": REMOVED, "AWS::Partition": "aws", "AWS::Region": REGION,
                    "AWS::StackName": self.name, "AWS::URLSuffix": "amazonaws.com"}[name]
        return REF[self.template["Resources"][name]["Type"]](self.physical_name(name))

    def get_att(self, name, attribute):
        return GET_ATT[self.template["Resources"][name]["Type"], attribute](self.physical_name(name))

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
