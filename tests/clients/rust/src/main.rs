// A function over AWS's own Rust runtime client. The event says what happens: {"do": "echo" | "error" | "panic" |
// "large" | "context" | "exit"}.
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde_json::{json, Value};

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    let what = event["do"].as_str().unwrap_or("echo").to_owned();
    println!("doing {what}");
    match what.as_str() {
        "error" => Err("some_error_msg".into()),
        "panic" => panic!("it broke"),
        "large" => Ok(json!("x".repeat(event["size"].as_u64().unwrap_or(0) as usize))),
        "exit" => std::process::exit(5),
        "context" => Ok(json!({
            "request_id": context.request_id,
            "arn": context.invoked_function_arn,
            "custom": context.client_context.map(|c| c.custom),
            "deadline_ms": context.deadline,
            "function": context.env_config.function_name,
            "memory": context.env_config.memory,
            "group": context.env_config.log_group,
            "version": context.env_config.version,
            "trace": context.xray_trace_id,
        })),
        _ => Ok(event),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}
