"""Checks the sums in docs/deployment.md: each is calculated correctly and uses the template's numbers."""

import re
import sys
import unittest

from cloudformation import PARAMETERS, ROOT, Stack, expand
from counted import run

TEMPLATE = (ROOT / "template.yaml").read_text()
DOCUMENT = (ROOT / "docs/deployment.md").read_text()


def number(text):
    return float(text.strip("* ").replace(",", ""))


def tables():
    """Yields the rows (label, sum, result) of each table of sums."""
    for table in re.findall(r"^\| \| sum \| \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE):
        yield [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def row(label):
    (found,) = (cells for table in tables() for cells in table if cells[0].startswith(label))
    return found[1:]


def factors(sum_):
    return [number(factor) for factor in re.findall(r"[\d,]+(?:\.\d+)?", sum_)]


class Costs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(expand(TEMPLATE), "task-api", PARAMETERS)

    def test_every_sum_is_right(self):
        seen = 0
        for table in tables():
            total = 0
            for label, sum_, result in table:
                if sum_:
                    expression = re.sub(r"(per )?GB(-s)?| s\b|,", "", sum_).replace("×", "*")
                    value = eval(expression, {"__builtins__": {}})
                    self.assertAlmostEqual(value, number(result), delta=0.005 + 1e-9, msg=label)
                    total += number(result)
                    seen += 1
                else:
                    self.assertAlmostEqual(total, number(result), delta=0.005, msg=label)
        self.assertEqual(seen, 15)

    def test_connections_fit_the_pooler(self):
        for parameters, reserved in [({}, {None}), ({"EndpointConcurrency": "50"}, {"50"})]:
            stack = Stack(expand(TEMPLATE), "task-api", PARAMETERS | parameters)
            endpoints = [it for it in stack.of_type("AWS::Lambda::Function").values()
                         if it["Environment"]["Variables"]["SECRET_ID"] == PARAMETERS["SecretArn"]]
            self.assertEqual({it.get("ReservedConcurrentExecutions") for it in endpoints}, reserved)
        sum_, reserved = row(f"{len(endpoints)} endpoints")
        self.assertEqual(factors(sum_), [len(endpoints), 50, 1])
        self.assertEqual(self.stack.parameters["DatabasePoolSize"], "1")
        for connections in (reserved, row("an account's limit")[1]):
            self.assertLessEqual(number(connections), number(row("accepted by Neon's pooler")[1]))

    def test_the_fixed_costs_count_what_the_template_has(self):
        metrics = self.stack.of_type("AWS::Logs::MetricFilter")
        alarms = self.stack.of_type("AWS::CloudWatch::Alarm").values()
        # An alarm on an expression reads several metrics.
        read = sum("MetricName" in alarm or sum("MetricStat" in it for it in alarm["Metrics"]) for alarm in alarms)
        self.assertEqual(factors(row("metrics of the alarms")[0])[0], len(metrics))
        self.assertEqual(factors(row("alarms, by")[0])[0], read)
        (api,) = self.stack.of_type("AWS::ApiGatewayV2::Api").values()
        routes = sum(len(methods) for methods in api["Body"]["paths"].values())
        self.assertEqual(factors(row("metrics by route")[0])[:2], [routes, 2])
        # Every endpoint has an alarm of its own.
        functions = {it["FunctionName"] for it in self.stack.of_type("AWS::Lambda::Function").values()}
        self.assertEqual(factors(row("errors by function")[0])[0], len(functions) - 1)
        secrets = {it["Environment"]["Variables"]["SECRET_ID"]
                   for it in self.stack.of_type("AWS::Lambda::Function").values()} - {""}
        self.assertEqual(factors(row("secrets")[0])[0], len(secrets))

    def test_the_largest_bill_is_what_the_limits_allow(self):
        (stage,) = self.stack.of_type("AWS::ApiGatewayV2::Stage").values()
        (api,) = self.stack.of_type("AWS::ApiGatewayV2::Api").values()
        routes = sum(len(methods) for methods in api["Body"]["paths"].values())
        # Limits apply to each route.
        self.assertEqual(factors(row("requests with short responses")[0])[1:3],
                         [float(stage["DefaultRouteSettings"]["ThrottlingRateLimit"]), routes - len(stage["RouteSettings"])])
        sizes = {path: number(size) for path, size in re.findall(r"`(/[a-z.]+)`,\s+of ([\d.]+)\s+MB", DOCUMENT)}
        for path in ("/docs", "/openapi.json"):
            seconds, rate, gigabytes, price = factors(row(f"sending `{path}`")[0])
            limit = stage["RouteSettings"][f"GET {path}"]["ThrottlingRateLimit"]
            self.assertEqual((seconds, rate, price), (30 * 24 * 60 * 60, limit, 0.09))
            self.assertAlmostEqual(gigabytes * 1000, sizes[path])
        self.assertLessEqual(len((ROOT / "openapi.json").read_bytes()) / 1e6, sizes["/openapi.json"])


if __name__ == "__main__":
    run(sys.modules["__main__"])
