package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"time"
)

// serveLogs answers GET /containerLogs/NAMESPACE/POD/CONTAINER[?sinceTime=...] as a kubelet does.
func (n *node) serveLogs() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour)}
	certificate, _ := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(writer http.ResponseWriter, request *http.Request) {
		since, _ := time.Parse(time.RFC3339, request.URL.Query().Get("sinceTime"))
		n.mutex.Lock()
		var found *pod
		for _, candidate := range n.pods {
			if candidate.namespace == request.PathValue("namespace") && candidate.name == request.PathValue("pod") {
				found = candidate
			}
		}
		n.mutex.Unlock()
		if found == nil {
			http.NotFound(writer, request)
			return
		}
		found.mutex.Lock()
		defer found.mutex.Unlock()
		for _, line := range found.lines {
			if !line.at.Before(since) {
				fmt.Fprintln(writer, line.text)
			}
		}
	})
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", *port), Handler: mux, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}}
	log.Fatal(server.ListenAndServeTLS("", ""))
}
