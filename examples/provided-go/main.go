// A function in Go, with AWS's own client of the Runtime API.
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Name string `json:"name"`
}

type answer struct {
	Message string `json:"message"`
}

func handle(ctx context.Context, e event) (answer, error) {
	if e.Name == "" {
		e.Name = "world"
	}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		log.Printf("request %s: greeting %s", lc.AwsRequestID, e.Name)
	}
	return answer{Message: "Hello, " + e.Name + "!"}, nil
}

func main() {
	lambda.Start(handle)
}
