// A function's life through the AWS SDK for Go v2: flow NAME ZIP-V1 ZIP-V2. Prints "ok" at the end.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func expect(is bool, format string, args ...any) {
	if !is {
		log.Output(2, fmt.Sprintf(format, args...))
		os.Exit(1)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check(err)
	return data
}

func main() {
	log.SetFlags(log.Lshortfile)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	name, first, second := os.Args[1], read(os.Args[2]), read(os.Args[3])
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1))
	check(err)
	client := lambda.NewFromConfig(cfg)
	function := aws.String(name)

	created, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: function,
		Runtime:      types.RuntimePython312,
		Handler:      aws.String("lambda_function.handler"),
		Role:         aws.String("arn:aws:iam::000000000000:role/any"),
		Code:         &types.FunctionCode{ZipFile: first},
		MemorySize:   aws.Int32(256),
		Timeout:      aws.Int32(5),
		Environment:  &types.Environment{Variables: map[string]string{"GREETING": "hello"}},
	})
	check(err)
	expect(created.State == types.StatePending, "state %s", created.State)
	expect(len(created.Architectures) == 1, "architectures %v", created.Architectures)
	check(lambda.NewFunctionActiveV2Waiter(client, func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	}).Wait(ctx, &lambda.GetFunctionInput{FunctionName: function}, 20*time.Second))

	_, err = client.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("no-such-function")})
	var missing *types.ResourceNotFoundException
	expect(errors.As(err, &missing), "not a ResourceNotFoundException: %v", err)
	expect(strings.HasPrefix(missing.ErrorMessage(), "Function not found: arn:aws:lambda:"), "%s", missing.ErrorMessage())
	expect(aws.ToString(missing.Type) == "User", "type %v", missing.Type)

	invoked, err := client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: function, Payload: []byte(`{"who":"wörld"}`), LogType: types.LogTypeTail,
	})
	check(err)
	var said map[string]string
	check(json.Unmarshal(invoked.Payload, &said))
	expect(said["said"] == "hello wörld", "%v", said)
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(invoked.LogResult))
	check(err)
	expect(bytes.Contains(tail, []byte("\nsaying hello wörld\n")), "%s", tail)

	failed, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: function, Payload: []byte(`{"fail":true}`)})
	check(err)
	expect(aws.ToString(failed.FunctionError) == "Unhandled", "%v", failed.FunctionError)

	published, err := client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: function})
	check(err)
	expect(aws.ToString(published.Version) == "1", "version %s", aws.ToString(published.Version))
	_, err = client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: function, ZipFile: second})
	check(err)
	check(lambda.NewFunctionUpdatedV2Waiter(client, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 200*time.Millisecond
	}).Wait(ctx, &lambda.GetFunctionInput{FunctionName: function}, 20*time.Second))
	_, err = client.CreateAlias(ctx, &lambda.CreateAliasInput{
		FunctionName: function, Name: aws.String("live"), FunctionVersion: aws.String("1"),
		RoutingConfig: nil,
	})
	check(err)
	for qualifier, key := range map[string]string{"": "second", "1": "said", "live": "said"} {
		in := &lambda.InvokeInput{FunctionName: function, Payload: []byte(`{"who":"x"}`)}
		if qualifier != "" {
			in.Qualifier = aws.String(qualifier)
		}
		out, err := client.Invoke(ctx, in)
		check(err)
		expect(bytes.Contains(out.Payload, []byte(`"`+key+`"`)), "%s: %s", qualifier, out.Payload)
	}

	var versions []string
	pages := lambda.NewListVersionsByFunctionPaginator(client, &lambda.ListVersionsByFunctionInput{
		FunctionName: function, MaxItems: aws.Int32(1),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(err)
		for _, version := range page.Versions {
			versions = append(versions, aws.ToString(version.Version))
		}
	}
	expect(strings.Join(versions, " ") == "$LATEST 1", "%v", versions)

	_, err = client.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{
		FunctionName: function, ReservedConcurrentExecutions: aws.Int32(0),
	})
	check(err)
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: function})
	var throttled *types.TooManyRequestsException
	expect(errors.As(err, &throttled), "not a TooManyRequestsException: %v", err)
	expect(throttled.Reason == types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded, "%s", throttled.Reason)

	_, err = client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: function})
	check(err)
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: function})
	expect(errors.As(err, &missing), "still there: %v", err)
	fmt.Println("ok")
}
