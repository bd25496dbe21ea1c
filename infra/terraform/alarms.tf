# Off unless alarm_email is given. SQS reports every minute while a queue is active and falls silent
# about six hours after the last call (AWS, "Monitoring Amazon SQS with CloudWatch"). Silence
# therefore proves neither that a queue was emptied nor that a worker came: every alarm here ignores
# missing data, that is keeps its state, and the command that its description names wakes the queue.

locals {
  alarms_wanted     = var.alarm_email == null ? 0 : 1
  alarms_topic_arns = aws_sns_topic.alarms[*].arn
}

resource "aws_cloudwatch_metric_alarm" "dlq_not_empty" {
  count = local.alarms_wanted

  alarm_name = "codingworker-dlq-not-empty"
  alarm_description = join(" ", [
    "A task failed too often and lies in the dead-letter queue.",
    "See which, and why: codingworker dlq list (the issue tells it too).",
    "When the cause is gone, put all of them back: codingworker dlq redrive --all",
  ])

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dlq.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "ignore"

  alarm_actions = local.alarms_topic_arns
  ok_actions    = local.alarms_topic_arns
}

# A worker with its hands full doesn't poll, but what it holds is in flight; an idle one polls. Nobody
# is there only when neither is seen. All but the first metric are absent, not zero, when nothing happens.
resource "aws_cloudwatch_metric_alarm" "nobody_working" {
  count = local.alarms_wanted

  alarm_name = "codingworker-nobody-working"
  alarm_description = join(" ", [
    "Tasks have been waiting for 30 minutes and no worker has asked for one.",
    "Look at the queue and the latest runs: codingworker status.",
    "Start a worker: codingworker worker.",
    "Nothing is lost: the queue keeps a task for ${floor(var.sqs_message_retention / 3600)} hours.",
  ])

  evaluation_periods  = 6
  datapoints_to_alarm = 6
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "ignore"

  metric_query {
    id          = "nobody_working"
    label       = "Tasks waiting and nobody working"
    expression  = "IF((waiting > 0) AND (FILL(in_flight, 0) + FILL(received, 0) + FILL(polls, 0) == 0), 1, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      waiting   = { metric = "ApproximateNumberOfMessagesVisible", stat = "Minimum" }
      in_flight = { metric = "ApproximateNumberOfMessagesNotVisible", stat = "Maximum" }
      received  = { metric = "NumberOfMessagesReceived", stat = "Sum" }
      polls     = { metric = "NumberOfEmptyReceives", stat = "Sum" }
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value.metric
        dimensions  = { QueueName = aws_sqs_queue.tasks.name }
        stat        = metric_query.value.stat
        period      = 300
      }
    }
  }

  alarm_actions = local.alarms_topic_arns
  ok_actions    = local.alarms_topic_arns
}

# The metric counts from the move into the DLQ (AWS, "Available CloudWatch metrics for Amazon SQS"), the
# retention from the first enqueue. A task may reach the DLQ at the age of sqs_message_retention: with the
# default of 7 days, 5 days later at least 2 of the 14 are left. The metric leaves out a message received
# three times or more, such as one often listed; codingworker-dlq-not-empty still stands for it.
resource "aws_cloudwatch_metric_alarm" "dlq_expiring" {
  count = local.alarms_wanted

  alarm_name = "codingworker-dlq-expiring"
  alarm_description = join(" ", [
    "A task has been in the dead-letter queue for 5 days and SQS will drop it for good,",
    "14 days after it was first queued (not after it came here).",
    "See which: codingworker dlq list",
    "Save it: codingworker dlq redrive --task OWNER/NAME#7",
  ])

  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5 * 24 * 60 * 60
  treat_missing_data  = "ignore"

  # An emptied queue reports no age, which alone would leave the alarm on for ever.
  metric_query {
    id          = "age_in_dlq"
    label       = "Seconds since the oldest task came into the dead-letter queue"
    expression  = "IF(waiting > 0, FILL(age, 0), 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      waiting = "ApproximateNumberOfMessagesVisible"
      age     = "ApproximateAgeOfOldestMessage"
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = aws_sqs_queue.dlq.name }
        stat        = "Maximum"
        period      = 3600
      }
    }
  }

  alarm_actions = local.alarms_topic_arns
  ok_actions    = local.alarms_topic_arns
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:CloudWatch can't publish to a topic under alias/aws/sns, and a key of one's own costs money every month to hide queue names and counts that leave as plain e-mail.
  count = local.alarms_wanted

  name = "codingworker-alarms"
}

# SNS mails a link; until it is followed, no alarm arrives.
resource "aws_sns_topic_subscription" "alarms" {
  count = local.alarms_wanted

  topic_arn = one(local.alarms_topic_arns)
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_sns_topic_policy" "alarms" {
  count = local.alarms_wanted

  arn    = one(local.alarms_topic_arns)
  policy = one(data.aws_iam_policy_document.alarms_topic[*].json)
}

data "aws_iam_policy_document" "alarms_topic" {
  count = local.alarms_wanted

  statement {
    sid       = "PublishFromAlarmsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = local.alarms_topic_arns

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  # Not `sns:*`: a topic's policy takes only the actions that concern one topic, and refuses the rest.
  statement {
    sid       = "DenyNonSSLAccess"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = local.alarms_topic_arns

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
