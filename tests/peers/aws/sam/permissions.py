"""Checks which calls the roles are allowed to make, by IAM's rules. Usage: permissions.py MOTO_PYTHON

The templates are resolved as CloudFormation does, and @cloud-copilot/iam-simulate decides every call. It has
the resource types and condition keys of each action. The documents of AWS-managed policies are moto's copies.
"""

import json
import subprocess
import sys
import unittest
from pathlib import Path

from cloudformation import Stack, arn
from counted import run
from expand import PARAMETERS, expand
from samtranslator.yaml_helper import yaml_parse

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
TEMPLATE = (ROOT / "template.yaml").read_text()
CI_TEMPLATE = yaml_parse((ROOT / "deploy/ci-role.yaml").read_text())

STACK = "task-api-prod"
SECRET, MIGRATION_SECRET = PARAMETERS["SecretArn"], PARAMETERS["MigrationSecretArn"]
CI = Stack(CI_TEMPLATE, "task-api-ci", {
    "Repository": "owner/name", "OwnerId": "11", "RepositoryId": "22", "StackName": STACK,
    "SecretArns": f"{SECRET}, {MIGRATION_SECRET}",
    "ProviderArn": arn("iam", "oidc-provider/token.actions.githubusercontent.com", ""),
})
BOUNDARY = CI.ref("Boundary")


def managed_policies():
    command = "from moto.iam.aws_managed_policies import aws_managed_policies_data; print(aws_managed_policies_data)"
    known = json.loads(subprocess.run([sys.argv[1], "-c", command], check=True, capture_output=True).stdout)
    return {f"arn:aws:iam::aws:policy{it['Path']}{name}": it["Document"] for name, it in known.items()}


MANAGED = managed_policies()


def deployed(**parameters):
    return Stack(expand(TEMPLATE, PARAMETERS | parameters), STACK, PARAMETERS | parameters)


class Caller:
    """A role of a stack, with its policies and its permissions boundary."""

    def __init__(self, stack, role):
        properties = stack.resources[role]["Properties"]
        self.policies = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        self.policies += [MANAGED[policy] for policy in properties.get("ManagedPolicyArns", [])]
        self.boundary = None
        if "PermissionsBoundary" in properties:
            documents = {stack_.ref(name): it["PolicyDocument"] for stack_ in (stack, CI)
                         for name, it in stack_.of_type("AWS::IAM::ManagedPolicy").items()}
            self.boundary = documents[properties["PermissionsBoundary"]]

    @classmethod
    def of_function(cls, stack, function):
        return cls(stack, stack.template["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"][0])

    def decide(self, calls):
        """Returns the decisions for calls, which are (action, resource) or (action, resource, context)."""
        asked = [{"action": action, "resource": resource, "context": context[0] if context else {},
                  "policies": self.policies, "boundary": self.boundary} for action, resource, *context in calls]
        command = ["node", str(HERE / "iam.mjs")]
        answered = subprocess.run(command, input=json.dumps(asked), check=True, capture_output=True, text=True)
        return json.loads(answered.stdout)


class Permissions(unittest.TestCase):
    maxDiff = None

    def assert_decided(self, caller, calls, decision):
        decisions = caller.decide(calls)
        wrong = [(call, found) for call, found in zip(calls, decisions, strict=True) if found != decision]
        self.assertEqual(wrong, [])

    def assert_allowed(self, caller, *calls):
        self.assert_decided(caller, calls, "Allowed")

    def assert_denied(self, caller, *calls):
        self.assert_decided(caller, calls, "ImplicitlyDenied")


def stream(group):
    return arn("logs", f"log-group:{group}:log-stream:2026/11/24/{STACK}-get-task[7]0123456789abcdef")


OWN_STREAM = stream(f"/task-api/{STACK}/functions")
LOG_CALLS = [("logs:CreateLogStream", OWN_STREAM), ("logs:PutLogEvents", OWN_STREAM)]
TRACE_CALLS = [("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")]


def function(name, qualifier=""):
    return arn("lambda", f"function:{STACK}-{name}{qualifier}")


class Functions(Permissions):
    """The functions' roles, with the stack's own permissions boundary and with that of
    deploy/ci-role.yaml."""

    STACKS = [{}, {"PermissionsBoundaryArn": BOUNDARY}]

    def test_every_function_can_write_its_log_and_read_only_its_own_secret(self):
        for parameters in self.STACKS:
            stack = deployed(**parameters)
            secrets = {name: it["Environment"]["Variables"]["SECRET_ID"]
                       for name, it in stack.of_type("AWS::Lambda::Function").items()}
            self.assertEqual(set(secrets.values()), {SECRET, MIGRATION_SECRET, ""})
            self.assertEqual([name for name, it in secrets.items() if it == MIGRATION_SECRET], ["MigrateFunction"])
            for name, own in secrets.items():
                with self.subTest(name, **parameters):
                    caller = Caller.of_function(stack, name)
                    reads = {secret: ("secretsmanager:GetSecretValue", secret) for secret in (SECRET, MIGRATION_SECRET)}
                    self.assert_allowed(caller, *LOG_CALLS, *([reads[own]] if own else []))
                    self.assert_denied(caller, *(read for secret, read in reads.items() if secret != own))

    def test_functions_can_do_nothing_else(self):
        for parameters in self.STACKS:
            stack = deployed(**parameters)
            for name in ("GetTaskFunction", "MigrateFunction", "HealthFunction"):
                with self.subTest(name, **parameters):
                    self.assert_denied(
                        Caller.of_function(stack, name),
                        ("logs:CreateLogGroup", arn("logs", "log-group:another:*")),
                        ("logs:PutLogEvents", stream(f"/task-api/{STACK}/access")),
                        ("logs:PutLogEvents", stream("/task-api/another/functions")),
                        ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:another-AbCdEf")),
                        ("secretsmanager:PutSecretValue", SECRET),
                        ("lambda:UpdateAlias", function("get-task")),
                        ("lambda:InvokeFunction", function("migrate")),
                        ("s3:GetObject", "arn:aws:s3:::bucket/key"),
                        ("iam:CreateUser", arn("iam", "user/another", "")),
                    )

    def test_functions_can_send_traces_only_if_tracing_is_on(self):
        self.assert_denied(Caller.of_function(deployed(), "GetTaskFunction"), *TRACE_CALLS)
        for parameters in self.STACKS:
            stack = deployed(Tracing="Active", **parameters)
            self.assert_allowed(Caller.of_function(stack, "GetTaskFunction"), *TRACE_CALLS)

    def test_codedeploy_can_move_only_the_aliases_of_this_stack(self):
        # https://docs.aws.amazon.com/codedeploy/latest/userguide/getting-started-create-service-role.html
        needed = MANAGED["arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"]["Statement"][0]
        self.assertEqual(needed["Action"], ["cloudwatch:DescribeAlarms", "lambda:UpdateAlias", "lambda:GetAlias",
                                            "lambda:GetProvisionedConcurrencyConfig"])
        alarms = ("cloudwatch:DescribeAlarms", arn("cloudwatch", f"alarm:{STACK}-errors"))
        for parameters in self.STACKS:
            caller = Caller(deployed(**parameters), "DeploymentRole")
            # The last action applies to an alias or a version, and the simulator can't choose between them.
            self.assert_allowed(caller, alarms, *((action, function("get-task")) for action in needed["Action"][1:3]))
            self.assertIn(needed["Action"][3], caller.policies[0]["Statement"][0]["Action"])
            self.assert_denied(caller, ("lambda:UpdateAlias", arn("lambda", "function:another")),
                               ("lambda:UpdateFunctionCode", function("get-task")))


def named(kind, name):
    return {"function": arn("lambda", f"function:{name}"), "role": arn("iam", f"role/{name}", ""),
            "stack": arn("cloudformation", f"stack/{name}/0f1e2d3c")}[kind]


BUCKET = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1abcdefghijkl"
OWN_STACK = named("stack", STACK)
CLOUDFORMATION = {"iam:PassedToService": "cloudformation.amazonaws.com"}
# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-permissions-cloudformation.html
TRANSFORMS = [("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:eu-central-1:aws:transform/{name}")
              for name in ("LanguageExtensions", "Serverless-2016-10-31")]


class Transforms(Permissions):
    def test_both_roles_can_use_the_transforms_of_the_template(self):
        used = {f"AWS::{resource.rpartition('/')[2]}" for _, resource in TRANSFORMS}
        self.assertEqual(used, set(yaml_parse(TEMPLATE)["Transform"]))
        for caller in (Workflow.CALLER, CloudFormation.CALLER):
            self.assert_allowed(caller, *TRANSFORMS)


class Workflow(Permissions):
    """The role that GitHub's jobs assume."""

    CALLER = Caller(CI, "Role")

    def test_sam_can_deploy(self):
        # The calls of samcli/lib/deploy/deployer.py, samcli/lib/package/s3_uploader.py and, with
        # --resolve-s3, samcli/lib/utils/managed_cloudformation_stack.py.
        calls = ["CreateChangeSet", "DescribeChangeSet", "DescribeStackEvents", "DescribeStacks", "ExecuteChangeSet",
                 "GetTemplateSummary", "DeleteChangeSet", "ListStackResources"]
        managed = named("stack", "aws-sam-cli-managed-default")
        self.assert_allowed(
            self.CALLER, *((f"cloudformation:{call}", OWN_STACK) for call in calls),
            ("cloudformation:DescribeStacks", managed), ("s3:ListBucket", BUCKET),
            ("s3:GetObject", f"{BUCKET}/{STACK}/0123.template"), ("s3:PutObject", f"{BUCKET}/{STACK}/0123.template"),
            ("iam:PassRole", CI.get_att("CloudFormationRole", "Arn"), CLOUDFORMATION),
        )

    def test_sam_can_delete(self):
        # samcli/lib/delete/cfn_utils.py, and the templates in the bucket.
        calls = ["DeleteStack", "DescribeStacks", "DescribeStackEvents", "GetTemplate", "ListChangeSets"]
        self.assert_allowed(self.CALLER, *((f"cloudformation:{call}", OWN_STACK) for call in calls),
                            ("s3:DeleteObject", f"{BUCKET}/{STACK}/0123.template"))

    def test_functions_can_be_published_and_alarms_read(self):
        calls = ["GetFunction", "GetFunctionConfiguration", "GetAlias", "UpdateAlias", "UpdateFunctionCode",
                 "PublishVersion", "ListVersionsByFunction", "InvokeFunction"]
        self.assert_allowed(
            self.CALLER, *((f"lambda:{call}", function("get-task")) for call in calls),
            ("lambda:GetFunctionConfiguration", function("get-task", ":live")),
            ("lambda:InvokeFunction", function("migrate", ":7")),
            ("cloudwatch:DescribeAlarms", arn("cloudwatch", f"alarm:{STACK}-errors")),
            ("cloudwatch:DescribeAlarmHistory", arn("cloudwatch", f"alarm:{STACK}-errors")),
        )

    def test_everything_else_is_denied(self):
        another = named("role", "another")
        passed = {"iam:PassedToService": "lambda.amazonaws.com"}
        self.assert_denied(
            self.CALLER,
            ("lambda:UpdateFunctionCode", named("function", "another")),
            ("lambda:UpdateFunctionConfiguration", function("get-task")),
            ("cloudformation:CreateChangeSet", named("stack", "another")),
            ("cloudformation:DeleteStack", named("stack", "task-api-ci")),
            ("cloudformation:UpdateStack", OWN_STACK),
            ("s3:GetObject", "arn:aws:s3:::another/key"),
            ("secretsmanager:GetSecretValue", SECRET),
            ("secretsmanager:GetSecretValue", MIGRATION_SECRET),
            ("iam:PassRole", another, CLOUDFORMATION),
            ("iam:PassRole", CI.get_att("CloudFormationRole", "Arn"), passed),
            *((f"iam:{action}", role) for role in (another, CI.get_att("Role", "Arn"), named("role", f"{STACK}-X"))
              for action in ("AttachRolePolicy", "CreateRole", "PutRolePolicy", "UpdateAssumeRolePolicy")),
        )

    def test_only_jobs_of_the_environment_can_assume_it(self):
        # https://docs.github.com/en/actions/reference/security/oidc: with and without immutable ids.
        (statement,) = CI.resources["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        issuer = "token.actions.githubusercontent.com"
        self.assertEqual(statement["Principal"], {"Federated": arn("iam", f"oidc-provider/{issuer}", "")})
        self.assertEqual(statement["Condition"], {"StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": ["repo:owner@11/name@22:environment:production", "repo:owner/name:environment:production"],
        }})


BOUND = {"iam:PermissionsBoundary": BOUNDARY}
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class CloudFormation(Permissions):
    """The role that CloudFormation assumes."""

    CALLER = Caller(CI, "CloudFormationRole")

    def test_it_can_create_change_and_delete_every_resource(self):
        # For every resource of the expansion, with its generated name, the calls that its type needs.
        stack = deployed(PermissionsBoundaryArn=BOUNDARY, Tracing="Active", EndpointConcurrency="10")
        calls = []
        for key, resource in stack.resources.items():
            calls += self.calls(stack, key, resource["Type"], resource.get("Properties", {}))
        self.assertGreater(len(calls), 500)
        self.assert_allowed(self.CALLER, *calls)

    def calls(self, stack, key, kind, properties):
        name = stack.physical_name(key)

        def on(resource, service, *actions):
            return [(f"{service}:{action}", resource) for action in actions]

        match kind:
            case "AWS::Lambda::Function":
                role = properties["Role"]
                return [
                    *on(named("function", name), "lambda", "CreateFunction", "DeleteFunction", "GetFunction",
                        "GetFunctionCodeSigningConfig", "PutFunctionConcurrency", "DeleteFunctionConcurrency",
                        "TagResource", "UntagResource", "ListTags", "UpdateFunctionCode",
                        "UpdateFunctionConfiguration"),
                    ("iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"}),
                    ("s3:GetObject", f"{BUCKET}/0123"),
                ]
            case "AWS::Lambda::Version":
                return on(named("function", name.split(":")[0]), "lambda", "PublishVersion", "ListVersionsByFunction")
            case "AWS::Lambda::Alias":
                return on(named("function", name.split(":")[0]), "lambda", "CreateAlias", "DeleteAlias", "GetAlias",
                          "UpdateAlias")
            case "AWS::Lambda::Permission":
                target = stack.resolve(properties["FunctionName"]).split(":function:")[1].split(":")[0]
                return on(named("function", target), "lambda", "AddPermission", "RemovePermission", "GetPolicy")
            case "AWS::IAM::Role":
                role = named("role", name)
                policies = properties.get("ManagedPolicyArns", [])
                return [
                    *((*call, BOUND) for call in on(role, "iam", "CreateRole", "PutRolePermissionsBoundary",
                                                    "PutRolePolicy", "DeleteRolePolicy")),
                    *((action, role, BOUND | {"iam:PolicyARN": policy}) for policy in policies
                      for action in ("iam:AttachRolePolicy", "iam:DetachRolePolicy")),
                    *on(role, "iam", "GetRole", "GetRolePolicy", "DeleteRole", "ListRolePolicies",
                        "ListAttachedRolePolicies", "TagRole", "UntagRole"),
                ]
            case "AWS::Logs::LogGroup":
                group = arn("logs", f"log-group:{name}")
                return on(group, "logs", "CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy",
                          "DeleteRetentionPolicy", "TagResource", "UntagResource", "ListTagsForResource")
            case "AWS::Logs::MetricFilter":
                group = arn("logs", f"log-group:{properties['LogGroupName']}")
                return on(group, "logs", "PutMetricFilter", "DeleteMetricFilter", "DescribeMetricFilters")
            case "AWS::CloudWatch::Alarm":
                return on(arn("cloudwatch", f"alarm:{name}"), "cloudwatch", "PutMetricAlarm", "DeleteAlarms",
                          "DescribeAlarms", "TagResource", "UntagResource", "ListTagsForResource")
            case "AWS::CloudWatch::Dashboard":
                dashboard = arn("cloudwatch", f"dashboard/{properties['DashboardName']}", "")
                return on(dashboard, "cloudwatch", "PutDashboard", "GetDashboard", "DeleteDashboards")
            case "AWS::CodeDeploy::Application":
                return on(arn("codedeploy", f"application:{name}"), "codedeploy", "CreateApplication",
                          "DeleteApplication", "GetApplication", "RegisterApplicationRevision",
                          "GetApplicationRevision")
            case "AWS::CodeDeploy::DeploymentGroup":
                group = arn("codedeploy", f"deploymentgroup:{properties['ApplicationName']}/{name}")
                configuration = arn("codedeploy", f"deploymentconfig:{properties['DeploymentConfigName']}")
                passed = {"iam:PassedToService": "codedeploy.amazonaws.com"}
                return [*on(group, "codedeploy", "CreateDeploymentGroup", "UpdateDeploymentGroup",
                            "DeleteDeploymentGroup", "GetDeploymentGroup", "CreateDeployment", "GetDeployment"),
                        ("codedeploy:GetDeploymentConfig", configuration),
                        ("iam:PassRole", properties["ServiceRoleArn"], passed)]
            case "AWS::ApiGatewayV2::Api":
                apis = "arn:aws:apigateway:eu-central-1::/apis"
                return [*on(apis, "apigateway", "POST"),
                        *on(f"{apis}/a1b2c3d4e5", "apigateway", "GET", "PUT", "PATCH", "DELETE")]
            case "AWS::ApiGatewayV2::Stage":
                stages = "arn:aws:apigateway:eu-central-1::/apis/a1b2c3d4e5/stages"
                return [*on(stages, "apigateway", "POST"),
                        *on(f"{stages}/$default", "apigateway", "GET", "PATCH", "DELETE"),
                        *on("*", "logs", "CreateLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery",
                            "GetLogDelivery", "ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies",
                            "DescribeLogGroups")]
            case "Custom::Migration":
                return on(properties["ServiceToken"], "lambda", "InvokeFunction")
            case _:
                self.fail(f"add the calls for {kind} here, and permissions to deploy/ci-role.yaml")

    def test_it_cannot_extend_its_own_or_other_permissions(self):
        own, another = named("role", f"{STACK}-X-{'1' * 13}"), named("role", "another")
        ci_roles = [CI.get_att("Role", "Arn"), CI.get_att("CloudFormationRole", "Arn")]
        foreign = {"iam:PermissionsBoundary": arn("iam", f"policy/{STACK}-mine", "")}
        lambda_ = {"iam:PassedToService": "lambda.amazonaws.com"}
        writes = ["CreateRole", "PutRolePolicy", "PutRolePermissionsBoundary"]
        self.assert_denied(
            self.CALLER,
            # Without the boundary, or with another.
            *((f"iam:{action}", own) for action in writes[:2]),
            *((f"iam:{action}", own, foreign) for action in writes),
            ("iam:DeleteRolePermissionsBoundary", own, BOUND),
            ("iam:DeleteRolePermissionsBoundary", own),
            # Policies that no resource of the template needs.
            ("iam:AttachRolePolicy", own, BOUND | {"iam:PolicyARN": ADMINISTRATOR}),
            ("iam:AttachRolePolicy", own, {"iam:PolicyARN": ADMINISTRATOR}),
            ("iam:AttachRolePolicy", own, {"iam:PolicyARN": "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess"}),
            # Other roles, including its own.
            *((f"iam:{action}", role, BOUND) for role in (another, *ci_roles) for action in writes),
            *((f"iam:{action}", role) for role in (another, *ci_roles) for action in
              ("DeleteRole", "UpdateAssumeRolePolicy")),
            ("iam:UpdateAssumeRolePolicy", own),
            *(("iam:PassRole", role, lambda_) for role in (another, *ci_roles)),
            ("iam:PassRole", own, {"iam:PassedToService": "ec2.amazonaws.com"}),
            # The boundary itself.
            *((f"iam:{action}", policy) for policy in (BOUNDARY, arn("iam", f"policy/{STACK}-mine", "")) for action in
              ("CreatePolicy", "CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicy")),
            ("iam:CreateUser", arn("iam", "user/another", "")),
            ("iam:CreateAccessKey", arn("iam", "user/another", "")),
        )

    def test_it_has_no_access_outside_the_stack(self):
        self.assert_denied(
            self.CALLER,
            ("lambda:UpdateFunctionCode", named("function", "another")),
            ("lambda:InvokeFunction", named("function", "another")),
            ("secretsmanager:GetSecretValue", SECRET),
            ("logs:DeleteLogGroup", arn("logs", "log-group:/task-api/another/functions")),
            ("logs:GetLogEvents", OWN_STREAM),
            ("cloudwatch:DeleteAlarms", arn("cloudwatch", "alarm:another")),
            ("s3:PutObject", f"{BUCKET}/key"),
            ("ec2:RunInstances", arn("ec2", "instance/*")),
            ("dynamodb:DeleteTable", arn("dynamodb", "table/another")),
        )

    def test_names_of_roles_are_not_shortened(self):
        # "The name can have up to 64 characters"; CloudFormation shortens what it generates to fit.
        longest = max(len(stack_key) for stack_key in deployed().of_type("AWS::IAM::Role"))
        pattern = CI_TEMPLATE["Parameters"]["StackName"]["AllowedPattern"]
        self.assertTrue(pattern.endswith("{0,23}"))
        self.assertLessEqual(24 + 1 + longest + 1 + 14, 64)


if __name__ == "__main__":
    run(sys.modules["__main__"])
