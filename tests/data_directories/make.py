#!/usr/bin/env python3
"""Makes the two data directories that later versions must open and go on with.

    make.py PROGRAM VERSION

PROGRAM is the released `codingworker` of VERSION. It runs `codingworker up` (queue, forge and worker
in one directory) with a scripted agent and writes, beside this file:

    VERSION-idle.tar.gz     ten runs have ended, in every way that a run can end
    VERSION-midrun.tar.gz   SIGKILL hit the program while the agent wrote its tests

A version's archives are never made again: they are what that version left on users' disks.
"""

import json
import os
import pathlib
import signal
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path("/tmp/codingworker-data")
FILES = {
    "README.md": "a small repository\n",
    "check.sh": "test ! -e broken || { echo 'FAILED broken is there'; exit 1; }\n",
    ".codingworker.toml": '[checks]\nbuild = ""\nformat = ""\nlint = ""\nsetup = ""\ntest = "sh check.sh"\n',
}
# The issue's title says what the agent does with it.
AGENT = """#!/bin/sh
case $(cat "$1") in
  *"Issue #"*": break"*) echo broken > broken ;;
  *"Issue #"*": nothing"*) ;;
  *"Issue #"*": wait"*) if test -e hello.txt; then touch "$2/waiting"; sleep 600; else echo hello > hello.txt; fi ;;
  *"Issue #"*": hold"*) touch "$2/holding"; sleep 600 ;;
  *) test -e hello.txt && echo test > hello_test.txt || date > hello.txt ;;
esac
"""


class Up:
    def __init__(self, program):
        shutil.rmtree(ROOT, ignore_errors=True)
        (ROOT / "stage").mkdir(parents=True)
        agent = ROOT / "agent.sh"
        agent.write_text(AGENT)
        agent.chmod(0o755)
        self.program, self.data = program, ROOT / "up"
        settings = ROOT / "codingworker.toml"
        settings.write_text(
            f"[queue]\nretry_delays_seconds = [0]\n[github]\nwatch_seconds = 1\n[checks]\nfix_ups = 1\n"
            f'[sandbox]\nwritable = ["{ROOT}/stage"]\n'
            f'[agent]\nkind = "command"\nmodels = ["scripted"]\ncommand = ["{agent}", "{{prompt_file}}", "{ROOT}/stage"]\n'
        )
        ports = ["--queue-listen", "127.0.0.1:0", "--forge-listen", "127.0.0.1:0"]
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(ROOT)}
        self.up = subprocess.Popen(
            [program, "--config", settings, "up", "--data", self.data, *ports],
            stdout=subprocess.PIPE, text=True, env=self.environment, start_new_session=True,
        )
        for line in self.up.stdout:
            if line.startswith("forge "):
                self.forge = line.split()[1].rstrip(",")
            if line.startswith("submit"):
                break
        self.token = (self.data / "token").read_text()
        self.push()

    def push(self):
        tree = ROOT / "tree"
        tree.mkdir()
        for name, text in FILES.items():
            (tree / name).write_text(text)
        git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.com", "-C", tree]
        remote = self.forge.replace("http://", f"http://me:{self.token}@") + "/me/project.git"
        for command in (["init", "-qb", "main"], ["add", "-A"], ["commit", "-qm", "first"], ["push", "-q", remote, "main"]):
            subprocess.run([*git, *command], check=True)

    def ask(self, method, path, value=None):
        request = urllib.request.Request(
            self.forge + path, method=method, data=None if value is None else json.dumps(value).encode(),
            headers={"authorization": f"Bearer {self.token}", "user-agent": "make", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or "null")

    def submit(self, *arguments):
        command = [self.program, "--config", self.data / "codingworker.toml", "submit", *arguments]
        subprocess.run(command, check=True, env=self.environment, stdout=subprocess.DEVNULL)

    def runs(self):
        command = [self.program, "--config", self.data / "codingworker.toml", "status", "--json"]
        return json.loads(subprocess.run(command, check=True, env=self.environment, stdout=subprocess.PIPE).stdout)

    def keep(self, name):
        # The lock, the settings and the servers' files belong to a directory as a user has it.
        with tarfile.open(HERE / name, "w:gz") as archive:
            archive.add(self.data, "up")
        print(HERE / name, (HERE / name).stat().st_size, "bytes")


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)
    return found


def ended(up, count):
    def look():
        runs = up.runs()["runs"]
        return len(runs) >= count and all(run["ended_at"] for run in runs) and runs
    return until(look)


def idle(program, version):
    up = Up(program)
    count = 0
    # One run each: done, done, and closed by its owner; three each: red (a draft), no change.
    for title in ("greet", "greet again"):
        up.submit("--repository", "me/project", "--title", title)
        ended(up, count := count + 1)
    for title in ("break it", "nothing to do"):
        up.submit("--repository", "me/project", "--title", title)
        ended(up, count := count + 3)
    issue = up.ask("POST", "/repos/me/project/issues", {"title": "hold", "labels": ["ai-task"]})["number"]
    up.submit("--issue", f"me/project#{issue}")
    until((ROOT / "stage" / "holding").exists)
    up.ask("PATCH", f"/repos/me/project/issues/{issue}", {"state": "closed"})
    ended(up, count := count + 1)
    up.submit("--repository", "me/project", "--title", "greet once more")
    runs = ended(up, count := count + 1)
    assert len(runs) == 10, len(runs)
    print([run["outcome"] for run in runs])
    up.up.send_signal(signal.SIGTERM)
    assert up.up.wait(60) == 0
    up.keep(f"{version}-idle.tar.gz")


def midrun(program, version):
    up = Up(program)
    up.submit("--repository", "me/project", "--title", "greet")
    ended(up, 1)
    up.submit("--repository", "me/project", "--title", "wait in the tests")
    until((ROOT / "stage" / "waiting").exists)
    os.kill(up.up.pid, signal.SIGKILL)
    up.up.wait()
    # What the dead program started must not write into the archive.
    subprocess.run(["pkill", "-KILL", "-f", str(ROOT)], check=False)
    up.keep(f"{version}-midrun.tar.gz")


if __name__ == "__main__":
    idle(sys.argv[1], sys.argv[2])
    midrun(sys.argv[1], sys.argv[2])
