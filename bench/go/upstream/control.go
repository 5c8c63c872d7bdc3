package main

import (
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// serveControl serves gRPC's health service, whose Watch is a stream that stays open. Returns its port.
func serveControl(address, certificate, key string) (int, error) {
	security, err := credentials.NewServerTLSFromFile(certificate, key)
	if err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return 0, err
	}
	server := grpc.NewServer(grpc.Creds(security))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { log.Fatal(server.Serve(listener)) }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
