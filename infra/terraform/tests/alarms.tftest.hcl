# The alarms: none without an address; with one, three that survive a silent queue and say what to run.

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
  target          = aws_sns_topic.alarms
  override_during = plan
  values          = { arn = "arn:aws:sns:ap-northeast-1:111122223333:codingworker-alarms" }
}

variables {
  github_org   = "octo-org"
  github_repos = ["app"]
}

run "no_address_no_alarms" {
  command = plan

  assert {
    condition = 0 == sum([
      length(aws_cloudwatch_metric_alarm.dlq_not_empty),
      length(aws_cloudwatch_metric_alarm.nobody_working),
      length(aws_cloudwatch_metric_alarm.dlq_expiring),
      length(aws_sns_topic.alarms),
      length(aws_sns_topic_policy.alarms),
      length(aws_sns_topic_subscription.alarms),
    ])
    error_message = "Without alarm_email nothing of the alarms may be made."
  }
}

run "every_alarm_mails_keeps_its_state_in_silence_and_names_a_command" {
  command = plan

  variables {
    alarm_email = "you@example.com"
  }

  assert {
    condition = {
      for alarm in [
        aws_cloudwatch_metric_alarm.dlq_not_empty[0],
        aws_cloudwatch_metric_alarm.nobody_working[0],
        aws_cloudwatch_metric_alarm.dlq_expiring[0],
        ] : alarm.alarm_name => alltrue([
          alarm.treat_missing_data == "ignore",
          alarm.alarm_actions == toset(["arn:aws:sns:ap-northeast-1:111122223333:codingworker-alarms"]),
          alarm.ok_actions == toset(["arn:aws:sns:ap-northeast-1:111122223333:codingworker-alarms"]),
      ])
      } == {
      codingworker-dlq-not-empty  = true
      codingworker-nobody-working = true
      codingworker-dlq-expiring   = true
    }
    error_message = "Every alarm must keep its state in silence, and mail both when it starts and when it ends."
  }

  assert {
    condition = alltrue([
      for alarm in [aws_cloudwatch_metric_alarm.dlq_not_empty[0], aws_cloudwatch_metric_alarm.dlq_expiring[0]] :
      strcontains(alarm.alarm_description, "codingworker dlq list") && strcontains(alarm.alarm_description, "codingworker dlq redrive --")
    ])
    error_message = "An alarm about the DLQ must say how to list and to redrive it."
  }

  assert {
    condition = alltrue([
      for command in ["codingworker status", "codingworker worker"] :
      strcontains(aws_cloudwatch_metric_alarm.nobody_working[0].alarm_description, command)
    ])
    error_message = "An alarm about a missing worker must say how to look and how to start one."
  }
}

run "one_message_in_the_dlq_is_one_too_many" {
  command = plan

  variables {
    alarm_email = "you@example.com"
  }

  assert {
    condition = alltrue([
      aws_cloudwatch_metric_alarm.dlq_not_empty[0].namespace == "AWS/SQS",
      aws_cloudwatch_metric_alarm.dlq_not_empty[0].metric_name == "ApproximateNumberOfMessagesVisible",
      aws_cloudwatch_metric_alarm.dlq_not_empty[0].dimensions == tomap({ QueueName = "codingworker-tasks-dlq" }),
      aws_cloudwatch_metric_alarm.dlq_not_empty[0].comparison_operator == "GreaterThanThreshold",
      aws_cloudwatch_metric_alarm.dlq_not_empty[0].threshold == 0,
    ])
    error_message = "The alarm must go off with the first message in the DLQ."
  }
}

run "work_may_wait_half_an_hour_for_a_worker" {
  command = plan

  variables {
    alarm_email = "you@example.com"
  }

  assert {
    condition = {
      for query in aws_cloudwatch_metric_alarm.nobody_working[0].metric_query :
      query.id => "${query.metric[0].metric_name} ${query.metric[0].stat} ${query.metric[0].period} ${query.metric[0].dimensions.QueueName}"
      if length(query.metric) == 1
      } == {
      waiting   = "ApproximateNumberOfMessagesVisible Minimum 300 codingworker-tasks"
      in_flight = "ApproximateNumberOfMessagesNotVisible Maximum 300 codingworker-tasks"
      received  = "NumberOfMessagesReceived Sum 300 codingworker-tasks"
      polls     = "NumberOfEmptyReceives Sum 300 codingworker-tasks"
    }
    error_message = "Waiting is the main queue's visible messages; working is anything in flight, received or polled for."
  }

  assert {
    condition = [
      for query in aws_cloudwatch_metric_alarm.nobody_working[0].metric_query : query.expression if query.return_data == true
    ] == ["IF((waiting > 0) AND (FILL(in_flight, 0) + FILL(received, 0) + FILL(polls, 0) == 0), 1, 0)"]
    error_message = "The alarm must look at work that waits while nobody works."
  }

  assert {
    condition = 1800 == 300 * aws_cloudwatch_metric_alarm.nobody_working[0].evaluation_periods && (
      aws_cloudwatch_metric_alarm.nobody_working[0].datapoints_to_alarm == aws_cloudwatch_metric_alarm.nobody_working[0].evaluation_periods
    )
    error_message = "It must hold for the whole of 30 minutes."
  }
}

run "a_task_may_lie_in_the_dlq_for_five_days" {
  command = plan

  variables {
    alarm_email = "you@example.com"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.dlq_expiring[0].threshold == 432000
    error_message = "The threshold must be 5 days in seconds."
  }

  assert {
    condition = {
      for query in aws_cloudwatch_metric_alarm.dlq_expiring[0].metric_query :
      query.id => "${query.metric[0].metric_name} ${query.metric[0].stat} ${query.metric[0].dimensions.QueueName}"
      if length(query.metric) == 1
      } == {
      waiting = "ApproximateNumberOfMessagesVisible Maximum codingworker-tasks-dlq"
      age     = "ApproximateAgeOfOldestMessage Maximum codingworker-tasks-dlq"
    }
    error_message = "The alarm must look at the DLQ's age and at whether anything is there."
  }
}

run "only_this_accounts_alarms_may_publish_and_never_in_the_clear" {
  command = plan

  variables {
    alarm_email = "you@example.com"
  }

  assert {
    condition     = aws_sns_topic_subscription.alarms[0].protocol == "email" && aws_sns_topic_subscription.alarms[0].endpoint == "you@example.com"
    error_message = "The address must be subscribed."
  }

  assert {
    condition = jsondecode(aws_sns_topic_policy.alarms[0].policy).Statement == [
      {
        Sid       = "PublishFromAlarmsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:ap-northeast-1:111122223333:codingworker-alarms"
        Condition = { StringEquals = { "aws:SourceAccount" = "111122223333" } }
      },
      {
        Sid       = "DenyNonSSLAccess"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:ap-northeast-1:111122223333:codingworker-alarms"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
    error_message = "The topic must take this account's alarms over TLS, and nothing else."
  }
}
