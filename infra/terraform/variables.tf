variable "aws_region" {
  description = "The region of the queues."
  type        = string
  default     = "ap-northeast-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$", var.aws_region))
    error_message = "aws_region must be a region's code, such as ap-northeast-1."
  }
}

variable "environment" {
  description = "The value of the tag Environment. Names do not carry it: one account holds one CodingWorker."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.environment))
    error_message = "environment must be 1 to 32 lowercase letters, digits and hyphens, with no hyphen at either end."
  }
}

# IAM compares subjects letter by letter, so names are spelled here as GitHub spells them.

variable "github_org" {
  description = "The organization or user that owns the repositories, spelled as GitHub spells it."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.github_org) <= 39 && can(regex("^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$", var.github_org))
    error_message = "github_org must be an exact GitHub name: at most 39 letters, digits and single hyphens, with no hyphen at either end. Wildcards are refused."
  }
}

variable "github_repos" {
  description = "The repositories whose main branch may queue tasks: names without the owner, spelled as GitHub spells them."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.github_repos) > 0
    error_message = "github_repos must list at least one repository."
  }

  validation {
    condition = alltrue([
      for repo in var.github_repos :
      can(regex("^[A-Za-z0-9._-]{1,100}$", repo)) && !can(regex("^[.]{1,2}$|[.][Gg][Ii][Tt]$", repo))
    ])
    error_message = "github_repos must hold exact repository names without the owner: 1 to 100 letters, digits, dots, hyphens and underscores, not '.' or '..', and without '.git' at the end. Wildcards are refused."
  }

  validation {
    condition     = length(distinct([for repo in var.github_repos : try(lower(repo), "")])) == length(var.github_repos)
    error_message = "github_repos must name each repository once; GitHub takes names that differ only in case for the same."
  }
}

variable "github_owner_id" {
  description = "The owner's number, from `gh api users/NAME --jq .id`. Given together with github_repo_ids."
  type        = string
  default     = null

  validation {
    condition     = var.github_owner_id == null || can(regex("^[1-9][0-9]{0,19}$", var.github_owner_id))
    error_message = "github_owner_id must be a number, written in digits."
  }

  validation {
    condition     = (var.github_owner_id == null) == (length(var.github_repo_ids) == 0)
    error_message = "github_owner_id and github_repo_ids belong together: give both or neither."
  }
}

variable "github_repo_ids" {
  description = "Each listed repository's number by its name, from `gh api repos/OWNER/NAME --jq .id`. With it the immutable subject alone is trusted."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for id in values(var.github_repo_ids) : can(regex("^[1-9][0-9]{0,19}$", id))])
    error_message = "github_repo_ids must map names to numbers, written in digits."
  }

  # With a number for some of them, one could take a repository for locked to its number that isn't.
  validation {
    condition     = length(var.github_repo_ids) == 0 || toset(keys(var.github_repo_ids)) == toset(var.github_repos)
    error_message = "github_repo_ids must hold exactly the repositories of github_repos, in the same spelling, or be empty."
  }
}

variable "accept_legacy_subject" {
  description = "With ids, trust the subject of names alone as well: for repositories that still present it."
  type        = bool
  default     = false
  nullable    = false
}

variable "create_oidc_provider" {
  description = "Make the account's OIDC provider for GitHub Actions. An account holds only one: false where it exists."
  type        = bool
  default     = true
  nullable    = false
}

# SQS takes 0 to 43200. Below half a minute a message comes back before a worker has extended it, and
# three such deliveries bury a task that never failed.
variable "sqs_visibility_timeout" {
  description = "Seconds for which a received task is hidden from other workers: longer than a slow machine's run."
  type        = number
  default     = 10800
  nullable    = false

  validation {
    condition = (
      var.sqs_visibility_timeout >= 30
      && var.sqs_visibility_timeout <= 43200
      && floor(var.sqs_visibility_timeout) == var.sqs_visibility_timeout
    )
    error_message = "sqs_visibility_timeout must be a whole number of seconds from 30 to 43200, SQS's maximum of 12 hours."
  }
}

variable "sqs_message_retention" {
  description = "Seconds for which a task waits for a worker before SQS drops it."
  type        = number
  default     = 604800
  nullable    = false

  validation {
    condition = (
      var.sqs_message_retention >= 60
      && var.sqs_message_retention <= 1209600
      && floor(var.sqs_message_retention) == var.sqs_message_retention
    )
    error_message = "sqs_message_retention must be a whole number of seconds from 60 to 1209600, SQS's range."
  }

  validation {
    condition     = var.sqs_message_retention < local.dlq_message_retention
    error_message = "sqs_message_retention must be shorter than the dead-letter queue's 1209600: a message's age goes on counting there, and an old one would be dropped as it arrives."
  }

  validation {
    condition     = var.sqs_message_retention > var.sqs_visibility_timeout
    error_message = "sqs_message_retention must be longer than sqs_visibility_timeout: SQS would drop a task while it is being worked on."
  }
}

variable "sqs_max_receive_count" {
  description = "Deliveries, not failures, after which a task goes to the dead-letter queue."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition = (
      var.sqs_max_receive_count >= 1
      && var.sqs_max_receive_count <= 1000
      && floor(var.sqs_max_receive_count) == var.sqs_max_receive_count
    )
    error_message = "sqs_max_receive_count must be a whole number from 1 to 1000, SQS's range."
  }
}

variable "alarm_email" {
  description = "Where CloudWatch's alarms go. Without it there are none."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:].]+$", var.alarm_email))
    error_message = "alarm_email must be one e-mail address, or null for no alarms."
  }
}

variable "create_operator_policy" {
  description = "Make the policy codingworker-operator, for people who look into the dead-letter queue and redrive it."
  type        = bool
  default     = false
  nullable    = false
}
