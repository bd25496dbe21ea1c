# The state's bucket and lock table can't be made by the configuration whose state they hold:
# ../bootstrap-backend.sh makes them, versioned, encrypted with AES256 and closed to plain HTTP.
#
# A backend takes no variables. Elsewhere than here:
#   terraform init -backend-config=region=eu-central-1 -backend-config=bucket=NAME
terraform {
  backend "s3" {
    bucket  = "codingworker-dev-tfstate"
    key     = "codingworker/terraform.tfstate"
    region  = "ap-northeast-1"
    encrypt = true

    # Terraform 1.11 deprecates the table in favor of a lock file in the bucket. With both, whoever
    # holds either keeps everybody else out, so the table can go when no older Terraform is in use.
    dynamodb_table = "codingworker-dev-tfstate-lock"
    use_lockfile   = true
  }
}
