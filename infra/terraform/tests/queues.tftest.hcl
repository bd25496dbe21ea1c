# The two queues, setting by setting, and the policies between and upon them.

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

run "the_main_queue_has_the_contracts_settings" {
  command = plan

  assert {
    condition     = aws_sqs_queue.tasks.name == "codingworker-tasks"
    error_message = "The main queue must be codingworker-tasks."
  }

  assert {
    condition     = aws_sqs_queue.tasks.visibility_timeout_seconds == 10800
    error_message = "A task must be hidden for 3 hours."
  }

  assert {
    condition     = aws_sqs_queue.tasks.message_retention_seconds == 604800
    error_message = "A task must be kept for 7 days."
  }

  assert {
    condition     = aws_sqs_queue.tasks.receive_wait_time_seconds == 20
    error_message = "Receiving must wait for 20 s."
  }

  assert {
    condition     = aws_sqs_queue.tasks.max_message_size == 262144
    error_message = "A message may hold 262144 bytes."
  }

  assert {
    condition     = aws_sqs_queue.tasks.sqs_managed_sse_enabled
    error_message = "The main queue must be encrypted by SSE-SQS."
  }

  assert {
    condition = jsondecode(aws_sqs_queue.tasks.redrive_policy) == {
      deadLetterTargetArn = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks-dlq"
      maxReceiveCount     = 3
    }
    error_message = "The third failed delivery must be the last before the DLQ."
  }
}

run "the_dead_letter_queue_has_the_contracts_settings" {
  command = plan

  assert {
    condition     = aws_sqs_queue.dlq.name == "codingworker-tasks-dlq"
    error_message = "The DLQ must be codingworker-tasks-dlq."
  }

  assert {
    condition     = aws_sqs_queue.dlq.message_retention_seconds == 1209600
    error_message = "The DLQ must keep messages for 14 days."
  }

  assert {
    condition     = aws_sqs_queue.dlq.sqs_managed_sse_enabled
    error_message = "The DLQ must be encrypted by SSE-SQS."
  }

  assert {
    condition = jsondecode(aws_sqs_queue_redrive_allow_policy.dlq.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks"]
    }
    error_message = "Only the main queue may use the DLQ."
  }
}

run "both_queues_refuse_plain_http" {
  command = plan

  assert {
    condition = jsondecode(aws_sqs_queue_policy.tasks.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "DenyNonSSLAccess"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    }
    error_message = "The main queue must deny everything over plain HTTP, to everybody, and say nothing else."
  }

  assert {
    condition = jsondecode(aws_sqs_queue_policy.dlq.policy) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "DenyNonSSLAccess"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:aws:sqs:ap-northeast-1:111122223333:codingworker-tasks-dlq"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    }
    error_message = "The DLQ must deny everything over plain HTTP, to everybody, and say nothing else."
  }
}

run "the_variables_reach_the_main_queue" {
  command = plan

  variables {
    sqs_visibility_timeout = 43200
    sqs_message_retention  = 1209599
    sqs_max_receive_count  = 1000
  }

  assert {
    condition = (
      aws_sqs_queue.tasks.visibility_timeout_seconds == 43200
      && aws_sqs_queue.tasks.message_retention_seconds == 1209599
      && jsondecode(aws_sqs_queue.tasks.redrive_policy).maxReceiveCount == 1000
    )
    error_message = "The largest values that SQS takes must be accepted and passed on."
  }

  assert {
    condition     = aws_sqs_queue.dlq.message_retention_seconds == 1209600
    error_message = "The DLQ's retention is nobody's to shorten."
  }
}

run "the_smallest_values_are_accepted" {
  command = plan

  variables {
    sqs_visibility_timeout = 30
    sqs_message_retention  = 60
    sqs_max_receive_count  = 1
  }

  assert {
    condition = (
      aws_sqs_queue.tasks.visibility_timeout_seconds == 30
      && aws_sqs_queue.tasks.message_retention_seconds == 60
      && jsondecode(aws_sqs_queue.tasks.redrive_policy).maxReceiveCount == 1
    )
    error_message = "The smallest values that make sense must be accepted and passed on."
  }
}
