// Writes every `run` of a workflow to a file of its own: node workflow_scripts.mjs WORKFLOW DIRECTORY
import fs from "node:fs";
import path from "node:path";
import { parse } from "yaml";

const [, , workflow, directory] = process.argv;
for (const [job, { steps }] of Object.entries(parse(fs.readFileSync(workflow, "utf8")).jobs)) {
  steps.forEach(({ run }, index) => {
    if (run) fs.writeFileSync(path.join(directory, `${job}-${index}.sh`), `#!/bin/bash -e\n${run}`);
  });
}
