// Decides calls by IAM's rules. Reads a JSON array from standard input, of objects with `action`, `resource`, `context`
// and the documents of the caller's `policies` and of its `boundary`, which may be null; writes the decisions.
import { readFileSync } from "node:fs";
import { runSimulation, runUnsafeSimulation } from "@cloud-copilot/iam-simulate";

const accountId = "123456789012";
// Documented, but unknown to the simulator: transforms, and the ARNs of HTTP APIs.
const isUnknown = (action, resource) => action.startsWith("apigateway:") || resource.includes(":aws:transform/");
const named = (policy, index) => ({ name: String(index), policy });
const decisions = [];
for (const { action, resource, context, policies, boundary } of JSON.parse(readFileSync(0, "utf8"))) {
  const simulation = {
    request: {
      principal: `arn:aws:iam::${accountId}:role/caller`,
      action,
      resource: { resource, accountId },
      contextVariables: context,
    },
    identityPolicies: policies.map(named),
    permissionBoundaryPolicies: boundary ? [named(boundary, 0)] : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  };
  if (isUnknown(action, resource)) {
    decisions.push(runUnsafeSimulation(simulation, {}));
    continue;
  }
  const result = await runSimulation(simulation, {});
  // An action that does not exist, or not on such a resource, is a mistake of the test.
  decisions.push(result.overallResult ?? `${result.errors.message}`);
}
console.log(JSON.stringify(decisions));
