// Marks requests and responses. mvn -q compile exec:java -Dexec.args=127.0.0.1:9002
import static io.envoyproxy.envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode.FULL_DUPLEX_STREAMED;

import com.google.protobuf.ByteString;
import io.envoyproxy.envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode;
import io.envoyproxy.envoy.service.ext_proc.v3.*;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;

public class Processor extends ExternalProcessorGrpc.ExternalProcessorImplBase {
    @Override
    public StreamObserver<ProcessingRequest> process(StreamObserver<ProcessingResponse> replies) {
        return new StreamObserver<>() {
            private ProtocolConfiguration config = ProtocolConfiguration.getDefaultInstance();

            @Override
            public void onNext(ProcessingRequest request) {
                if (request.hasProtocolConfig()) config = request.getProtocolConfig(); // only the first message has it
                var reply = ProcessingResponse.newBuilder(); // each message is answered by one of its kind
                switch (request.getRequestCase()) {
                    case REQUEST_HEADERS -> mark(reply.getRequestHeadersBuilder());
                    case RESPONSE_HEADERS -> mark(reply.getResponseHeadersBuilder());
                    case REQUEST_BODY ->
                        pass(reply.getRequestBodyBuilder(), request.getRequestBody(), config.getRequestBodyMode());
                    case RESPONSE_BODY ->
                        pass(reply.getResponseBodyBuilder(), request.getResponseBody(), config.getResponseBodyMode());
                    case REQUEST_TRAILERS -> reply.getRequestTrailersBuilder();
                    case RESPONSE_TRAILERS -> reply.getResponseTrailersBuilder();
                    default -> {}
                }
                if (!request.getObservabilityMode()) replies.onNext(reply.build());
            }

            @Override
            public void onError(Throwable error) {} // the client has gone

            @Override
            public void onCompleted() {
                replies.onCompleted();
            }
        };
    }

    static void mark(HeadersResponse.Builder reply) {
        var option = reply.getResponseBuilder().getHeaderMutationBuilder().addSetHeadersBuilder();
        // Not the value: gateways ignore it.
        option.getHeaderBuilder().setKey("x-seen").setRawValue(ByteString.copyFromUtf8("yes"));
    }

    // In FULL_DUPLEX_STREAMED the gateway has passed the body on to the processor, which gives it back.
    static void pass(BodyResponse.Builder reply, HttpBody body, BodySendMode mode) {
        if (mode != FULL_DUPLEX_STREAMED) return;
        var piece = reply.getResponseBuilder().getBodyMutationBuilder().getStreamedResponseBuilder();
        piece.setBody(body.getBody()).setEndOfStream(body.getEndOfStream());
    }

    public static void main(String[] arguments) throws Exception {
        var address = arguments[0].split(":");
        var at = new InetSocketAddress(address[0], Integer.parseInt(address[1]));
        NettyServerBuilder.forAddress(at).addService(new Processor()).build().start().awaitTermination();
    }
}
