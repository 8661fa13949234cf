"""Marks requests and responses. pip install grpcio xds-protos; python processor.py 127.0.0.1:9002"""
import sys
from concurrent import futures
import grpc
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc, external_processor_pb2_grpc as services

class Processor(services.ExternalProcessorServicer):
    def Process(self, requests, context):
        config = None
        for request in requests:
            config = config or request.protocol_config  # only the first message has it
            kind, reply = request.WhichOneof("request"), ext_proc.ProcessingResponse()
            getattr(reply, kind).SetInParent()  # each message is answered by one of its kind
            if kind.endswith("headers"):  # not `value`: gateways ignore it
                mark = {"key": "x-seen", "raw_value": b"yes"}
                getattr(reply, kind).response.header_mutation.set_headers.add(header=mark)
            elif getattr(config, kind + "_mode", None) == 4:  # FULL_DUPLEX_STREAMED: the body has to be given back
                body, piece = getattr(request, kind), getattr(reply, kind).response.body_mutation.streamed_response
                piece.body, piece.end_of_stream = body.body, body.end_of_stream
            if not request.observability_mode:
                yield reply

server = grpc.server(futures.ThreadPoolExecutor(max_workers=100))
services.add_ExternalProcessorServicer_to_server(Processor(), server)
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
