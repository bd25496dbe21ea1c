output "sqs_queue_url" {
  description = "The main queue's URL, for the worker"
  value       = aws_sqs_queue.tasks.url
}

output "sqs_queue_arn" {
  description = "The main queue's ARN, for policies of your own"
  value       = aws_sqs_queue.tasks.arn
}

output "sqs_dlq_url" {
  description = "The dead-letter queue's URL: tasks that failed too often lie there"
  value       = aws_sqs_queue.dlq.url
}

output "github_actions_role_arn" {
  description = "The GitHub secret AWS_ROLE_ARN"
  value       = aws_iam_role.github_actions.arn
}

output "oidc_provider_arn" {
  description = "The account's provider for GitHub Actions, made here or found"
  value       = local.oidc_provider_arn
}
