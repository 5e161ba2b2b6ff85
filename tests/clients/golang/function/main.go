// A function over AWS's own Go runtime client. The event says what happens: {"do": "echo" | "error" | "panic" |
// "large" | "context" | "exit"}.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Size int    `json:"size"`
}

type outOfStock struct{ item string }

func (e *outOfStock) Error() string { return "out of " + e.item }

func handle(ctx context.Context, in event) (any, error) {
	fmt.Println("doing", in.Do)
	switch in.Do {
	case "error":
		return nil, errors.New("some_error_msg")
	case "typed":
		return nil, &outOfStock{"ünits"}
	case "panic":
		panic("it broke")
	case "large":
		return strings.Repeat("x", in.Size), nil
	case "exit":
		os.Exit(5)
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"request_id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "custom": lc.ClientContext.Custom,
			"deadline_ms": deadline.UnixMilli(), "function": lambdacontext.FunctionName,
			"memory": lambdacontext.MemoryLimitInMB, "group": lambdacontext.LogGroupName,
			"version": lambdacontext.FunctionVersion, "trace": ctx.Value("x-amzn-trace-id"),
		}, nil
	}
	return in, nil
}

func main() {
	lambda.Start(handle)
}
