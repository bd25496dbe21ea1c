// Judges requests by policies, with a policy evaluator of other people's making.
//
// node authorize.mjs <QUESTION.json >ANSWERS.json
//
// QUESTION: `rows`, each with `principal`, `action`, `resource`, `account`, `context`, the principal's own policies as `identity` and the
// resource's as `resource_policy`. ANSWERS: for each row Allowed, ImplicitlyDenied or ExplicitlyDenied.
import fs from "node:fs";
import { loadPolicy } from "@cloud-copilot/iam-policy";
// The package's front door drops the context keys of GitHub's provider from a request, and then no row could be allowed.
import { authorize } from "../../node_modules/@cloud-copilot/iam-simulate/dist/esm/core_engine/CoreSimulatorEngine.js";
import { AwsRequestImpl } from "../../node_modules/@cloud-copilot/iam-simulate/dist/esm/request/request.js";
import { RequestContextImpl } from "../../node_modules/@cloud-copilot/iam-simulate/dist/esm/requestContext.js";

const { rows } = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(JSON.stringify(rows.map(judge)));

function judge({ principal, action, resource, account, context, identity = [], resource_policy }) {
  const request = new AwsRequestImpl(principal, { resource, accountId: account }, action, new RequestContextImpl(context));
  return authorize({
    request,
    sessionPolicy: undefined,
    identityPolicies: identity.map((policy, index) => loadPolicy(policy, { name: `identity-${index}` })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: resource_policy && loadPolicy(resource_policy, { name: "resource" }),
    permissionBoundaries: undefined,
    vpcEndpointPolicies: undefined,
    simulationParameters: { simulationMode: "Strict", discoveryContextKeyConstraints: { isAllowed: () => true } },
  }).result;
}
