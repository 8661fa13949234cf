// Marks requests and responses. go run . 127.0.0.1:9002
package main

import (
	"log"
	"net"
	"os"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modes "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
)

type processor struct {
	extproc.UnimplementedExternalProcessorServer
}

func (processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	header := &core.HeaderValue{Key: "x-seen", RawValue: []byte("yes")} // not Value: gateways ignore it
	mutation := &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{{Header: header}}}
	mark := &extproc.HeadersResponse{Response: &extproc.CommonResponse{HeaderMutation: mutation}}
	var config *extproc.ProtocolConfiguration
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil // the gateway needs nothing more
		}
		if request.ProtocolConfig != nil {
			config = request.ProtocolConfig // only the first message has it
		}
		reply := &extproc.ProcessingResponse{} // each message is answered by one of its kind
		switch message := request.Request.(type) {
		case *extproc.ProcessingRequest_RequestHeaders:
			reply.Response = &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: mark}
		case *extproc.ProcessingRequest_ResponseHeaders:
			reply.Response = &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: mark}
		case *extproc.ProcessingRequest_RequestBody:
			body := unchanged(message.RequestBody, config.GetRequestBodyMode())
			reply.Response = &extproc.ProcessingResponse_RequestBody{RequestBody: body}
		case *extproc.ProcessingRequest_ResponseBody:
			body := unchanged(message.ResponseBody, config.GetResponseBodyMode())
			reply.Response = &extproc.ProcessingResponse_ResponseBody{ResponseBody: body}
		case *extproc.ProcessingRequest_RequestTrailers:
			reply.Response = &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{}}
		case *extproc.ProcessingRequest_ResponseTrailers:
			reply.Response = &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}
		}
		if request.ObservabilityMode {
			continue
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

// In FULL_DUPLEX_STREAMED the gateway has passed the body on to the processor, which gives it back.
func unchanged(body *extproc.HttpBody, mode modes.ProcessingMode_BodySendMode) *extproc.BodyResponse {
	if mode != modes.ProcessingMode_FULL_DUPLEX_STREAMED {
		return &extproc.BodyResponse{}
	}
	piece := &extproc.StreamedBodyResponse{Body: body.Body, EndOfStream: body.EndOfStream}
	mutation := &extproc.BodyMutation{Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: piece}}
	return &extproc.BodyResponse{Response: &extproc.CommonResponse{BodyMutation: mutation}}
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
