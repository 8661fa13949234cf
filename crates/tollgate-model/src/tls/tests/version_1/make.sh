#!/usr/bin/env bash
# Makes the certificates beside it anew: certificates of version 1, which OpenSSL makes up to 3.1 where no extension is asked for.
set -eu
days=36500
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
request() { openssl req -new -key "$1.key" -subj "/CN=$1.example.com" -out "$1.csr"; }
sign() { openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -set_serial "$3" -days $days -out "$4.pem"; }
key ca
openssl req -x509 -new -key ca.key -subj "/CN=authority" -days $days -out ca.pem
key server; request server; sign server ca 2 server
openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt -out client.key; request client; sign client ca 3 client
openssl x509 -req -in client.csr -signkey client.key -days $days -out self.pem
key between; request between
openssl x509 -req -in between.csr -CA ca.pem -CAkey ca.key -set_serial 4 -days $days \
  -extfile <(echo 'basicConstraints=critical,CA:TRUE') -out between.pem
sign client between 5 chain; cat between.pem >>chain.pem
rm -f ./*.csr between.* ca.key
