// Decides calls by IAM's rules. Standard input is a JSON array of objects with `action`, `resource`,
// `context`, and the documents of the caller's `policies` and of its `boundary`, or null. Prints a JSON array
// of decisions.
import { readFileSync } from "node:fs";
import { runSimulation, runUnsafeSimulation } from "@cloud-copilot/iam-simulate";

const accountId = "123456789012";
// AWS documents these, but the simulator does not know them: transforms, the ARNs of HTTP APIs, and which of its two
// types of resources an action is for.
const isUnknown = (action, resource) =>
  action.startsWith("apigateway:") || resource.includes(":aws:transform/") ||
  action === "lambda:GetProvisionedConcurrencyConfig";
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
  // An error means that the action does not exist, or not for this type of resource: the test is wrong.
  decisions.push(result.overallResult ?? `${result.errors.message}`);
}
console.log(JSON.stringify(decisions));
