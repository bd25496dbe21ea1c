# What the role and the user may do: each the whole policy, so that one action more fails as one less does.

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

run "the_workflow_may_send_to_the_main_queue_alone" {
  command = plan

  assert {
    condition     = aws_iam_role.github_actions.name == "codingworker-github-actions"
    error_message = "The role must be codingworker-github-actions."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.github_actions.policy).Statement :
      merge(statement, { Action = sort(statement.Action) })
      ] == [{
        Sid    = "SendTasks"
        Effect = "Allow"
        Action = tolist([
          "sqs:GetQueueAttributes",
          "sqs:GetQueueUrl",
          "sqs:SendMessage",
        ])
        Resource = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks"
    }]
    error_message = "The role must be allowed exactly three actions, on the main queue."
  }
}

run "the_worker_may_work_on_the_main_queue_alone" {
  command = plan

  assert {
    condition     = aws_iam_user.worker.name == "codingworker-worker"
    error_message = "The user must be codingworker-worker."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_user_policy.worker.policy).Statement :
      merge(statement, { Action = sort(statement.Action) })
      ] == [{
        Sid    = "WorkOnTasks"
        Effect = "Allow"
        Action = tolist([
          "sqs:ChangeMessageVisibility",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
          "sqs:GetQueueUrl",
          "sqs:ReceiveMessage",
        ])
        Resource = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks"
    }]
    error_message = "The user must be allowed exactly five actions, on the main queue."
  }
}

run "the_worker_is_not_taken_away_while_it_has_a_key" {
  command = plan

  assert {
    condition     = !aws_iam_user.worker.force_destroy
    error_message = "A destroy must stop at the key that was made by hand."
  }
}
