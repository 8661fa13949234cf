"""A processor that makes the mistake that the path of the request names. processor.rs makes the same, and one
more: the messages of the package know no streamed_immediate_response."""
from concurrent import futures

import grpc
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc, external_processor_pb2_grpc as services


def right(request, duplex):
    """What lets the message go on."""
    kind = request.WhichOneof("request")
    reply = ext_proc.ProcessingResponse()
    getattr(reply, kind).SetInParent()
    if duplex and kind.endswith("_body"):
        body = getattr(request, kind)
        reply.CopyFrom(piece(kind, body.body, body.end_of_stream))
    return reply


def piece(kind, body, end):
    reply = ext_proc.ProcessingResponse()
    streamed = getattr(reply, kind).response.body_mutation.streamed_response
    streamed.body, streamed.end_of_stream = body, end
    return reply


def header(kind, key, **value):
    reply = ext_proc.ProcessingResponse()
    option = getattr(reply, kind).response.header_mutation.set_headers.add()
    option.header.key = key
    for member, content in value.items():
        setattr(option.header, member, content)
    return reply


def reply(**members):
    return ext_proc.ProcessingResponse(**members)


def common(**members):
    return reply(request_headers={"response": members})


def in_headers(mistake, right):
    """Replies, and whether the stream ends after them."""
    if mistake == "wrong-kind":
        return [reply(request_body={})], False
    if mistake == "second-reply":
        return [right, right], False
    if mistake == "missing-reply":
        return [], True
    if mistake == "silence":
        return [], False
    if mistake == "error":
        raise RuntimeError("the database is down")
    if mistake == "empty-message":
        return [reply()], False
    if mistake == "after-the-end":
        return [reply(immediate_response={"status": {"code": 403}}), right], True
    if mistake == "body-in-headers":
        return [common(body_mutation={"body": b"new"})], False
    if mistake == "refused-header":
        return [header("request_headers", "host", raw_value=b"elsewhere")], False
    if mistake == "invalid-header":
        return [header("request_headers", "x-a", raw_value=b"a\r\nb")], False
    if mistake == "value-member":
        return [header("request_headers", "x-a", value="text")], False
    if mistake == "trailers-member":
        return [common(trailers={"headers": [{"key": "x-a", "raw_value": b"1"}]})], False
    if mistake == "reroute":
        return [common(clear_route_cache=True)], False
    if mistake == "override":
        right.mode_override.SetInParent()
        return [right], False
    if mistake == "timeout":
        return [reply(override_message_timeout={"seconds": 10}), right], False
    if mistake == "status":
        right.request_headers.response.status = 7
        return [right], False
    return [right], False


def in_body(mistake, right):
    """As in_headers."""
    if mistake == "unfinished":
        return [piece("request_body", b"bo", False)], True
    if mistake == "no-end":
        return [piece("request_body", b"bo", False)], False
    if mistake == "behind-the-end":
        return [piece("request_body", b"b", True)] * 2, False
    if mistake == "streamed-response":
        return [piece("request_body", b"body", True)], False
    if mistake == "plain-body":
        return [reply(request_body={"response": {"body_mutation": {"body": b"new"}}})], False
    if mistake == "length":
        return [reply(request_body={"response": {"body_mutation": {"body": b"longer"}}})], False
    if mistake == "late-headers":
        return [header("request_body", "x-late", raw_value=b"1")], False
    return [right], False


class Wrong(services.ExternalProcessorServicer):
    def Process(self, requests, context):
        mistake, duplex = "", False
        for request in requests:
            if request.HasField("protocol_config"):
                duplex = request.protocol_config.request_body_mode == ProcessingMode.FULL_DUPLEX_STREAMED
            kind = request.WhichOneof("request")
            if kind == "request_headers":
                headers = request.request_headers.headers.headers
                mistake = next(h.raw_value.decode() for h in headers if h.key == ":path").lstrip("/")
            replies, leaves = [right(request, duplex)], False
            if request.observability_mode and mistake != "answer-to-copy":
                replies = []
            elif kind == "request_headers":
                replies, leaves = in_headers(mistake, replies[0])
            elif kind == "request_body":
                replies, leaves = in_body(mistake, replies[0])
            yield from replies
            if leaves:
                return


server = grpc.server(futures.ThreadPoolExecutor(max_workers=100))
services.add_ExternalProcessorServicer_to_server(Wrong(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"listens on 127.0.0.1:{port}", flush=True)
server.wait_for_termination()
