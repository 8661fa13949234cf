// Marks requests and responses.
package main

import (
	"log"
	"net"
	"os"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

type processor struct {
	extproc.UnimplementedExternalProcessorServer
}

// mark sets a header. RawValue, not Value: gateways ignore that one.
func mark() *extproc.HeadersResponse {
	header := &core.HeaderValue{Key: "x-seen", RawValue: []byte("yes")}
	mutation := &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{{Header: header}}}
	return &extproc.HeadersResponse{Response: &extproc.CommonResponse{HeaderMutation: mutation}}
}

func (processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil // the gateway has ended the exchange
		}
		reply := &extproc.ProcessingResponse{}
		switch request.Request.(type) { // each message is answered by one of its kind
		case *extproc.ProcessingRequest_RequestHeaders:
			reply.Response = &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: mark()}
		case *extproc.ProcessingRequest_ResponseHeaders:
			reply.Response = &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: mark()}
		case *extproc.ProcessingRequest_RequestBody:
			reply.Response = &extproc.ProcessingResponse_RequestBody{RequestBody: &extproc.BodyResponse{}}
		case *extproc.ProcessingRequest_ResponseBody:
			reply.Response = &extproc.ProcessingResponse_ResponseBody{ResponseBody: &extproc.BodyResponse{}}
		case *extproc.ProcessingRequest_RequestTrailers:
			reply.Response = &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{}}
		case *extproc.ProcessingRequest_ResponseTrailers:
			reply.Response = &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	extproc.RegisterExternalProcessorServer(server, processor{})
	log.Fatal(server.Serve(listener))
}
