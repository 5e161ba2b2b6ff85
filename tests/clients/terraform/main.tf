terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "name" {}
variable "zip" {}
variable "layer_zip" {}
variable "endpoint" {}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = false

  endpoints {
    iam    = var.endpoint
    lambda = var.endpoint
    logs   = var.endpoint
    sts    = var.endpoint
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = "${var.name}-role"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = { made = "by-terraform" }
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_role_policy" "inline" {
  name = "inline"
  role = aws_iam_role.function.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "*" }]
  })
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = 7
}

resource "aws_lambda_layer_version" "words" {
  layer_name               = "${var.name}-words"
  filename                 = var.layer_zip
  source_code_hash         = filebase64sha256(var.layer_zip)
  compatible_runtimes      = ["python3.12"]
  compatible_architectures = ["x86_64"]
  license_info             = "MIT"
}

resource "aws_lambda_layer_version_permission" "words" {
  layer_name     = aws_lambda_layer_version.words.layer_name
  version_number = aws_lambda_layer_version.words.version
  statement_id   = "another"
  action         = "lambda:GetLayerVersion"
  principal      = "111111111111"
}

resource "aws_lambda_code_signing_config" "any" {
  description = "made by a test"

  allowed_publishers {
    signing_profile_version_arns = ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/test/abcdefghij"]
  }

  policies {
    untrusted_artifact_on_deployment = "Warn"
  }
}

resource "aws_lambda_function" "function" {
  function_name    = var.name
  role             = aws_iam_role.function.arn
  runtime          = "python3.12"
  handler          = "lambda_function.handler"
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  publish          = true
  memory_size      = 256
  timeout          = 7
  description      = "made by a test"
  layers           = [aws_lambda_layer_version.words.arn]

  code_signing_config_arn        = aws_lambda_code_signing_config.any.arn
  reserved_concurrent_executions = 5

  dead_letter_config {
    target_arn = "arn:aws:sqs:us-east-1:000000000000:dead"
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "WARN"
    log_group             = aws_cloudwatch_log_group.function.name
  }

  tracing_config {
    mode = "Active"
  }

  environment {
    variables = { GREETING = "hello" }
  }

  ephemeral_storage {
    size = 600
  }

  tags       = { made = "by-terraform" }
  depends_on = [aws_cloudwatch_log_group.function]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.function.function_name
  function_version = aws_lambda_function.function.version
}

resource "aws_lambda_permission" "s3" {
  statement_id   = "s3"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.function.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = "arn:aws:s3:::bucket"
  source_account = "123456789012"
  qualifier      = aws_lambda_alias.live.name
}

# With this type the provider itself adds the permission that lets everybody in.
resource "aws_lambda_function_url" "live" {
  function_name      = aws_lambda_function.function.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "NONE"

  cors {
    allow_credentials = true
    allow_origins     = ["https://a.example"]
    allow_methods     = ["GET"]
    allow_headers     = ["x-a"]
    max_age           = 60
  }
}

resource "aws_lambda_function_url" "latest" {
  function_name      = aws_lambda_function.function.function_name
  authorization_type = "AWS_IAM"
  invoke_mode        = "RESPONSE_STREAM"
}

resource "aws_lambda_function_event_invoke_config" "live" {
  function_name                = aws_lambda_function.function.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_event_age_in_seconds = 120
  maximum_retry_attempts       = 1

  destination_config {
    on_failure {
      destination = "arn:aws:sqs:us-east-1:000000000000:failed"
    }

    on_success {
      destination = "arn:aws:sns:us-east-1:000000000000:done"
    }
  }
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  function_name                     = aws_lambda_function.function.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = 1
}

resource "aws_lambda_function_recursion_config" "function" {
  function_name  = aws_lambda_function.function.function_name
  recursive_loop = "Allow"
}

resource "aws_lambda_runtime_management_config" "function" {
  function_name     = aws_lambda_function.function.function_name
  update_runtime_on = "Auto"
}

resource "aws_lambda_invocation" "live" {
  function_name = aws_lambda_function.function.function_name
  qualifier     = aws_lambda_alias.live.name
  input         = jsonencode({ by = "terraform" })
  triggers      = { version = aws_lambda_function.function.version }
}

data "aws_lambda_function" "live" {
  function_name = aws_lambda_alias.live.function_name
  qualifier     = aws_lambda_alias.live.name
}

data "aws_lambda_function_url" "live" {
  function_name = aws_lambda_function_url.live.function_name
  qualifier     = aws_lambda_function_url.live.qualifier
}

data "aws_lambda_layer_version" "words" {
  layer_name = aws_lambda_layer_version.words.layer_name
}

output "said" {
  value = aws_lambda_invocation.live.result
}

output "read" {
  value = [
    data.aws_lambda_function.live.version, data.aws_lambda_function_url.live.function_url,
    data.aws_lambda_layer_version.words.version,
  ]
}

output "url" {
  value = aws_lambda_function_url.live.function_url
}

output "version" {
  value = aws_lambda_function.function.version
}
