"""Checks which calls the roles are allowed to make, by IAM's rules. Usage: permissions.py MOTO_PYTHON

The templates are resolved as CloudFormation does, and @cloud-copilot/iam-simulate decides every call. It has
the resource types and condition keys of each action. The documents of AWS-managed policies are moto's copies.
"""

import functools
import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from cloudformation import PARAMETERS, ROOT, Stack, arn, expand
from counted import run
from samtranslator.yaml_helper import yaml_parse

HERE = Path(__file__).resolve().parent
TEMPLATE = (ROOT / "template.yaml").read_text()
CI_TEMPLATE = yaml_parse((ROOT / "deploy/ci-role.yaml").read_text())

STACK = "task-api-prod"
SECRET, MIGRATION_SECRET = PARAMETERS["SecretArn"], PARAMETERS["MigrationSecretArn"]
CI_PARAMETERS = {
    "Repository": "owner/name", "OwnerId": "11", "RepositoryId": "22", "StackName": STACK,
    "SecretArns": f"{SECRET}, {MIGRATION_SECRET}",
    "ProviderArn": arn("iam", "oidc-provider/token.actions.githubusercontent.com", ""),
}
CI = Stack(CI_TEMPLATE, "task-api-ci", CI_PARAMETERS)
PREVIEW_CI = Stack(CI_TEMPLATE, "task-api-preview-ci", CI_PARAMETERS | {
    "StackName": "task-api-pr", "GitHubEnvironment": "preview", "Previews": "true"})
BOUNDARY = CI.ref("Boundary")


def managed_policies():
    command = "from moto.iam.aws_managed_policies import aws_managed_policies_data; print(aws_managed_policies_data)"
    known = json.loads(subprocess.run([sys.argv[1], "-c", command], check=True, capture_output=True).stdout)
    return {f"arn:aws:iam::aws:policy{it['Path']}{name}": it["Document"] for name, it in known.items()}


MANAGED = managed_policies()


@functools.cache
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
        # One call of each action, because most are wrong for every function.
        wrong = {call[0]: (call, found) for call, found in zip(calls, decisions, strict=True) if found != decision}
        self.assertEqual(wrong, {})

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
                        ("logs:PutLogEvents", stream(f"/aws/vendedlogs/task-api/{STACK}/access")),
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

    CALLER, PREVIEW = Caller(CI, "Role"), Caller(PREVIEW_CI, "Role")

    def test_sam_can_deploy_and_delete(self):
        # The calls of samcli/lib/deploy/deployer.py, samcli/lib/package/s3_uploader.py,
        # samcli/lib/delete/cfn_utils.py and, with --resolve-s3,
        # samcli/lib/utils/managed_cloudformation_stack.py.
        for caller, stack in ((self.CALLER, STACK), (self.PREVIEW, "task-api-pr-42")):
            calls = ["CreateChangeSet", "DescribeChangeSet", "DescribeStackEvents", "DescribeStacks", "ExecuteChangeSet",
                     "GetTemplateSummary", "DeleteChangeSet", "ListStackResources", "DeleteStack", "GetTemplate",
                     "ListChangeSets"]
            role = (CI if caller is self.CALLER else PREVIEW_CI).get_att("CloudFormationRole", "Arn")
            self.assert_allowed(
                caller, *((f"cloudformation:{call}", named("stack", stack)) for call in calls),
                ("cloudformation:DescribeStacks", named("stack", "aws-sam-cli-managed-default")),
                ("s3:ListBucket", BUCKET), ("iam:PassRole", role, CLOUDFORMATION),
                *((f"s3:{call}Object", f"{BUCKET}/{stack}/0123.template") for call in ("Get", "Put", "Delete")))

    def test_it_can_roll_back_and_delete_old_versions(self):
        self.assert_allowed(
            self.CALLER, ("cloudformation:CancelUpdateStack", OWN_STACK),
            *((f"lambda:{call}", function("get-task")) for call in ("GetAlias", "UpdateAlias", "ListVersionsByFunction",
                                                                   "DeleteFunction")))

    def test_previews_can_write_only_their_own_secrets_and_artifacts(self):
        own = arn("secretsmanager", "secret:task-api-pr-42-AbCdEf")
        secrets = [f"secretsmanager:{call}" for call in ("CreateSecret", "PutSecretValue", "DeleteSecret")]
        self.assert_allowed(self.PREVIEW, ("cloudformation:ListStacks", "*"), *((call, own) for call in secrets))
        self.assert_denied(self.PREVIEW, *((call, SECRET) for call in secrets), ("cloudformation:DeleteStack", OWN_STACK),
                           ("s3:PutObject", f"{BUCKET}/{STACK}/0123"), ("s3:PutObject", f"{BUCKET}/0123"))
        self.assert_denied(self.CALLER, *((call, own) for call in secrets))

    def test_everything_else_is_denied(self):
        another = named("role", "another")
        passed = {"iam:PassedToService": "lambda.amazonaws.com"}
        self.assert_denied(
            self.CALLER,
            *((f"lambda:{call}", named("function", "another")) for call in ("UpdateAlias", "DeleteFunction")),
            ("lambda:UpdateFunctionCode", function("get-task")), ("lambda:InvokeFunction", function("get-task")),
            ("cloudformation:CreateChangeSet", named("stack", "another")),
            ("cloudformation:DeleteStack", named("stack", "task-api-ci")),
            ("s3:GetObject", "arn:aws:s3:::another/key"), ("s3:PutObject", f"{BUCKET}/another/0123"),
            ("secretsmanager:GetSecretValue", SECRET), ("secretsmanager:GetSecretValue", MIGRATION_SECRET),
            ("iam:PassRole", another, CLOUDFORMATION),
            ("iam:PassRole", CI.get_att("CloudFormationRole", "Arn"), passed),
            *((f"iam:{action}", role) for role in (another, CI.get_att("Role", "Arn"), named("role", f"{STACK}-X"))
              for action in ("AttachRolePolicy", "CreateRole", "PutRolePolicy", "UpdateAssumeRolePolicy")),
        )

    def test_only_jobs_of_the_environment_can_assume_it(self):
        # https://docs.github.com/en/actions/reference/security/oidc: with and without immutable ids.
        issuer = "token.actions.githubusercontent.com"
        for stack, environments in ((CI, ["production"]), (PREVIEW_CI, ["preview", "preview-sweep"])):
            (statement,) = stack.resources["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            self.assertEqual(statement["Principal"], {"Federated": arn("iam", f"oidc-provider/{issuer}", "")})
            self.assertEqual(statement["Condition"], {"StringEquals": {
                f"{issuer}:aud": "sts.amazonaws.com",
                f"{issuer}:sub": [f"repo:{repository}:environment:{environment}" for environment in environments
                                  for repository in ("owner@11/name@22", "owner/name")]}})


BOUND = {"iam:PermissionsBoundary": BOUNDARY}
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class CloudFormation(Permissions):
    """The role that CloudFormation assumes."""

    CALLER = Caller(CI, "CloudFormationRole")

    # Actions of the registry that this template has no use for, and why.
    UNUSED = {
        "no network, file system, key, layer, signature or trace of its own": re.compile(
            r"(ec2|elasticfilesystem|kms|s3files|firehose|ssm):.*|logs:.*KmsKey|lambda:.*(LayerVersion|CapacityProvider)"
            r"|lambda:(GetCode|PutFunctionCode|DeleteFunctionCode)SigningConfig"),
        "settings that the template leaves alone": re.compile(
            r"lambda:(Put|Delete)(FunctionRecursionConfig|FunctionScalingConfig|RuntimeManagementConfig|"
            r"ProvisionedConcurrencyConfig)|logs:(Put|Delete)(DataProtection|Index)Policy"
            r"|logs:PutLogGroupDeletionProtection|logs:PutBearerTokenAuthentication"),
        "no trust policy and no boundary may change": re.compile(
            r"iam:(DeleteRolePermissionsBoundary|UpdateAssumeRolePolicy|UpdateRole|UpdateRoleDescription)"),
        "only for resources that are listed or imported": re.compile(
            r"(lambda|iam|codedeploy|cloudwatch):List(Functions|Roles|Applications|DeploymentGroups|Dashboards)"),
        "no version of an object is named": re.compile(r"s3:GetObjectVersion"),
        "not for this kind of deployment, log group or domain": re.compile(
            r"codedeploy:RegisterOnPremisesInstance|logs:DeleteResourcePolicy|apigateway:.*Certificate.*"),
        "no action of IAM's reference": re.compile(r"s3:getObject|s3:REST\.PUT\.OBJECT|lambda:AssociateRuntimeAlias"),
    }
    # Actions that the registry doesn't list, and why.
    EXTRA = {
        "cloudformation:CreateChangeSet": "for the transforms",
        "lambda:InvokeFunction": "for the migration",
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
        **dict.fromkeys(["logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups",
                         "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
                         "logs:PutResourcePolicy", "logs:UpdateLogDelivery"], "for the access log"),
    }

    def test_it_has_exactly_the_permissions_that_the_registry_lists_for_the_templates_resources(self):
        # Each resource of the expansion, with its generated name, and the calls of its type's handlers.
        parameters = {"Tracing": "Active", "EndpointConcurrency": "10", "ReserveConcurrency": "true",
                      "DomainName": "api.example.com", "CertificateArn": arn("acm", "certificate/1")}
        stack = deployed(PermissionsBoundaryArn=BOUNDARY, **parameters)
        calls = [("lambda:InvokeFunction", function("migrate")), *TRANSFORMS,
                 *((action, "*") for action in self.EXTRA if action.startswith("logs:"))]
        for key, resource in stack.resources.items():
            if not resource["Type"].startswith("Custom::"):
                schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-central-1", resource["Type"]).schema
                actions = {action for name, handler in schema["handlers"].items() for action in handler["permissions"]
                           if name != "list"} | set(schema.get("tagging", {}).get("permissions", []))
                for action in sorted(actions):
                    if not any(it.fullmatch(action) for it in self.UNUSED.values()):
                        calls += self.on(action, stack, key, resource["Type"], resource.get("Properties", {}))
        self.assertGreater(len(calls), 500)
        self.assert_allowed(self.CALLER, *calls)
        granted = {action for policy in self.CALLER.policies for it in policy["Statement"] for action in
                   ([it["Action"]] if isinstance(it["Action"], str) else it["Action"])}
        self.assertEqual(granted - {action for action, *_ in calls}, set())

    def on(self, action, stack, key, kind, properties):
        """Returns the calls that a handler makes with this action."""
        service, name = action.split(":")[0], stack.physical_name(key)
        api = "arn:aws:apigateway:eu-central-1::/apis"
        match kind, service:
            case "AWS::Lambda::Permission", _:
                return [(action, properties["FunctionName"].rpartition(":")[0])]
            case _, "lambda":
                return [(action, named("function", properties.get("FunctionName", name)))]
            case "AWS::Lambda::Function", "s3":
                return [(action, f"{BUCKET}/{STACK}/0123")]
            case "AWS::Lambda::Function", "iam":
                return [(action, properties["Role"], {"iam:PassedToService": "lambda.amazonaws.com"})]
            case "AWS::IAM::Role", _:
                policies = properties.get("ManagedPolicyArns", []) if "tachRolePolicy" in action else [""]
                return [(action, named("role", name), BOUND | ({"iam:PolicyARN": policy} if policy else {}))
                        for policy in policies]
            case "AWS::Logs::LogGroup" | "AWS::Logs::MetricFilter", _:
                group = properties["LogGroupName"]
                everywhere = action in self.EXTRA or action == "logs:DescribeIndexPolicies"
                return [(action, "*" if everywhere else arn("logs", f"log-group:{group}"))]
            case "AWS::CloudWatch::Dashboard", _:
                return [(action, arn("cloudwatch", f"dashboard/{properties['DashboardName']}", ""))]
            case _, "cloudwatch":
                return [(action, arn("cloudwatch", f"alarm:{name}"))]
            case "AWS::CodeDeploy::DeploymentGroup", "iam":
                return [(action, properties["ServiceRoleArn"], {"iam:PassedToService": "codedeploy.amazonaws.com"})]
            case _, "codedeploy":
                if action.endswith("StopDeployment"):
                    return [(action, "*")]
                if action.endswith("DeploymentConfig"):
                    return [(action, arn("codedeploy", "deploymentconfig:CodeDeployDefault.LambdaCanary10Percent5Minutes"))]
                application = stack.physical_name("ServerlessDeploymentApplication")
                on_application = kind.endswith("Application") or action.endswith("ApplicationRevision")
                group = f"deploymentgroup:{application}/{name.replace(':', '-')}"
                return [(action, arn("codedeploy", f"application:{application}" if on_application else group))]
            case "AWS::ApiGatewayV2::DomainName", "s3":
                return []  # For mutual TLS, which the template doesn't use.
            case "AWS::ApiGatewayV2::Api", _:
                return [(action, api if action.endswith("POST") else f"{api}/a1b2c3d4e5")]
            case "AWS::ApiGatewayV2::Stage", _:
                return [(action, f"{api}/a1b2c3d4e5/stages" + ("" if action.endswith("POST") else "/$default"))]
            case "AWS::ApiGatewayV2::DomainName" | "AWS::ApiGatewayV2::ApiMapping", _:
                domain = "arn:aws:apigateway:eu-central-1::/domainnames"
                mappings = f"{domain}/api.example.com/apimappings/1"
                return [(action, domain if action.endswith("POST") else mappings if "Mapping" in kind else
                         f"{domain}/api.example.com")]
        self.fail(f"say here on what {kind} calls {action}")

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
            ("s3:GetObject", f"{BUCKET}/another/0123"), ("s3:PutObject", f"{BUCKET}/{STACK}/0123"),
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
