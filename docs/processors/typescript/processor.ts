// Marks requests and responses. npm install && npx tsc && node processor.js 127.0.0.1:9002
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const definition = loadSync(`${__dirname}/processor.proto`, { keepCase: true, enums: String, oneofs: true });
const { ExternalProcessor } = (grpc.loadPackageDefinition(definition) as any).envoy.service.ext_proc.v3;

function Process(stream: grpc.ServerDuplexStream<any, any>) {
  let config: any = {};
  stream.on("data", (request) => {
    config = request.protocol_config ?? config; // only the first message has it
    const kind: string = request.request; // each message is answered by one of its kind
    const response: any = {};
    if (kind.endsWith("headers")) {
      const header = { key: "x-seen", raw_value: Buffer.from("yes") }; // not `value`: gateways ignore it
      response.header_mutation = { set_headers: [{ header }] };
    } else if (config[`${kind}_mode`] === "FULL_DUPLEX_STREAMED") {
      response.body_mutation = { streamed_response: request[kind] }; // the body has to be given back
    }
    if (!request.observability_mode) stream.write({ [kind]: kind.endsWith("trailers") ? {} : { response } });
  });
  stream.on("end", () => stream.end());
  stream.on("error", () => {}); // the client has gone
}

const server = new grpc.Server();
server.addService(ExternalProcessor.service, { Process });
server.bindAsync(process.argv[2], grpc.ServerCredentials.createInsecure(), (error) => { if (error) throw error; });
