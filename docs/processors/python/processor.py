"""Marks requests and responses. pip install grpcio xds-protos; python processor.py 127.0.0.1:9002"""
import sys
from concurrent import futures
import grpc
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc, external_processor_pb2_grpc as services

class Processor(services.ExternalProcessorServicer):
    def Process(self, requests, context):
        duplex = set()
        for request in requests:
            for kind in ("request_body", "response_body"):  # only the first message says the modes
                if getattr(request.protocol_config, kind + "_mode") == ProcessingMode.FULL_DUPLEX_STREAMED:
                    duplex.add(kind)
            kind = request.WhichOneof("request")
            reply = ext_proc.ProcessingResponse()
            getattr(reply, kind).SetInParent()  # each message is answered by one of its kind
            if kind in ("request_headers", "response_headers"):
                option = getattr(reply, kind).response.header_mutation.set_headers.add()
                option.header.key, option.header.raw_value = "x-seen", b"yes"  # not `value`: gateways ignore it
            elif kind in duplex:  # the gateway has passed the body on to the processor, which gives it back
                body, piece = getattr(request, kind), getattr(reply, kind).response.body_mutation.streamed_response
                piece.body, piece.end_of_stream = body.body, body.end_of_stream
            if not request.observability_mode:
                yield reply

server = grpc.server(futures.ThreadPoolExecutor(max_workers=100))
services.add_ExternalProcessorServicer_to_server(Processor(), server)
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
