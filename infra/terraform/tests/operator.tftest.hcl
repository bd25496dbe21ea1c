# The operator's policy: absent unless asked for, and then just enough to look into the DLQ and redrive it.

provider "aws" {
  region                      = "ap-northeast-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "111122223333" }
}

override_resource {
  target          = aws_sqs_queue.tasks
  override_during = plan
  values          = { arn = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks" }
}

override_resource {
  target          = aws_sqs_queue.dlq
  override_during = plan
  values          = { arn = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks-dlq" }
}

variables {
  github_org   = "octo-org"
  github_repos = ["app"]
}

run "no_policy_unless_asked_for" {
  command = plan

  assert {
    condition     = length(aws_iam_policy.operator) == 0
    error_message = "The policy must be off by default."
  }
}

run "the_operator_may_look_into_the_dlq_and_redrive_it" {
  command = plan

  variables {
    create_operator_policy = true
  }

  assert {
    condition     = aws_iam_policy.operator[0].name == "codingworker-operator"
    error_message = "The policy must be codingworker-operator."
  }

  assert {
    condition = {
      for statement in jsondecode(aws_iam_policy.operator[0].policy).Statement :
      statement.Sid => "${statement.Effect} ${join(" ", sort(statement.Action))} on ${statement.Resource}"
      } == {
      LookIntoAndRedriveTheDlq = join(" ", [
        "Allow",
        "sqs:CancelMessageMoveTask",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListMessageMoveTasks",
        "sqs:PurgeQueue",
        "sqs:ReceiveMessage",
        "sqs:StartMessageMoveTask",
        "on arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks-dlq",
      ])
      PutTasksBack = join(" ", [
        "Allow",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
        "on arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks",
      ])
    }
    error_message = "The operator must be allowed nine actions on the DLQ and three on the main queue."
  }
}
