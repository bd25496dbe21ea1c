terraform {
  # 1.11 brought `use_lockfile` out of its trial, and the tests' `override_during = plan`.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project     = "codingworker"
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

# `aws` in most places, `aws-cn` and `aws-us-gov` in some: no ARN spells it out.
data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}
