#!/usr/bin/env bash
#
# Makes the bucket and the lock table in which Terraform keeps its state: infra/bootstrap-backend.sh [OPTION]...
#
#   --bucket NAME    the bucket (codingworker-dev-tfstate)
#   --table NAME     the lock table in DynamoDB (codingworker-dev-tfstate-lock)
#   --region REGION  where both are (AWS_REGION, else AWS_DEFAULT_REGION, else ap-northeast-1)
#   --dry-run        only say what would be done
#   --destroy        take both away again; refused while the bucket holds a state that manages anything
#
# Both are outside of Terraform, which can't keep its state in a bucket that it has yet to make. Safe to run again: what is there is
# brought to the same settings. Asks AWS with the credentials of the AWS CLI, or what AWS_ENDPOINT_URL names.
#
# Runs in bash 3.2, as macOS has it.
set -euo pipefail

bucket=codingworker-dev-tfstate
table=codingworker-dev-tfstate-lock
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-ap-northeast-1}}
dry_run=
destroy=
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

main() {
  while [ $# -gt 0 ]; do
    case $1 in
      --bucket | --table | --region)
        [ -n "${2:-}" ] || die "$1 wants a value"
        case $1 in --bucket) bucket=$2 ;; --table) table=$2 ;; *) region=$2 ;; esac
        shift
        ;;
      --dry-run) dry_run=1 ;;
      --destroy) destroy=1 ;;
      -h | --help) sed -n '3,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
      *) die "unknown argument $1; --help tells the ones there are" ;;
    esac
    shift
  done
  command -v aws >/dev/null || die "the AWS CLI is not on the PATH: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
  export AWS_REGION=$region AWS_DEFAULT_REGION=$region AWS_PAGER=''
  local identity
  identity=$(aws sts get-caller-identity --query '[Account, Arn]' --output text) \
    || die "AWS does not accept the credentials; \`aws configure\` or AWS_PROFILE sets them"
  account=${identity%%[[:space:]]*}
  # arn:PARTITION:…
  partition=${identity#*arn:}
  partition=${partition%%:*}
  if [ -n "$destroy" ]; then
    destroy_table_and_bucket
  else
    make_bucket
    make_table
    [ -n "$dry_run" ] || say "ready: \`terraform init\` finds its state there"
  fi
}

say() { printf '%s\n' "$*"; }
die() { printf 'bootstrap-backend.sh: %s\n' "$*" >&2 && exit 1; }

# Asks AWS to change something, or says so.
change() {
  if [ -n "$dry_run" ]; then
    local argument line='would run: aws'
    for argument; do
      case $argument in *[!A-Za-z0-9=,./_:-]*) argument="'$argument'" ;; esac
      line="$line $argument"
    done
    say "$line"
  else
    aws "$@" >/dev/null || die "AWS refused: aws $1 $2"
  fi
}

# Prints there or missing; ends the script when it is somebody else's or can't be asked for.
bucket_state() {
  local refusal
  if refusal=$(aws s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" 2>&1); then
    echo there
  else
    case $refusal in
      *404* | *NoSuchBucket*) echo missing ;;
      *403*) die "the bucket $bucket belongs to another account: choose another name by --bucket, and set it in backend.tf" ;;
      *301*) die "the bucket $bucket is in another region than $region: name that one by --region" ;;
      *) die "the bucket $bucket can't be looked up: $refusal" ;;
    esac
  fi
}

table_state() {
  local refusal
  if refusal=$(aws dynamodb describe-table --table-name "$table" 2>&1); then
    echo there
  else
    case $refusal in
      *ResourceNotFoundException*) echo missing ;;
      *) die "the table $table can't be looked up: $refusal" ;;
    esac
  fi
}

make_bucket() {
  local state
  state=$(bucket_state)
  say "bucket $bucket is $state"
  if [ "$state" = missing ]; then
    # us-east-1 is the one region that may not be named here.
    if [ "$region" = us-east-1 ]; then
      change s3api create-bucket --bucket "$bucket"
    else
      change s3api create-bucket --bucket "$bucket" --create-bucket-configuration "LocationConstraint=$region"
    fi
  fi
  change s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
  change s3api put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
  change s3api put-bucket-encryption --bucket "$bucket" --server-side-encryption-configuration \
    '{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}'
  local arn="arn:$partition:s3:::$bucket" statement
  statement='"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}'
  change s3api put-bucket-policy --bucket "$bucket" --policy \
    '{"Version": "2012-10-17", "Statement": [{"Sid": "DenyNonSSLAccess", '"$statement"', "Resource": ["'"$arn"'", "'"$arn"'/*"]}]}'
}

make_table() {
  local state
  state=$(table_state)
  say "table $table is $state"
  if [ "$state" = missing ]; then
    change dynamodb create-table --table-name "$table" --billing-mode PAY_PER_REQUEST \
      --attribute-definitions AttributeName=LockID,AttributeType=S --key-schema AttributeName=LockID,KeyType=HASH
    [ -n "$dry_run" ] || aws dynamodb wait table-exists --table-name "$table"
  fi
}

destroy_table_and_bucket() {
  local bucket_is table_is
  bucket_is=$(bucket_state)
  table_is=$(table_state)
  [ "$table_is" = missing ] || refuse_while_locked
  [ "$bucket_is" = missing ] || refuse_while_state_is_inside
  if [ "$bucket_is" = there ]; then
    delete_every_version
    change s3api delete-bucket --bucket "$bucket"
  fi
  [ "$table_is" = missing ] || change dynamodb delete-table --table-name "$table"
  say "bucket $bucket was $bucket_is, table $table was $table_is${dry_run:+; nothing was changed}"
}

# The items whose names end in -md5 are digests of a state; any other is a lock that somebody holds.
refuse_while_locked() {
  local locks
  locks=$(aws dynamodb scan --table-name "$table" --query 'Items[].LockID.S' --output text | tr '\t' '\n' | grep -v -e '-md5$' -e '^None$' -e '^$') || true
  [ -z "$locks" ] || die "Terraform holds a lock in $table: $locks"
}

# `terraform destroy` leaves a state behind that manages nothing.
refuse_while_state_is_inside() {
  command -v jq >/dev/null || die "jq is not on the PATH, and without it nobody can tell whether the state is empty"
  local keys key managed
  keys=$(aws s3api list-objects-v2 --bucket "$bucket" --query 'Contents[].[Key]' --output text) || die "the bucket $bucket can't be read"
  while IFS= read -r key; do
    case $key in
      '' | None) continue ;;
      *.tflock) die "Terraform holds a lock in $bucket: $key" ;;
    esac
    aws s3api get-object --bucket "$bucket" --key "$key" "$scratch/state" >/dev/null || die "$key in $bucket can't be read"
    managed=$(jq '.resources | length' "$scratch/state" 2>/dev/null) || die "$bucket holds $key, which is no state of Terraform: take it away first"
    [ "$managed" = 0 ] || die "$bucket holds $key, a state with $managed resources: run \`terraform destroy\` first"
  done <<END
$keys
END
}

delete_every_version() {
  local doomed=$scratch/doomed
  while :; do
    # shellcheck disable=SC2016 # JMESPath writes literals between backticks
    aws s3api list-object-versions --bucket "$bucket" --max-items 500 --output json \
      --query '{Quiet: `true`, Objects: [Versions || `[]`, DeleteMarkers || `[]`][][].{Key: Key, VersionId: VersionId}}' >"$doomed"
    if [ "$(jq '.Objects | length' "$doomed")" = 0 ]; then
      return 0
    fi
    change s3api delete-objects --bucket "$bucket" --delete "file://$doomed"
    [ -z "$dry_run" ] || return 0
  done
}

main "$@"
