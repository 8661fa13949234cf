"""Marks requests and responses. pip install grpcio xds-protos"""
import sys
from concurrent import futures
import grpc
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc, external_processor_pb2_grpc as services

class Processor(services.ExternalProcessorServicer):
    def Process(self, requests, context):
        for request in requests:
            kind = request.WhichOneof("request")
            reply = ext_proc.ProcessingResponse()
            getattr(reply, kind).SetInParent()  # each message is answered by one of its kind
            if kind in ("request_headers", "response_headers"):
                option = getattr(reply, kind).response.header_mutation.set_headers.add()
                option.header.key, option.header.raw_value = "x-seen", b"yes"  # not `value`: gateways ignore it
            yield reply

server = grpc.server(futures.ThreadPoolExecutor(max_workers=100))
services.add_ExternalProcessorServicer_to_server(Processor(), server)
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
