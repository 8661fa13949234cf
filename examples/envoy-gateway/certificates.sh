#!/bin/sh
# Makes a certificate for the processor, with its key, and the ConfigMap that has it trusted. All three stay out of git.
set -eu
cd "$(dirname "$0")"
name=grpc-ext-proc.envoygateway
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
    -subj "/CN=$name" -addext "subjectAltName=DNS:$name" -keyout server.key -out server.crt
{
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: grpc-ext-proc-ca\ndata:\n  ca.crt: |\n'
    sed 's/^/    /' server.crt
} >grpc-ext-proc-ca.yaml
