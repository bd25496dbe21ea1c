// Runs the only job of a workflow as GitHub's runner would: `if` and `env` by GitHub's own expression language, `run` by bash, outputs by
// files. Steps that `use` an action are passed over.
//
// node run_workflow.mjs WORKFLOW <HOST.json >RESULT.json
//
// HOST: the contexts `github`, `vars`, `secrets` and `inputs`; `event`, the text of the payload; `environment`, which is all that a script
// inherits; `directory`, an empty one; `forge`, the URL that takes GitHub's place. RESULT: `conclusion`, and of each step its `name`, `outcome` and `output`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { Evaluator, Lexer, Parser, data } from "@actions/expressions";
import { parse } from "yaml";

const CONTEXTS = ["github", "vars", "secrets", "inputs", "steps"];
const workflow = parse(fs.readFileSync(process.argv[2], "utf8"));
const host = JSON.parse(fs.readFileSync(0, "utf8"));
host.github.event = JSON.parse(host.event);
fs.writeFileSync(path.join(host.directory, "event.json"), host.event);
const [job] = Object.values(workflow.jobs);
const steps = {};
let failed = false;

const results = [];
if (truthy(job.if)) {
  const github = await serveGitHub();
  for (const [index, step] of job.steps.entries()) {
    results.push(await runStep(step, index));
  }
  github.close();
  github.closeAllConnections();
}
const conclusion = results.length === 0 ? "skipped" : failed ? "failure" : "success";
console.log(JSON.stringify({ conclusion, steps: results }));

async function runStep(step, index) {
  const name = step.name ?? step.uses;
  const condition = step.if ?? "success()";
  // A condition that does not ask how the job fares has a `success() &&` before it.
  const asks = /\b(success|failure|cancelled|always)\(/.test(condition);
  if ((!asks && failed) || !truthy(condition)) return { name, outcome: "skipped", output: "" };
  if (step.uses) return { name, outcome: "passed over", output: "" };

  const outputFile = path.join(host.directory, `output-${index}`);
  const script = path.join(host.directory, `step-${index}.sh`);
  fs.writeFileSync(outputFile, "");
  fs.writeFileSync(script, interpolate(step.run));
  const { status, output } = await bash(script, {
    ...host.environment,
    ...gitHubsVariables(),
    ...evaluated(job.env),
    ...evaluated(step.env),
    GITHUB_OUTPUT: outputFile,
  });
  if (step.id) steps[step.id] = { outputs: outputs(fs.readFileSync(outputFile, "utf8")) };
  failed ||= status !== 0;
  return { name, outcome: status === 0 ? "success" : "failure", output };
}

// What `shell: bash` means (GitHub Docs, "Workflow syntax", `jobs.<job_id>.steps[*].shell`).
async function bash(script, env) {
  const child = spawn("bash", ["--noprofile", "--norc", "-eo", "pipefail", script], {
    cwd: host.directory,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const [status] = await once(child, "close");
  return { status, output };
}

function gitHubsVariables() {
  return {
    GITHUB_ACTIONS: "true",
    GITHUB_EVENT_PATH: path.join(host.directory, "event.json"),
    GITHUB_REPOSITORY: host.github.repository,
    GITHUB_RUN_ID: String(host.github.run_id),
    RUNNER_TEMP: host.directory,
    GH_CONFIG_DIR: path.join(host.directory, "gh"),
  };
}

function outputs(text) {
  return Object.fromEntries(
    text
      .split("\n")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

function evaluated(variables = {}) {
  return Object.fromEntries(Object.entries(variables).map(([name, text]) => [name, interpolate(String(text))]));
}

function interpolate(text) {
  return text.replace(/\$\{\{(.*?)\}\}/g, (_, expression) => evaluate(expression).coerceString());
}

function truthy(condition) {
  return condition === undefined || evaluate(`(${condition}) && true || false`).coerceString() === "true";
}

function evaluate(expression) {
  const contexts = { github: host.github, vars: host.vars, secrets: host.secrets, inputs: host.inputs, steps };
  const status = { success: !failed, failure: failed, cancelled: false, always: true };
  const functions = Object.entries(status).map(([name, value]) => ({
    name,
    minArgs: 0,
    maxArgs: 0,
    call: () => new data.BooleanData(value),
  }));
  const parsed = new Parser(new Lexer(expression).lex().tokens, CONTEXTS, functions).parse();
  const dictionary = JSON.parse(JSON.stringify(contexts), data.reviver);
  return new Evaluator(parsed, dictionary, new Map(functions.map((each) => [each.name, each]))).evaluate();
}

// `gh` speaks plain HTTP over a socket that its configuration names.
async function serveGitHub() {
  const socket = path.join(host.directory, "github.sock");
  const configuration = path.join(host.directory, "gh");
  fs.mkdirSync(configuration);
  fs.writeFileSync(path.join(configuration, "config.yml"), `http_unix_socket: ${socket}\n`);
  const server = http.createServer((request, response) => {
    const { method, headers } = request;
    const onward = http.request(new URL(request.url, host.forge), { method, headers: { ...headers, host: new URL(host.forge).host } });
    onward.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.listen(socket);
  await once(server, "listening");
  return server;
}
