#!/bin/sh
# What a worker does for one task, by hand: the same git commands and HTTP calls, and an agent that
# makes one edit.
# Usage: by_hand.sh FORGE_URL TOKEN QUEUE_URL DIRECTORY ISSUE
set -eu
forge=$1 token=$2 queue=$3 directory=$4 issue=$5
bare=$directory/cache.git trees=$directory/trees-$issue branch=codingworker/issue-$issue
remote=$forge/owner/repo.git api=$forge/repos/owner/repo
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
header="http.extraHeader=Authorization: Basic $(printf 'x:%s' "$token" | base64 | tr -d '\n')"

ask() { curl -sf -o /dev/null -H "Authorization: Bearer $token" "$@"; }
sqs() {
  curl -sf -H 'content-type: application/x-amz-json-1.0' -H "x-amz-target: AmazonSQS.$1" \
    -d "$2" "$queue"
}
say() {
  ask "$api/issues/$issue/comments?per_page=100"
  ask -X PATCH -d '{"body":"'"$1"'"}' "$comment"
}

name=$queue/000000000000/codingworker-tasks
handle=$(sqs ReceiveMessage '{"QueueUrl":"'"$name"'"}' |
  sed 's/.*"ReceiptHandle":"\([^"]*\)".*/\1/')
ask "$api/pulls?state=all&head=owner:$branch"
ask "$api/issues/$issue"
comment=$(curl -sf -H "Authorization: Bearer $token" -d '{"body":"accepted"}' \
  "$api/issues/$issue/comments" | sed 's/.*"url":"\([^"]*issues\/comments\/[0-9]*\)".*/\1/')

say preparing
git init --quiet --bare --template= "$bare"
git -C "$bare" -c "$header" ls-remote --symref "$remote" HEAD >/dev/null
git -C "$bare" rev-parse --verify --quiet refs/fetched/default >/dev/null || true
git -C "$bare" -c "$header" fetch --quiet --no-tags "$remote" \
  +refs/heads/main:refs/fetched/default
base=$(git -C "$bare" rev-parse refs/fetched/default)
echo "$base:.codingworker.toml" | git -C "$bare" cat-file --batch >/dev/null
git -C "$bare" ls-tree -r -z --name-only "$base" >/dev/null
mkdir -p "$trees/agent" "$trees/checks"
git init --quiet --template= "$trees/agent"
git -C "$trees/agent" fetch --quiet --depth=1 --update-head-ok "$bare" \
  "$base:refs/heads/main" 2>/dev/null ||
  git -C "$trees/agent" fetch --quiet --depth=1 "$bare" refs/fetched/default
for side in agent checks; do
  GIT_INDEX_FILE=$trees/$side.index git --git-dir="$bare" --work-tree="$trees/$side" \
    read-tree --reset -u "$base"
done
git -C "$bare" rev-parse "$base^{tree}" >/dev/null
git -C "$bare" rev-parse "$base^{tree}" >/dev/null

say implementing
git -C "$bare" ls-tree -r -z --name-only "$base" >/dev/null
(cd "$trees/agent" && echo "$issue" >hello.txt)
export GIT_INDEX_FILE="$trees/agent.index"
git --git-dir="$bare" --work-tree="$trees/agent" add --all -- . ':!.git'
tree=$(git --git-dir="$bare" --work-tree="$trees/agent" write-tree)
unset GIT_INDEX_FILE
commit=$(git -C "$bare" commit-tree "$tree" -p "$base" -m "a task")
git -C "$bare" update-ref "refs/codingworker/$issue" "$commit"
for pass in implement check; do
  [ "$pass" = implement ] || say checking
  echo "$base:.codingworker.toml" | git -C "$bare" cat-file --batch >/dev/null
  git -C "$bare" ls-tree -r -z --name-only "$commit" >/dev/null
  GIT_INDEX_FILE=$trees/checks.index git --git-dir="$bare" --work-tree="$trees/checks" \
    read-tree --reset -u "$tree"
  GIT_INDEX_FILE=$trees/checks.index git --git-dir="$bare" --work-tree="$trees/checks" \
    clean --quiet -d --force --force
done
git -C "$bare" diff-tree -r -z --raw --numstat "$base" "$commit" >/dev/null
echo "$commit" | git -C "$bare" cat-file --batch-check >/dev/null

say publishing
git -C "$bare" -c "$header" ls-remote --symref "$remote" "refs/heads/$branch" >/dev/null
git -C "$bare" -c "$header" push --quiet "--force-with-lease=refs/heads/$branch:" "$remote" \
  "$commit:refs/heads/$branch"
ask "$api/pulls?state=all&head=owner:$branch"
ask -d '{"title":"a task","head":"'"$branch"'","base":"main","body":"done"}' "$api/pulls"
say "done"
ask "$api/issues/$issue"
ask -d '{"labels":["ai-task-done"]}' "$api/issues/$issue/labels"
ask -X DELETE "$api/issues/$issue/labels/ai-task"
sqs DeleteMessage '{"QueueUrl":"'"$name"'","ReceiptHandle":"'"$handle"'"}' >/dev/null
rm -rf "$trees"
