locals {
  # Fourteen days, SQS's maximum. A message keeps its first enqueue time when it moves to the DLQ
  # (AWS, "Setting-up dead-letter queue retention in Amazon SQS"), so it has what is left of these.
  dlq_message_retention = 1209600

  # Policies name the queues through these. A policy document that named the resource itself would be
  # "known after apply" whenever the queue changes at all, and a plan must show what it lets in.
  tasks_queue_arn = aws_sqs_queue.tasks.arn
  dlq_arn         = aws_sqs_queue.dlq.arn
}

resource "aws_sqs_queue" "tasks" {
  name = "codingworker-tasks"

  visibility_timeout_seconds = var.sqs_visibility_timeout
  message_retention_seconds  = var.sqs_message_retention
  receive_wait_time_seconds  = 20
  max_message_size           = 262144
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = local.dlq_arn
    maxReceiveCount     = var.sqs_max_receive_count
  })
}

resource "aws_sqs_queue" "dlq" {
  name = "codingworker-tasks-dlq"

  message_retention_seconds = local.dlq_message_retention
  max_message_size          = 262144
  sqs_managed_sse_enabled   = true
}

# A resource of its own: inside the DLQ, which the main queue points at, it would close a circle.
resource "aws_sqs_queue_redrive_allow_policy" "dlq" {
  queue_url = aws_sqs_queue.dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.tasks_queue_arn]
  })
}

resource "aws_sqs_queue_policy" "tasks" {
  queue_url = aws_sqs_queue.tasks.id
  policy    = data.aws_iam_policy_document.tasks_queue.json
}

resource "aws_sqs_queue_policy" "dlq" {
  queue_url = aws_sqs_queue.dlq.id
  policy    = data.aws_iam_policy_document.dlq_queue.json
}

# SQS still answers plain HTTP. An explicit denial wins over whatever an identity is allowed, so
# nothing needs saying about it in iam.tf or operator.tf.
data "aws_iam_policy_document" "tasks_queue" {
  statement {
    sid       = "DenyNonSSLAccess"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [local.tasks_queue_arn]

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

data "aws_iam_policy_document" "dlq_queue" {
  statement {
    sid       = "DenyNonSSLAccess"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [local.dlq_arn]

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
