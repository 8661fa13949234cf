// readdump reads the configuration dump of a proxy from standard input, as egctl and istioctl do: every message has to be one of
// Envoy's API. It writes how many resources of each kind there are.
package main

import (
	"fmt"
	"io"
	"os"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "readdump:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	dump := &adminv3.ConfigDump{}
	if err := protojson.Unmarshal(text, dump); err != nil {
		return err
	}
	for _, config := range dump.Configs {
		message, err := config.UnmarshalNew()
		if err != nil {
			return err
		}
		if err := show(message); err != nil {
			return fmt.Errorf("%s: %w", config.TypeUrl, err)
		}
	}
	return nil
}

func show(message proto.Message) error {
	switch dump := message.(type) {
	case *adminv3.BootstrapConfigDump:
		fmt.Println("bootstrap", dump.Bootstrap.GetNode().GetCluster())
	case *adminv3.ClustersConfigDump:
		fmt.Println("static_clusters", len(dump.StaticClusters))
		fmt.Println("dynamic_active_clusters", len(dump.DynamicActiveClusters))
		for _, cluster := range dump.DynamicActiveClusters {
			if err := readable(cluster.Cluster); err != nil {
				return err
			}
		}
	case *adminv3.ListenersConfigDump:
		fmt.Println("dynamic_listeners", len(dump.DynamicListeners))
		for _, listener := range dump.DynamicListeners {
			if listener.ErrorState != nil {
				return fmt.Errorf("listener %s: %s", listener.Name, listener.ErrorState.Details)
			}
			if err := readable(listener.GetActiveState().GetListener()); err != nil {
				return err
			}
		}
	case *adminv3.RoutesConfigDump:
		fmt.Println("dynamic_route_configs", len(dump.DynamicRouteConfigs))
		for _, routes := range dump.DynamicRouteConfigs {
			if err := readable(routes.RouteConfig); err != nil {
				return err
			}
		}
	case *adminv3.EndpointsConfigDump:
		fmt.Println("dynamic_endpoint_configs", len(dump.DynamicEndpointConfigs))
	case *adminv3.SecretsConfigDump:
		fmt.Println("dynamic_active_secrets", len(dump.DynamicActiveSecrets))
		for _, secret := range dump.DynamicActiveSecrets {
			if err := readable(secret.Secret); err != nil {
				return err
			}
		}
	}
	return nil
}

func readable(resource *anypb.Any) error {
	if resource == nil {
		return fmt.Errorf("a resource is missing")
	}
	_, err := resource.UnmarshalNew()
	return err
}
