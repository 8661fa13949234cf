// Package cluster holds the conformance suite of the Gateway API as a test of this module, so that it is built with
// the libraries of the API server that it talks to: go test -c -o conformance.test .
package cluster

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }
